"""Intervals from out-of-fold residuals, by split conformal prediction over folds.

The ends are the finite-sample quantile of Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, "Distribution-Free
Predictive Inference for Regression", JASA 113 (2018): of n residuals the ceil((n + 1) x level)-th smallest. On one
held-out part it covers at least `level` of exchangeable listings. Here the residuals come from all folds, each from a
model that had not seen it, while the model that scores was fitted on all listings: that is cross-conformal prediction
(Vovk, 2015), whose coverage is close to `level` and not guaranteed to reach it. So what was really covered is measured,
each fold by ends that the other folds give, and kept beside the ends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from scorer.model.intervals import Band, Intervals

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

Tails = Literal["both", "each"]
"""both: one half-width, from absolute residuals. each: lower and upper end by themselves, for skewed predictions."""

LEAST_WITHOUT_IMAGES = 100
"""Listings without any image from which they have residuals of their own; fewer say little about a tail of 5 %."""

LEAST_IN_SEGMENT = 200
"""Listings of a segment from which it has a band of its own. The share that n residuals cover varies from sample to
sample with a deviation of sqrt(0.9 x 0.1 / n): 2 points at 200."""

MOST_SEGMENTS = 200
"""Those with the most listings; the others share a band."""


@dataclass(frozen=True)
class OutOfFold:
    """Every training listing as a model saw it that was fitted without its fold. All in the network's scale.

    Attributes:
        truth: float64 [n].
        with_images: predictions from all that the listing has, float64 [n].
        without: predictions with its images taken away, float64 [n].
        has_images: bool [n].
        fold: int64 [n].
        segments: n texts or Nones; None: no segments.
    """

    truth: Floats
    with_images: Floats
    without: Floats
    has_images: Mask
    fold: npt.NDArray[np.int64]
    segments: Sequence[str | None] | None = None


def fit_intervals(
    seen: OutOfFold, level: float, by: str | None = None, tails: Tails = "both", at_once: bool = False
) -> Intervals | None:
    """Bands for listings with and without an image, and for each segment that has enough listings.

    Args:
        seen: the residuals' sources.
        level: share of the truths to hold.
        by: name of the column that the segments come from.
        tails: see `Tails`.
        at_once: one band for all listings, where the images tell nothing apart.

    Returns:
        None where there are too few listings for any band: at 90 %, fewer than nine.
    """
    bands = []
    for images in (None,) if at_once else (True, False):
        residuals, rows, taken_away = _residuals(seen, images)
        fold = seen.fold[rows]
        groups: list[tuple[str | None, Mask]] = [(None, np.ones(len(residuals), np.bool_))]
        if seen.segments is not None:
            groups += _segments(np.array(seen.segments, object)[rows])
        for segment, chosen in groups:
            ends = conformal_ends(residuals[chosen], level, tails)
            if ends is not None:
                covered = coverage(residuals[chosen], fold[chosen], level, tails)
                n = int(chosen.sum())
                low, high = ends
                band = {"low": low, "high": high, "n": n, "coverage": covered, "images_taken_away": taken_away}
                bands.append(Band.model_validate({"images": images, "segment": segment, **band}))
    return Intervals(level=level, by=by, bands=tuple(bands)) if bands else None


def conformal_ends(residuals: Floats, level: float, tails: Tails = "both") -> tuple[float, float] | None:
    """What to add to a prediction for its lower and upper end, low <= 0 <= high; None for too few residuals.

    Args:
        residuals: truth minus prediction, float64 [n].
        level: share of the truths to hold.
        tails: see `Tails`.
    """
    if tails == "both":
        half = _quantile(np.abs(residuals), level)
        return None if half is None else (-half, half)
    below, above = _quantile(-residuals, (1 + level) / 2), _quantile(residuals, (1 + level) / 2)
    # The prediction stays inside, also where nearly all residuals are of one sign; that can only cover more.
    return None if below is None or above is None else (-max(below, 0.0), max(above, 0.0))


def coverage(residuals: Floats, fold: npt.NDArray[np.int64], level: float, tails: Tails = "both") -> float | None:
    """Share of the residuals inside the ends that the other folds give; None where these have too few."""
    inside = []
    for one in np.unique(fold):
        ends = conformal_ends(residuals[fold != one], level, tails)
        if ends is None:
            return None
        held_out = residuals[fold == one]
        inside.append((ends[0] <= held_out) & (held_out <= ends[1]))
    return float(np.concatenate(inside).mean()) if inside else None


def _quantile(values: Floats, level: float) -> float | None:
    """The ceil((n + 1) x level)-th smallest; None where there are fewer."""
    rank = math.ceil((len(values) + 1) * level)
    return float(np.partition(values, rank - 1)[rank - 1]) if rank <= len(values) else None


def _residuals(seen: OutOfFold, images: bool | None) -> tuple[Floats, npt.NDArray[np.int64], bool]:
    """Residuals of a group, its rows, and whether images were taken away for them."""
    if images is None or images:
        rows = np.flatnonzero(seen.has_images) if images else np.arange(len(seen.truth))
        return seen.truth[rows] - seen.with_images[rows], rows, False
    rows = np.flatnonzero(~seen.has_images)
    taken_away = len(rows) < LEAST_WITHOUT_IMAGES
    rows = np.arange(len(seen.truth)) if taken_away else rows
    return seen.truth[rows] - seen.without[rows], rows, taken_away


def _segments(values: npt.NDArray[np.object_]) -> list[tuple[str | None, Mask]]:
    """The segments with enough listings, most first."""
    there = [value for value in values if value is not None]
    names, counts = np.unique(np.array(there, str), return_counts=True)
    order = [at for at in np.argsort(-counts, kind="stable") if counts[at] >= LEAST_IN_SEGMENT]
    return [(str(names[at]), values == str(names[at])) for at in order[:MOST_SEGMENTS]]
