"""Published predictions against labels that arrived since: error over time, and by segment."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer.errors import NothingToDo, SettingsError
from scorer.intake.partitions import open_partition, reading
from scorer.intake.rows import ID
from scorer.objectstore import ObjectStore
from scorer.output.commit import Version
from scorer.output.predictions import MAIN_OUTPUT
from scorer.run.accuracy import Accuracy, Floats, Ints, accuracy
from scorer.run.history import current_versions, published_keys
from scorer.run.labels import Labels, as_text, filled, indices, single
from scorer.settings import Housekeeping

SEGMENTS = 30
"""Values of one column that are reported, those with the most labels; the others are one more line."""

OTHERS, NONE = "(others)", "(none)"

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Slice:
    """The predictions of one partition, or of one segment over all partitions.

    Attributes:
        name: partition key, or value of the segment's column.
        predictions: published rows that have a prediction; None for segments, whose other rows are not looked at.
        errors: of those with a label.
    """

    name: str
    predictions: int | None
    errors: Accuracy


@dataclass(frozen=True)
class Evaluation:
    """What labels say of published predictions.

    Attributes:
        overall: over all partitions.
        partitions: each, in the order of their keys.
        segments: column -> its values, most labels first.
        labels: listings with a usable label.
        labels_without_prediction: of them, those that no partition looked at has predicted.
        predictions_without_label: predictions whose listing has no label so far.
        known_before: predictions left out because the label was known before the day of their partition.
        failed: published rows without a prediction.
        labels_repeated: labels left out for a later one of the same listing.
        labels_unusable: labels without id or finite value.
    """

    overall: Accuracy
    partitions: tuple[Slice, ...]
    segments: dict[str, tuple[Slice, ...]]
    labels: int
    labels_without_prediction: int
    predictions_without_label: int
    known_before: int
    failed: int
    labels_repeated: int
    labels_unusable: int

    def plain(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Sources:
    """Where labels and segments come from."""

    labels: Labels
    by: tuple[str, ...]
    listings: str | None
    store: ObjectStore


@dataclass(frozen=True)
class _Joined:
    """The predictions of one partition that have a label.

    Attributes:
        actual: labels, float64 [n].
        predicted: float64 [n].
        listing: int64 [n], position of the label.
        segments: column -> string [n].
        predictions: published rows with a prediction.
        known_before: left out.
        failed: published rows without a prediction.
    """

    key: str
    actual: Floats
    predicted: Floats
    listing: Ints
    segments: dict[str, pa.Array]
    predictions: int
    known_before: int
    failed: int


def evaluate(
    wanted: Housekeeping,
    labels: Labels,
    store: ObjectStore,
    *,
    by: Sequence[str] = (),
    last: int | None = None,
    listings: str | None = None,
) -> Evaluation:
    """Hold published predictions, as readers see them now, against labels.

    Args:
        wanted: where predictions are published; its partition, if any, is the only one looked at.
        labels: one a listing.
        store: where all is.
        by: columns to report by: of the labels, of the predictions, or of the listings.
        last: so many partitions, the last by key; None: all.
        listings: where the columns of `by` are looked up that neither labels nor predictions hold.

    Raises:
        NothingToDo: nothing was published there, or there is no usable label.
        SettingsError: nobody has a column of `by`.
        InputError: files cannot be read.
    """
    if not len(labels.ids):
        raise NothingToDo(f"The labels hold no usable row ({labels.unusable:,} without id or finite value).")
    keys = [key for key in sorted(published_keys(wanted.state_uri, store)) if wanted.partition in (None, key)]
    versions = current_versions(wanted.state_uri, keys[-last:] if last else keys, store)
    if not versions:
        what = wanted.partition or wanted.predictions
        raise NothingToDo(f"Nothing was ever published for {what}: there is no record in {wanted.state_uri}.")
    sources = _Sources(labels, tuple(by), listings, store)
    seen = np.zeros(len(labels.ids), np.bool_)
    joined = [_join(key, version, sources, seen) for key, version in versions.items()]
    return Evaluation(
        overall=_accuracy(joined),
        partitions=tuple(Slice(one.key, one.predictions, _accuracy([one])) for one in joined),
        segments={name: _by(name, joined) for name in by},
        labels=len(labels.ids),
        labels_without_prediction=int((~seen).sum()),
        predictions_without_label=sum(one.predictions - one.known_before - len(one.actual) for one in joined),
        known_before=sum(one.known_before for one in joined),
        failed=sum(one.failed for one in joined),
        labels_repeated=labels.repeated,
        labels_unusable=labels.unusable,
    )


def _join(key: str, version: Version, sources: _Sources, seen: npt.NDArray[np.bool_]) -> _Joined:
    """One partition's predictions beside their labels; notes in `seen` which labels it has predicted."""
    labels = sources.labels
    table = _published(version, [name for name in sources.by if name not in labels.segments], sources.store)
    scores = filled(table.column(MAIN_OUTPUT), np.nan)
    label = filled(pc.index_in(table.column(ID), value_set=labels.ids), -1)
    predicted = np.isfinite(scores)
    matched = predicted & (label >= 0)
    known_before = matched & (labels.days[label] < _day(key))
    seen[label[matched]] = True
    rows = np.flatnonzero(matched & ~known_before)
    listing = label[rows].astype(np.int64)
    return _Joined(
        key=key,
        actual=labels.values[listing],
        predicted=scores[rows],
        listing=listing,
        segments=_segments(key, table.take(indices(rows)), listing, sources),
        predictions=int(predicted.sum()),
        known_before=int(known_before.sum()),
        failed=int((~predicted).sum()),
    )


