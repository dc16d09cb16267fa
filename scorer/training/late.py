"""How much the late gate lets the images count, by how many there are: found on predictions out of fold."""

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from scorer.training.images import Embeddings
from scorer.training.objective import Goal
from scorer.training.ridge import Floats, FoldScores, Slots, mean_embeddings, with_beside
from scorer.training.split import Rows

SHARES = np.linspace(0, 1, 101)
FEWEST = 20
"""Listings with so many images at least, to say how much so many count."""


def fit_shares(
    numbers: Floats, second: FoldScores, values: Embeddings, slots: Slots, goal: Goal, folds: Rows, seed: int
) -> npt.NDArray[np.float32]:
    """How much the images should count, by how many there are: float32 [most + 1, O], row 0 zero, never falling.

    For each number of images the share with the least loss, on predictions out of fold, of listings with at least so
    many, of which so many are drawn. More images never count less, so that taking some away cannot help.

    Args:
        numbers: float64 [m, O], out of fold; NaN where unknown.
        second: linear scores of mean embedding and, after it, the numbers' score.
        values: float32 [slots, D].
        slots: int32 [m, K].
        goal: of the same rows.
        folds: int64 [m].
        seed: of the drawing.
    """
    counts = (slots >= 0).sum(axis=1)
    most = int(counts.max(initial=0))
    random = np.random.default_rng(seed)
    found, weights = np.zeros((most + 1, goal.width)), np.zeros(most + 1)
    for count in range(1, most + 1):
        rows = np.flatnonzero((counts >= count) & (folds >= 0) & np.isfinite(numbers).all(axis=1))
        weights[count] = len(rows)
        if len(rows) < FEWEST:
            found[count] = found[count - 1]
            continue
        means = mean_embeddings(values, some_images(slots[rows], count, random))
        opinion = second.out_of_fold(with_beside(means, numbers[rows]), folds[rows])
        found[count] = best_share(numbers[rows], opinion, goal.take(rows))
    for output in range(goal.width if most else 0):
        rising = IsotonicRegression(y_min=0, y_max=1)
        found[1:, output] = rising.fit(np.arange(most), found[1:, output], weights[1:] + 1).predict(np.arange(most))
    return found.astype(np.float32)


def some_images(slots: Slots, count: int, random: np.random.Generator) -> Slots:
    """So many of each listing's images, drawn by lot: int32 [m, count]; it must have as many."""
    lots = np.where(slots >= 0, random.random(slots.shape), 2.0)
    return np.take_along_axis(slots, np.argsort(lots, axis=1)[:, :count], axis=1)


def best_share(numbers: Floats, second: Floats, goal: Goal) -> Floats:
    """float64 [O]: the share of the way from one score to the other with the least mean loss."""
    losses = [goal.mean_losses(numbers + share * (second - numbers)) for share in SHARES]
    best: Floats = SHARES[np.argmin(losses, axis=0)]
    return best
