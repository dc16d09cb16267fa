"""How far two scorings of the same listings agree, in figures. On float64 arrays of all rows, without pandas."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SHARES = (0.01, 0.05, 0.10)
"""Of the first score: how many listings moved by no more than that."""

TOPS = (10, 100)
"""Listings at the top whose overlap is told, besides the first hundredth."""


@dataclass(frozen=True)
class Overlap:
    """Of the `top` highest listings by either scoring: how many are in both."""

    top: int
    common: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.common / self.top


@dataclass(frozen=True)
class Agreement:
    """Two scorings a and b of the listings that both gave a score.

    Attributes:
        rows: listings compared.
        spearman: correlation of the ranks, ties at their mean rank; None where one of them is constant.
        pearson: correlation of the scores; None likewise.
        mean_difference: of b - a, in the target's unit.
        mean_absolute_difference: in the target's unit.
        within: share of a -> share of the listings that moved by no more.
        overlaps: at the top.
        mean_rank_change: places that a listing moves, as a share of all listings.
        largest_rank_change: of one listing, likewise.
    """

    rows: int
    spearman: float | None
    pearson: float | None
    mean_difference: float
    mean_absolute_difference: float
    within: dict[float, float]
    overlaps: tuple[Overlap, ...]
    mean_rank_change: float
    largest_rank_change: float


def agreement(first: Floats, second: Floats) -> Agreement:
    """Compare finite scores float64 [n] of the same listings in the same order, n >= 1."""
    moved, number = second - first, len(first)
    ranks = mean_ranks(first), mean_ranks(second)
    places = np.abs(ranks[1] - ranks[0]) / number
    return Agreement(
        rows=number,
        spearman=correlation(*ranks),
        pearson=correlation(first, second),
        mean_difference=float(moved.mean()),
        mean_absolute_difference=float(np.abs(moved).mean()),
        within={share: float((np.abs(moved) <= share * np.abs(first)).mean()) for share in SHARES},
        overlaps=tuple(_overlap(first, second, top) for top in _tops(number)),
        mean_rank_change=float(places.mean()),
        largest_rank_change=float(places.max()),
    )


def mean_ranks(values: Floats) -> Floats:
    """Ranks from 1 float64 [n], lowest first; equal values share the mean of their ranks."""
    _, position, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[position]
    return ranks


def correlation(first: Floats, second: Floats) -> float | None:
    """Pearson's; None where one of them does not vary."""
    left, right = first - first.mean(), second - second.mean()
    scale = np.sqrt((left @ left) * (right @ right))
    return float(left @ right / scale) if scale > 0 else None


class Movers:
    """The few listings that move most, kept while millions pass by.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[tuple[float, dict[str, Any]]] = []

    def add(self, ids: Sequence[Any], first: Floats, second: Floats) -> None:
        """Some listings with both scores; those that lack one are passed over. Ids may be Arrow's."""
        distance = np.abs(second - first)
        distance[~np.isfinite(distance)] = -1.0
        for at in np.argsort(-distance, kind="stable")[: self._most]:
            if distance[at] >= 0:
                scores = {"a": float(first[at]), "b": float(second[at]), "difference": float(second[at] - first[at])}
                self._kept.append((float(distance[at]), {"listing_id": str(ids[int(at)]), **scores}))
        self._kept.sort(key=lambda pair: -pair[0])
        del self._kept[self._most :]

    @property
    def found(self) -> list[dict[str, Any]]:
        """listing_id, a, b, difference; the farthest first."""
        return [values for _, values in self._kept]


def _tops(number: int) -> list[int]:
    return sorted({min(top, number) for top in (*TOPS, max(1, number // 100))})


def _overlap(first: Floats, second: Floats, top: int) -> Overlap:
    highest = [set(np.argsort(-scores, kind="stable")[:top].tolist()) for scores in (first, second)]
    return Overlap(top, len(highest[0] & highest[1]))