def _published(version: Version, wanted: Sequence[str], store: ObjectStore) -> pa.Table:
    """Ids and predictions of a version, and those of the wanted columns that it holds."""
    tables = []
    for file in version.predictions:
        with reading(file.uri), store.open(file.uri) as handle:
            parquet = pq.ParquetFile(handle)
            held = [name for name in wanted if name in parquet.schema_arrow.names]
            tables.append(parquet.read([ID, MAIN_OUTPUT, *(name for name in held if name not in (ID, MAIN_OUTPUT))]))
    return pa.concat_tables(tables)


def _segments(key: str, table: pa.Table, listing: Ints, sources: _Sources) -> dict[str, pa.Array]:
    """What each row belongs to, column by column: by the labels, the predictions, or the listings."""
    found = {}
    for name in sources.by:
        if name in sources.labels.segments:
            found[name] = sources.labels.segments[name].take(indices(listing))
        elif name in table.column_names:
            found[name] = single(as_text(table.column(name), name, key))
        else:
            found[name] = _looked_up(name, key, table.column(ID), sources)
    return found


def _looked_up(name: str, key: str, ids: pa.ChunkedArray, sources: _Sources) -> pa.Array:
    """A column of the listings for these ids; null where a listing is gone."""
    partition = open_partition(sources.listings, key, sources.store) if sources.listings else None
    if sources.listings and partition is None:
        return pa.nulls(len(ids), pa.string())
    if partition is None or any(name not in schema.names for schema in partition.schemas):
        others = f"; nor do the listings of {key}" if partition else ". Say where the listings are with --listings"
        raise SettingsError(f"Neither the labels nor the predictions have a column {name}{others}.")
    tables = []
    for file in partition.files:
        with reading(file.uri), sources.store.open(file.uri, file.etag) as handle:
            table = pq.ParquetFile(handle).read([ID, name])
            texts = {ID: as_text(table.column(ID), ID, file.uri), name: as_text(table.column(name), name, file.uri)}
            tables.append(pa.table(texts))
    table = pa.concat_tables(tables)
    return single(table.column(name)).take(single(pc.index_in(ids, value_set=single(table.column(ID)))))


def _day(key: str) -> int:
    """The day that a partition is of, from 1970-01-01; before all times where no step of its key is a day."""
    for step in reversed(key.split("/")):
        try:
            return (date.fromisoformat(step.partition("=")[2]) - EPOCH).days
        except ValueError:
            continue
    return np.iinfo(np.int64).min


def _accuracy(joined: Sequence[_Joined]) -> Accuracy:
    parts = [(one.actual, one.predicted, one.listing) for one in joined]
    actual, predicted, listing = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return accuracy(actual, predicted, listing)


def _by(name: str, joined: Sequence[_Joined]) -> tuple[Slice, ...]:
    """The values of one column, most labels first; those beyond `SEGMENTS` together."""
    values = pa.chunked_array([one.segments[name] for one in joined]).combine_chunks().dictionary_encode()
    names = [*values.dictionary.to_pylist(), NONE]
    code = filled(pa.chunked_array([values.indices]), len(names) - 1)
    counts = np.bincount(code, minlength=len(names))
    order = [at for at in np.argsort(-counts, kind="stable") if counts[at]]
    actual = np.concatenate([one.actual for one in joined])
    predicted = np.concatenate([one.predicted for one in joined])
    listing = np.concatenate([one.listing for one in joined])
    groups = [(names[at], code == at) for at in order[:SEGMENTS]]
    if len(order) > SEGMENTS:
        groups.append((OTHERS, np.isin(code, order[SEGMENTS:])))
    return tuple(Slice(text, None, accuracy(actual[rows], predicted[rows], listing[rows])) for text, rows in groups)
