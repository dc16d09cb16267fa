"""What the late gate needs: a linear score of the images in closed form, and how much it should count.

A linear score of the mean embedding, found by ridge regression, was better than the same layer trained by gradients: 47
against 56 % error by the images alone on 535 houses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from scorer.model.linear import LinearScore
from scorer.training.images import Embeddings
from scorer.training.robust import huber
from scorer.training.split import Rows

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.int32]

STRENGTHS = tuple(np.logspace(-3, 3, 13))
"""Penalties to choose from, in units of the mean variance that a direction of the embeddings has."""

CHUNK = 8192
"""Listings whose mean embeddings are held at a time: 84 MB at 1,280 values."""

SHARES = np.linspace(0, 1, 101)
FEWEST = 20
"""Listings with so many images at least, to say how much so many count."""


@dataclass(frozen=True)
class ImageScores:
    """The linear score of the images, and those that had not seen a fold.

    Attributes:
        whole: fitted on all rows with images.
        of_fold: fold -> fitted without it.
    """

    whole: LinearScore
    of_fold: dict[int, LinearScore]

    def out_of_fold(self, means: Floats, folds: Rows) -> Floats:
        """float64 [m, O] for mean embeddings [m, D]; NaN for rows that were never held out."""
        outputs = len(self.whole.bias)
        found = np.full((len(means), outputs), np.nan)
        for fold, score in self.of_fold.items():
            rows = folds == fold
            found[rows] = score(means[rows])
        return found


def mean_embeddings(values: Embeddings, slots: Slots) -> Floats:
    """Mean over each listing's images, float64 [m, D]; zeros without any, as in the graph.

    Args:
        values: float32 [slots, D].
        slots: int32 [m, K], -1 where there is no image.
    """
    there = slots >= 0
    total = np.zeros((len(slots), values.shape[1]))
    for place in range(slots.shape[1]):
        rows = np.flatnonzero(there[:, place])
        total[rows] += values[slots[rows, place]]
    means: Floats = total / np.maximum(there.sum(axis=1), 1)[:, None]
    return means


def fit_image_scores(values: Embeddings, slots: Slots, goal: Floats, folds: Rows) -> ImageScores:
    """Ridge regression of the goal on the mean embeddings, its strength chosen on what was held out.

    What is kept of the listings are sums, so their number does not matter for the memory.

    Args:
        values: float32 [slots, D].
        slots: int32 [m, K] of the rows to learn from.
        goal: float64 [m, O].
        folds: int64 [m], -1: never held out.
    """
    rows = np.flatnonzero((slots >= 0).any(axis=1))
    if not len(rows):
        nothing = LinearScore(np.zeros((values.shape[1], goal.shape[1])), goal.mean(axis=0))
        return ImageScores(nothing, {int(fold): nothing for fold in np.unique(folds[folds >= 0])})
    listings = _Listings(values, slots[rows], goal[rows], folds[rows])
    sums = listings.sums()
    everything = sum(sums.values(), _Sums.empty(listings.width, goal.shape[1]))
    solvers = {fold: _Solver(everything - part) for fold, part in sums.items() if fold >= 0}
    strength = listings.best_strength(solvers)
    whole = _Solver(everything)
    return ImageScores(
        listings.turned_back(whole.at(strength)),
        {fold: listings.turned_back(solver.at(strength)) for fold, solver in solvers.items()},
    )


def fit_shares(
    numbers: Floats, scores: ImageScores, values: Embeddings, slots: Slots, goal: Floats, folds: Rows, seed: int
) -> npt.NDArray[np.float32]:
    """How much the images should count, by how many there are: float32 [most + 1, O], row 0 zero, never falling.

    For each number of images the share with the least loss, on predictions out of fold, of listings with at least so
    many, of which so many are drawn. More images never count less, so that taking some away cannot help.

    Args:
        numbers: float64 [m, O], out of fold; NaN where unknown.
        scores: of the images.
        values: float32 [slots, D].
        slots: int32 [m, K].
        goal: float64 [m, O].
        folds: int64 [m].
        seed: of the drawing.
    """
    counts = (slots >= 0).sum(axis=1)
    most = int(counts.max(initial=0))
    random = np.random.default_rng(seed)
    found, weights = np.zeros((most + 1, goal.shape[1])), np.zeros(most + 1)
    for count in range(1, most + 1):
        rows = np.flatnonzero((counts >= count) & (folds >= 0) & np.isfinite(numbers).all(axis=1))
        weights[count] = len(rows)
        if len(rows) < FEWEST:
            found[count] = found[count - 1]
            continue
        images = scores.out_of_fold(mean_embeddings(values, some_images(slots[rows], count, random)), folds[rows])
        found[count] = best_share(numbers[rows], images, goal[rows])
    for output in range(goal.shape[1] if most else 0):
        rising = IsotonicRegression(y_min=0, y_max=1)
        found[1:, output] = rising.fit(np.arange(most), found[1:, output], weights[1:] + 1).predict(np.arange(most))
    return found.astype(np.float32)


def some_images(slots: Slots, count: int, random: np.random.Generator) -> Slots:
    """So many of each listing's images, drawn by lot: int32 [m, count]; it must have as many."""
    lots = np.where(slots >= 0, random.random(slots.shape), 2.0)
    return np.take_along_axis(slots, np.argsort(lots, axis=1)[:, :count], axis=1)


