"""Geometry of the plots: everything in a square of 100 by 100 that the page stretches to its width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scorer.pages.words import number


@dataclass(frozen=True)
class Shares:
    """One distribution over the classes of a histogram; `kind` names its colour: now, last or training."""

    kind: str
    name: str
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Box:
    """A rectangle, y downwards, in percent of the plot."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Histogram:
    """Distributions over the same classes: the first as bars, the others as lines of steps over them.

    Attributes:
        series: the first one is this run's.
        classes: what each class holds, in words.
        ticks: values along the axis, from left to right, evenly spread.
    """

    series: tuple[Shares, ...]
    classes: tuple[str, ...]
    ticks: tuple[str, ...]

    @property
    def top(self) -> float:
        """The share that the upper end of the plot stands for."""
        return ceiling(max((share for one in self.series for share in one.shares), default=0.0))

    @property
    def bars(self) -> tuple[Box, ...]:
        """This run's shares; each fills 86 % of its class."""
        shares = self.series[0].shares
        width = 100 / max(len(shares), 1)
        heights = [100 * share / self.top for share in shares]
        return tuple(Box(width * (at + 0.07), 100 - height, width * 0.86, height) for at, height in enumerate(heights))

    def steps(self, one: Shares) -> str:
        """An SVG path along the tops of the classes."""
        width = 100 / max(len(one.shares), 1)
        parts = []
        for at, share in enumerate(one.shares):
            parts.append(f"{'V' if at else 'M0 '}{100 - 100 * share / self.top:.2f}H{width * (at + 1):.3f}")
        return "".join(parts)


def between(edges: Sequence[float]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the classes that inner edges make, and up to five ticks along them."""
    texts = [number(edge) for edge in edges]
    if not texts:
        return ("all",), ()
    classes = (f"below {texts[0]}", *(f"{a} to {b}" for a, b in pairwise(texts)), f"{texts[-1]} up")
    wanted = min(5, len(texts))
    picked = [round((len(texts) - 1) * at / max(wanted - 1, 1)) for at in range(wanted)]
    return classes, tuple(texts[at] for at in picked)


@dataclass(frozen=True)
class Curve:
    """A quantity over time.

    Attributes:
        points: x and y in the unit of what is shown; x ascends.
        x_top: where the plot ends on the right.
        y_top: what its upper end stands for.
    """

    points: tuple[tuple[float, float], ...]
    x_top: float
    y_top: float

    @property
    def line(self) -> str:
        """An SVG path through the points."""
        placed = [
            f"{100 * x / self.x_top if self.x_top else 0:.2f} {100 - 100 * y / self.y_top:.2f}" for x, y in self.points
        ]
        return "M" + "L".join(placed) if placed else ""

    @property
    def area(self) -> str:
        """The same, closed along the axis."""
        if not self.points:
            return ""
        first, last = self.points[0][0], self.points[-1][0]
        x = [100 * at / self.x_top if self.x_top else 0 for at in (last, first)]
        return f"{self.line}L{x[0]:.2f} 100L{x[1]:.2f} 100Z"


def curve(points: Sequence[tuple[float, float]], x_top: float | None = None, y_top: float | None = None) -> Curve:
    """A curve whose plot ends at round figures above the highest point."""
    right = x_top if x_top is not None else max((x for x, _ in points), default=1.0)
    high = y_top if y_top is not None else ceiling(max((y for _, y in points), default=0.0))
    return Curve(tuple(points), max(right, 1e-9), max(high, 1e-9))


def ceiling(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten; 1 for nothing."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15) if power * step >= value * 0.999999)
