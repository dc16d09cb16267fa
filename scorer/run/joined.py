"""Published predictions beside their labels: one partition's rows that have both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer.errors import SettingsError
from scorer.intake.partitions import open_partition, reading
from scorer.intake.rows import ID
from scorer.model.readout import Meaning
from scorer.objectstore import ObjectStore
from scorer.output.commit import Version
from scorer.output.predictions import MAIN_OUTPUT
from scorer.run.accuracy import Floats, Ints
from scorer.run.labels import Labels, as_text, filled, indices, single

ENDS = (f"{MAIN_OUTPUT}_low", f"{MAIN_OUTPUT}_high")

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Sources:
    """Where labels and segments come from."""

    labels: Labels
    by: tuple[str, ...]
    listings: str | None
    store: ObjectStore
    meaning: Meaning
    output: str | None = None
    """A further output of a regression, in place of the main one."""


@dataclass(frozen=True)
class Joined:
    """The predictions of one partition that have a label.

    Attributes:
        actual: labels, float64 [n].
        predicted: float64 [n, columns of `columns`].
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


def columns(meaning: Meaning, output: str | None = None) -> tuple[str, ...]:
    """The numbers that are held against a label: prediction and interval, or the probabilities of all classes.

    Raises:
        SettingsError: classes have no further outputs.
    """
    if output is not None:
        if meaning.task != "regression":
            raise SettingsError(f"output: {output!r} is none of these predictions', which are of classes.")
        return (f"{MAIN_OUTPUT}_{output}", *(f"{MAIN_OUTPUT}_{output}_{end}" for end in ("low", "high")))
    if meaning.task == "multiclass":
        return (MAIN_OUTPUT, *(f"{MAIN_OUTPUT}_{name}" for name in meaning.outputs))
    return (MAIN_OUTPUT,) if meaning.task == "binary" else (MAIN_OUTPUT, *ENDS)


def join(key: str, version: Version, sources: Sources, seen: npt.NDArray[np.bool_]) -> Joined:
    """One partition's predictions beside their labels; notes in `seen` which labels it has predicted."""
    labels = sources.labels
    further = [name for name in sources.by if name not in labels.segments]
    wanted = columns(sources.meaning, sources.output)
    table = _published(version, [*wanted, *further], sources.store)
    if wanted[0] not in table.column_names:
        raise SettingsError(f"output: the predictions of {key} have no column {wanted[0]!r}. Nothing was evaluated.")
    scores = np.stack([_numbers(table, name) for name in wanted], axis=1)
    label = filled(pc.index_in(table.column(ID), value_set=labels.ids), -1)
    predicted = np.isfinite(scores[:, 0])
    matched = predicted & (label >= 0)
    known_before = matched & (labels.days[label] < _day(key))
    seen[label[matched]] = True
    rows = np.flatnonzero(matched & ~known_before)
    listing = label[rows].astype(np.int64)
    return Joined(
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
            tables.append(parquet.read(list(dict.fromkeys([ID, MAIN_OUTPUT, *held]))))
    return pa.concat_tables(tables)


def _numbers(table: pa.Table, name: str) -> Floats:
    """A column as float64 [n]; NaN where it is null, or where an earlier version did not write it."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    found: Floats = filled(table.column(name), np.nan)
    return found


def _segments(key: str, table: pa.Table, listing: Ints, sources: Sources) -> dict[str, pa.Array]:
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


def _looked_up(name: str, key: str, ids: pa.ChunkedArray, sources: Sources) -> pa.Array:
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