def best_share(numbers: Floats, images: Floats, goal: Floats) -> Floats:
    """float64 [O]: the share of the way from one score to the other with the least mean loss."""
    losses = [huber(numbers + share * (images - numbers) - goal).mean(axis=0) for share in SHARES]
    best: Floats = SHARES[np.argmin(losses, axis=0)]
    return best


@dataclass(frozen=True)
class _Sums:
    """Of some listings: how many, and sums of x, z, x x^T and x z^T."""

    count: float
    x: Floats
    z: Floats
    xx: Floats
    xz: Floats

    @classmethod
    def empty(cls, width: int, outputs: int) -> "_Sums":
        shapes = (width,), (outputs,), (width, width), (width, outputs)
        return cls(0.0, *(np.zeros(shape) for shape in shapes))

    @classmethod
    def of(cls, x: Floats, z: Floats) -> "_Sums":
        return cls(float(len(x)), x.sum(axis=0), z.sum(axis=0), x.T @ x, x.T @ z)

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(*(one + another for one, another in zip(self._all(), other._all(), strict=True)))

    def __sub__(self, other: "_Sums") -> "_Sums":
        return _Sums(*(one - another for one, another in zip(self._all(), other._all(), strict=True)))

    def _all(self) -> tuple[Any, ...]:
        return self.count, self.x, self.z, self.xx, self.xz


class _Solver:
    """Ridge regression for any strength, from one decomposition."""

    def __init__(self, sums: _Sums) -> None:
        count = max(sums.count, 1.0)
        self._x, self._z = sums.x / count, sums.z / count
        spread = sums.xx / count - np.outer(self._x, self._x)
        self._values, self._vectors = np.linalg.eigh(spread)
        self._turned = self._vectors.T @ (sums.xz / count - np.outer(self._x, self._z))
        self._unit = max(float(np.trace(spread)) / len(spread), 1e-12)

    def at(self, strength: float) -> LinearScore:
        inverse = 1 / (np.maximum(self._values, 0) + strength * self._unit)
        weights = self._vectors @ (self._turned * inverse[:, None])
        return LinearScore(weights, self._z - self._x @ weights)


class _Listings:
    """Mean embeddings, chunk by chunk; of fewer listings than values turned into as few coordinates, without loss."""

    def __init__(self, values: Embeddings, slots: Slots, goal: Floats, folds: Rows) -> None:
        self._values, self._slots, self._goal, self._folds = values, slots, goal, folds
        self._basis: Floats | None = None
        if len(slots) < values.shape[1]:
            _, _, self._basis = np.linalg.svd(mean_embeddings(values, slots), full_matrices=False)
        self.width = len(slots) if self._basis is not None else values.shape[1]

    def sums(self) -> dict[int, _Sums]:
        found: dict[int, _Sums] = {}
        for x, z, folds in self._chunks():
            for fold in np.unique(folds):
                part = _Sums.of(x[folds == fold], z[folds == fold])
                found[int(fold)] = found[int(fold)] + part if int(fold) in found else part
        return found

    def best_strength(self, solvers: dict[int, _Solver]) -> float:
        losses = np.zeros(len(STRENGTHS))
        scores = {fold: [solver.at(strength) for strength in STRENGTHS] for fold, solver in solvers.items()}
        for x, z, folds in self._chunks():
            for fold, of_fold in scores.items():
                rows = folds == fold
                losses += [np.square(one(x[rows]) - z[rows]).sum() for one in of_fold]
        return float(STRENGTHS[int(np.argmin(losses))])

    def turned_back(self, score: LinearScore) -> LinearScore:
        return score if self._basis is None else LinearScore(self._basis.T @ score.weights, score.bias)

    def _chunks(self) -> Iterator[tuple[Floats, Floats, Rows]]:
        for start in range(0, len(self._slots), CHUNK):
            part = slice(start, start + CHUNK)
            x = mean_embeddings(self._values, self._slots[part])
            yield x if self._basis is None else x @ self._basis.T, self._goal[part], self._folds[part]
