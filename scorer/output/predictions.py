"""Scores of a unit as rows of the predictions contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.contracts import built_in
from scorer.output.fingerprints import as_text, by_name

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Scores = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int32]]

MAIN_OUTPUT = "prediction"

MEANING = "scorer.meaning"
"""Key in the metadata of a file: task, classes, level of the intervals, as JSON."""


@dataclass(frozen=True)
class Origin:
    """Who scores: the same in every row of a run."""

    run_id: str
    bundle_name: str
    bundle_version: str
    bundle_digest: str


@dataclass(frozen=True)
class ScoredRows:
    """The scores of some rows and how they came about.

    Attributes:
        rows: id, features and images, as read.
        scores: output name -> float64 [n].
        reasons: reason -> bool [n], the rows that it degrades.
        images_given: int32 [n].
        images_used: int32 [n].
        ends: output -> both ends of its interval, float64 [n], NaN where there is none.
        classes: n names, for classification.
        image_effect: float64 [n], NaN where it is not known.
        fingerprints: 16 bytes for each row; None: over the rows as they are, images by their names.
    """

    rows: pa.RecordBatch
    scores: Mapping[str, Scores]
    reasons: Mapping[str, Mask]
    images_given: Counts
    images_used: Counts
    ends: Mapping[str, tuple[Scores, Scores]] = field(default_factory=dict)
    classes: Sequence[str] | None = None
    image_effect: Scores | None = None
    fingerprints: Sequence[bytes] | None = None


def schema(names: Sequence[str]) -> pa.Schema:
    """The contract's columns and one more for each further name of `Bundle.columns`."""
    extra = tuple(pa.field(f"{MAIN_OUTPUT}_{name}", pa.float64()) for name in names if name != MAIN_OUTPUT)
    return built_in("predictions").arrow_schema(extra)


def table(scored: ScoredRows, origin: Origin) -> pa.Table:
    """One row for each scored row. A row with any score that is not finite failed: all its predictions are null."""
    count = scored.rows.num_rows
    failed = ~np.logical_and.reduce([np.isfinite(values) for values in scored.scores.values()])
    reasons = {**scored.reasons, "prediction_not_finite": failed}
    degraded = np.logical_or.reduce(list(reasons.values()))
    status = np.where(failed, "failed", np.where(degraded, "degraded", "scored"))
    columns: dict[str, Any] = {
        "listing_id": scored.rows.column("listing_id"),
        "status": pa.array(status.tolist(), pa.string()),
        "reasons": _lists(reasons, count),
        "images_given": pa.array(scored.images_given, pa.int32()),
        "images_used": pa.array(scored.images_used, pa.int32()),
        "bundle_name": _constant(origin.bundle_name, count),
        "bundle_version": _constant(origin.bundle_version, count),
        "bundle_digest": _constant(origin.bundle_digest, count),
        "input_fingerprint": as_text(by_name(scored.rows) if scored.fingerprints is None else scored.fingerprints),
        "carried_from_run": pa.nulls(count, pa.string()),
        "run_id": _constant(origin.run_id, count),
        "scored_at": pa.array([datetime.now(UTC)] * count, pa.timestamp("us", tz="UTC")),
    }
    columns |= {_named(name): pa.array(values, pa.float64(), mask=failed) for name, values in scored.scores.items()}
    further = []
    for output, pair in scored.ends.items():
        for end, values in zip(("low", "high"), pair, strict=True):
            name = end if output == MAIN_OUTPUT else f"{output}_{end}"
            columns[_named(name)] = _known(values, failed)
            further += [name] if output != MAIN_OUTPUT else []
    if scored.classes is not None:
        columns["prediction_class"] = pa.array(scored.classes, pa.string(), mask=failed)
    if scored.image_effect is not None:
        columns["image_effect"] = _known(scored.image_effect, failed)
    return widened(pa.table(columns), schema([*scored.scores, *further]))


def widened(table: pa.Table, target: pa.Schema) -> pa.Table:
    """The table with the columns of a schema, in its order; nullable ones that it lacks are null."""
    missing = {field.name: field for field in target if field.name not in table.column_names and field.nullable}
    columns = [
        pa.nulls(table.num_rows, missing[name].type) if name in missing else table.column(name) for name in target.names
    ]
    return pa.table(columns, names=target.names).cast(target)


def _named(score: str) -> str:
    """The column of a score."""
    return MAIN_OUTPUT if score == MAIN_OUTPUT else f"{MAIN_OUTPUT}_{score}"


def _known(values: Scores, failed: Mask) -> pa.Array:
    """Null where there is no finite value, or no prediction."""
    return pa.array(values, pa.float64(), mask=failed | ~np.isfinite(values))


def _lists(reasons: Mapping[str, Mask], count: int) -> pa.Array:
    """Per row the names of the masks that hold, sorted."""
    names = sorted(reasons)
    held = np.stack([reasons[name] for name in names], axis=1) if names else np.zeros((count, 0), bool)
    offsets = np.concatenate([[0], np.cumsum(held.sum(axis=1))]).astype(np.int32)
    values = pa.array([names[column] for column in np.nonzero(held)[1]], pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _constant(value: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)
