"""Published predictions against labels that arrived since: error over time, and by segment."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scorer.errors import NothingToDo
from scorer.intake.partitions import reading
from scorer.model.readout import Meaning
from scorer.objectstore import ObjectStore
from scorer.output.commit import Version
from scorer.output.predictions import MEANING
from scorer.run.accuracy import Accuracy, Floats, Ints, accuracy, classified
from scorer.run.history import current_versions, published_keys
from scorer.run.joined import Joined, Sources, join
from scorer.run.labels import Labels, filled
from scorer.settings import Housekeeping

SEGMENTS = 30
"""Values of one column that are reported, those with the most labels; the others are one more line."""

OTHERS, NONE = "(others)", "(none)"


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
        of_other_classes: partitions left out because their predictions are of another task, or of other classes, than
            the last one's.
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
    of_other_classes: int
    labels_repeated: int
    labels_unusable: int

    def plain(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def evaluate(
    wanted: Housekeeping,
    labels: Labels,
    store: ObjectStore,
    *,
    by: Sequence[str] = (),
    last: int | None = None,
    listings: str | None = None,
    output: str | None = None,
) -> Evaluation:
    """Hold published predictions, as readers see them now, against labels.

    Args:
        wanted: where predictions are published; its partition, if any, is the only one looked at.
        labels: one a listing.
        store: where all is.
        by: columns to report by: of the labels, of the predictions, or of the listings.
        last: so many partitions, the last by key; None: all.
        listings: where the columns of `by` are looked up that neither labels nor predictions hold.
        output: a further output of the predictions, to be held against the labels in place of the main one.

    Raises:
        NothingToDo: nothing was published there, or there is no usable label.
        SettingsError: nobody has a column of `by`, or the predictions have no such output.
        InputError: files cannot be read.
    """
    if not len(labels.ids):
        raise NothingToDo(f"The labels hold no usable row ({labels.unusable:,} without id or finite value).")
    versions = _versions(wanted, last, store)
    meanings = {key: _meaning(version, store) for key, version in versions.items()}
    meaning = list(meanings.values())[-1]
    alike = {key: versions[key] for key, other in meanings.items() if _alike(other, meaning)}
    sources = Sources(labels, tuple(by), listings, store, meaning, output)
    seen = np.zeros(len(labels.ids), np.bool_)
    joined = [join(key, version, sources, seen) for key, version in alike.items()]
    return Evaluation(
        overall=_accuracy(joined, meaning),
        partitions=tuple(Slice(one.key, one.predictions, _accuracy([one], meanings[one.key])) for one in joined),
        segments={name: _by(name, joined, meaning) for name in by},
        labels=len(labels.ids),
        labels_without_prediction=int((~seen).sum()),
        predictions_without_label=sum(one.predictions - one.known_before - len(one.actual) for one in joined),
        known_before=sum(one.known_before for one in joined),
        failed=sum(one.failed for one in joined),
        of_other_classes=len(versions) - len(alike),
        labels_repeated=labels.repeated,
        labels_unusable=labels.unusable,
    )


def classes(wanted: Housekeeping, last: int | None, store: ObjectStore) -> tuple[str, ...]:
    """Names of the classes that the last of the predictions are of; empty for regression. Raises as `evaluate`."""
    return _meaning(list(_versions(wanted, last, store).values())[-1], store).classes


def _versions(wanted: Housekeeping, last: int | None, store: ObjectStore) -> dict[str, Version]:
    """What readers see of each partition looked at, in the order of the keys."""
    keys = [key for key in sorted(published_keys(wanted.state_uri, store)) if wanted.partition in (None, key)]
    versions = current_versions(wanted.state_uri, keys[-last:] if last else keys, store)
    if not versions:
        what = wanted.partition or wanted.predictions
        raise NothingToDo(f"Nothing was ever published for {what}: there is no record in {wanted.state_uri}.")
    return versions


def _meaning(version: Version, store: ObjectStore) -> Meaning:
    """What the predictions of a version mean; files of earlier versions do not say, and are of regression."""
    uri = version.predictions[0].uri
    with reading(uri), store.open(uri) as handle:
        said = (pq.ParquetFile(handle).schema_arrow.metadata or {}).get(MEANING.encode())
    return Meaning.model_validate_json(said) if said else Meaning()


def _alike(one: Meaning, other: Meaning) -> bool:
    return (one.task, one.classes, one.outputs) == (other.task, other.classes, other.outputs)


def _accuracy(joined: Sequence[Joined], meaning: Meaning) -> Accuracy:
    actual, predicted, listing = _together(joined)
    return _figures(actual, predicted, listing, meaning)


def _together(joined: Sequence[Joined]) -> tuple[Floats, Floats, Ints]:
    parts = [(one.actual, one.predicted, one.listing) for one in joined]
    actual, predicted, listing = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return actual, predicted, listing


def _figures(actual: Floats, predicted: Floats, listing: Ints, meaning: Meaning) -> Accuracy:
    """Errors, or how well probabilities agree with the classes."""
    if meaning.task == "regression":
        return accuracy(actual, predicted[:, 0], listing, (predicted[:, 1], predicted[:, 2]), meaning.level)
    binary = meaning.task == "binary"
    probabilities = np.stack([1 - predicted[:, 0], predicted[:, 0]], axis=1) if binary else predicted[:, 1:]
    return classified(actual.astype(np.int64), probabilities)


def _by(name: str, joined: Sequence[Joined], meaning: Meaning) -> tuple[Slice, ...]:
    """The values of one column, most labels first; those beyond `SEGMENTS` together."""
    values = pa.chunked_array([one.segments[name] for one in joined]).combine_chunks().dictionary_encode()
    names = [*values.dictionary.to_pylist(), NONE]
    code = filled(pa.chunked_array([values.indices]), len(names) - 1)
    counts = np.bincount(code, minlength=len(names))
    order = [at for at in np.argsort(-counts, kind="stable") if counts[at]]
    actual, predicted, listing = _together(joined)
    groups = [(names[at], code == at) for at in order[:SEGMENTS]]
    if len(order) > SEGMENTS:
        groups.append((OTHERS, np.isin(code, order[SEGMENTS:])))
    return tuple(
        Slice(text, None, _figures(actual[rows], predicted[rows], listing[rows], meaning)) for text, rows in groups
    )
