"""How well probabilities agree with what happened. numpy alone; training and evaluation share it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

BINS = 10
"""Of about equal weight, in which probabilities are held against frequencies."""

LEAST = 1e-15
"""Probability that stands in for 0 where its logarithm is taken."""


@dataclass(frozen=True)
class Bin:
    """Some listings of like probability.

    Attributes:
        said: their mean probability.
        happened: the share of them for which it came true.
        n: how many.
    """

    said: float
    happened: float
    n: int


@dataclass(frozen=True)
class Classification:
    """Probabilities of n listings against their classes.

    Attributes:
        n: listings.
        accuracy: share whose most probable class was right.
        log_loss: mean of -log(probability of the class that it was).
        brier: mean squared distance of the probabilities; of two classes, of the positive one's alone.
        auc: chance that a listing of a class has a higher probability of it than one of another class; for several
            classes the mean over them. None where there is but one class among the listings.
        calibration_error: mean distance of said and happened over `bins`, weighted by their listings.
        bins: of the positive class of two; of the most probable class of several.
    """

    n: int
    accuracy: float
    log_loss: float
    brier: float
    auc: float | None
    calibration_error: float
    bins: tuple[Bin, ...]


def classification(actual: Codes, probabilities: Floats, weights: Floats | None = None) -> Classification:
    """Figures of probabilities.

    Args:
        actual: int64 [n], n >= 1, each listing's class.
        probabilities: float64 [n, classes].
        weights: float64 [n] of the log loss alone; None: equal.
    """
    n, classes = probabilities.shape
    happened = np.arange(classes) == actual[:, None]
    chosen = probabilities.argmax(axis=1)
    squares = (probabilities - happened) ** 2
    if classes == 2:
        bins = reliability(probabilities[:, 1], happened[:, 1])
    else:
        bins = reliability(probabilities.max(axis=1), chosen == actual)
    told = [auc(happened[:, at], probabilities[:, at]) for at in range(1 if classes == 2 else 0, classes)]
    areas = [area for area in told if area is not None]
    return Classification(
        n=n,
        accuracy=float((chosen == actual).mean()),
        log_loss=log_loss(actual, probabilities, weights),
        brier=float(squares[:, 1].mean() if classes == 2 else squares.sum(axis=1).mean()),
        auc=float(np.mean(areas)) if areas else None,
        calibration_error=sum(abs(one.said - one.happened) * one.n for one in bins) / n,
        bins=bins,
    )


def log_loss(actual: Codes, probabilities: Floats, weights: Floats | None = None) -> float:
    """Mean of -log(probability of the class that it was), weighted."""
    told = probabilities[np.arange(len(actual)), actual]
    return float(np.average(-np.log(np.clip(told, LEAST, 1.0)), weights=weights))


def auc(happened: npt.NDArray[np.bool_], scores: Floats) -> float | None:
    """Area under the ROC curve, ties counted half: Mann and Whitney's U over the number of pairs."""
    positive = int(happened.sum())
    negative = len(happened) - positive
    if not (positive and negative):
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    above = ranks[happened].sum() - positive * (positive + 1) / 2
    return float(above / (positive * negative))


def reliability(said: Floats, happened: npt.NDArray[np.bool_]) -> tuple[Bin, ...]:
    """Bins of about equal weight, in the order of their probability; equal probabilities stay together."""
    edges = np.unique(np.quantile(said, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, said, side="right")
    groups = [place == at for at in range(len(edges) + 1)]
    return tuple(
        Bin(float(said[rows].mean()), float(happened[rows].mean()), int(rows.sum())) for rows in groups if rows.any()
    )
