"""Counts a unit's features, scores and images into the bins of the bundle's profile."""

from collections.abc import Collection, Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scorer.model.bundle import Bundle
from scorer.model.preprocessing import LARGEST, floats, plain
from scorer.model.readout import Task
from scorer.model.target import TargetTransform
from scorer.output import reference
from scorer.output.distribution import Distribution, Distributions, Mean, ScoreDistribution, image_bins

Floats = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int32]]

BINS = 20
"""Of the scores, where the profile has none."""

EQUAL_PARTS = tuple(step / BINS for step in range(1, BINS))
"""Of probabilities."""

WIDENED = 0.5
"""Of the span of the training's targets, on either side: what the gate `range` still takes for a prediction. Taken
where the network learns, so the logarithm of a price that may not double is half of its decades."""


class Sketcher:
    """The bins of one bundle. Some 0.04 µs a value: a sorted search for numbers, a hash for categories."""

    def __init__(
        self,
        profile: Mapping[str, Any],
        names: Collection[str],
        target: TargetTransform,
        max_images: int,
        task: Task = "regression",
    ) -> None:
        """`names` are the features that rows will have; the rest as the bundle has it."""
        training = reference.training(profile)
        self._columns = {name: column for name, column in training.features.items() if name in names}
        self._scores = training.scores.histogram.edges or (
            _normal_edges(target) if task == "regression" else EQUAL_PARTS
        )
        self._images = training.images.edges or image_bins(max_images)
        self._span = _widened(profile, target) if task == "regression" else (0.0, 1.0)

    @classmethod
    def of(cls, bundle: Bundle) -> "Sketcher":
        """For rows that this bundle scores."""
        return cls(bundle.profile, bundle.preprocessing.names, bundle.target, bundle.max_images, bundle.readout.task)

    def sketch(self, rows: pa.RecordBatch, scores: Floats, images_used: Counts) -> Distributions:
        """The distributions of some predicted rows.

        Args:
            rows: with the features' columns, n rows.
            scores: float64 [n]; not finite where a row failed.
            images_used: int32 [n].
        """
        return Distributions(
            features={name: _counted(rows.column(name), bins) for name, bins in self._columns.items()},
            scores=self._scored(scores),
            images=_numbers(images_used.astype(np.float64), self._images),
        )

    def _scored(self, scores: Floats) -> ScoreDistribution:
        finite = scores[np.isfinite(scores)]
        histogram = Distribution(
            edges=self._scores, counts=_binned(finite, self._scores), missing=len(scores) - len(finite)
        )
        low, high = self._span or (None, None)
        if not len(finite):
            return ScoreDistribution(histogram=histogram, low=low, high=high)
        return ScoreDistribution(
            histogram=histogram,
            low=low,
            high=high,
            below=0 if low is None else int((finite < low).sum()),
            above=0 if high is None else int((finite > high).sum()),
            minimum=float(finite.min()),
            maximum=float(finite.max()),
            mean=float(finite.mean()),
            deviation=float(finite.std()),
        )


def told(table: pa.Table) -> dict[str, Mean]:
    """What rows of predictions say besides their scores: how much images moved them, how wide their intervals are."""
    used, effects = floats(_one(table, "images_used")), floats(_one(table, "image_effect"))
    widths = floats(_one(table, "prediction_high")) - floats(_one(table, "prediction_low"))
    return {"image_effect": _mean(effects[used > 0]), "width": _mean(widths)}


def _one(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()


def _mean(values: Floats) -> Mean:
    there = values[np.isfinite(values)]
    if not len(there):
        return Mean()
    return Mean(rows=len(there), mean=float(there.mean()), absolute=float(np.abs(there).mean()))


def _counted(column: pa.Array, bins: Distribution) -> Distribution:
    """A column of whatever type its feature accepts, in the bins of the training."""
    if bins.kind == "number":
        return _numbers(floats(column), bins.edges)
    # A boolean's text is "true" in Arrow; the profile writes it as Python does.
    values = [value.lower() for value in bins.values] if bins.kind == "boolean" else list(bins.values)
    texts = pc.cast(plain(column), pa.string())
    found = pc.index_in(texts, value_set=pa.array(values, pa.string())).fill_null(len(values))
    counts = np.bincount(found.to_numpy(zero_copy_only=False), minlength=len(values) + 1)
    counts[-1] -= texts.null_count
    return bins.model_copy(update={"counts": tuple(counts.tolist()), "missing": texts.null_count})


def _numbers(values: Floats, edges: tuple[float, ...]) -> Distribution:
    there = values[np.abs(values) <= LARGEST]
    return Distribution(edges=edges, counts=_binned(there, edges), missing=len(values) - len(there))


def _binned(values: Floats, edges: tuple[float, ...]) -> tuple[int, ...]:
    bins = np.searchsorted(np.array(edges), values, side="right")
    return tuple(np.bincount(bins, minlength=len(edges) + 1).tolist())


def _normal_edges(target: TargetTransform) -> tuple[float, ...]:
    """Bins of equal weight if the network's outputs were normal, as its targets were scaled to be."""
    levels = [NormalDist().inv_cdf(level / BINS) for level in range(1, BINS)]
    edges = np.unique(target.inverse(np.array(levels)))
    return tuple(edges[np.isfinite(edges)].tolist())


def _widened(profile: Mapping[str, Any], target: TargetTransform) -> tuple[float, float] | None:
    span = reference.target_span(profile)
    if span is None:
        return None
    with np.errstate(all="ignore"):
        low, high = target.forward(np.array(span))
        ends = target.inverse(np.array([low - WIDENED * (high - low), high + WIDENED * (high - low)]))
    return (float(ends[0]), float(ends[1])) if np.isfinite(ends).all() else None
