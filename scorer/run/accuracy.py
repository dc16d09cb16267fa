"""How wrong predictions were, in figures, with an interval that says how far chance could move them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scorer.model.classification import Classification, Codes, classification

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESAMPLES = 1000
COVERAGE = 0.95
"""Of the bootstrap interval."""

GROUPS = 1000
"""Most groups that are resampled: listings beyond that share one. Means of thousands are steady all the same."""

SEED = 7


@dataclass(frozen=True)
class Coverage:
    """Intervals of n predictions with a label.

    Attributes:
        n: predictions with a label and an interval.
        share: of the labels that lie inside.
        low: lower end of the 95 % interval of `share`.
        high: upper end.
        level: share that the intervals were made to hold; None where the predictions do not say.
    """

    n: int
    share: float
    low: float
    high: float
    level: float | None


@dataclass(frozen=True)
class Accuracy:
    """Errors of n predictions, in the target's unit unless said otherwise. All None where n is 0.

    Attributes:
        n: predictions with a label.
        mae: mean absolute error.
        low: lower end of the 95 % interval of `mae`.
        high: upper end.
        bias: mean of prediction minus label.
        mape: mean absolute error in % of the label; labels of zero are left out.
        median_ape: median of the same.
        coverage: of the intervals; None where there are none.
        classes: for classification, instead of all the errors.
    """

    n: int
    mae: float | None = None
    low: float | None = None
    high: float | None = None
    bias: float | None = None
    mape: float | None = None
    median_ape: float | None = None
    coverage: Coverage | None = None
    classes: Classification | None = None


def accuracy(
    actual: Floats,
    predicted: Floats,
    listing: Ints,
    ends: tuple[Floats, Floats] | None = None,
    level: float | None = None,
) -> Accuracy:
    """Errors of predictions.

    Args:
        actual: labels, float64 [n], finite.
        predicted: float64 [n], finite.
        listing: int64 [n]; predictions of one listing on many nights are alike, so they are resampled together.
        ends: both ends of the intervals, float64 [n], NaN where there is none; None: nowhere.
        level: share of the labels that the intervals were made to hold.
    """
    if not len(actual):
        return Accuracy(0)
    error = predicted - actual
    absolute = np.abs(error)
    nonzero = actual != 0
    shares = 100 * absolute[nonzero] / np.abs(actual[nonzero])
    low, high = interval(absolute, listing)
    return Accuracy(
        n=len(actual),
        mae=float(absolute.mean()),
        low=low,
        high=high,
        bias=float(error.mean()),
        mape=float(shares.mean()) if len(shares) else None,
        median_ape=float(np.median(shares)) if len(shares) else None,
        coverage=_coverage(actual, listing, ends, level) if ends is not None else None,
    )


def classified(actual: Codes, probabilities: Floats) -> Accuracy:
    """Figures of probabilities float64 [n, classes] against classes int64 [n]."""
    return Accuracy(len(actual), classes=classification(actual, probabilities) if len(actual) else None)


def _coverage(actual: Floats, listing: Ints, ends: tuple[Floats, Floats], level: float | None) -> Coverage | None:
    there = np.isfinite(ends[0]) & np.isfinite(ends[1])
    if not there.any():
        return None
    inside = ((ends[0] <= actual) & (actual <= ends[1]))[there].astype(np.float64)
    low, high = interval(inside, listing[there])
    return Coverage(len(inside), float(inside.mean()), low, high, level)


def interval(values: Floats, listing: Ints) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of values float64 [n], by listing int64 [n]. The same at every call."""
    random = np.random.default_rng(SEED)
    _, group = np.unique(listing, return_inverse=True)
    number = int(group.max()) + 1
    if number > GROUPS:
        group = random.permutation(number)[group] % GROUPS
        number = GROUPS
    sums, counts = np.bincount(group, values, number), np.bincount(group, minlength=number)
    drawn = random.integers(0, number, (RESAMPLES, number))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)
