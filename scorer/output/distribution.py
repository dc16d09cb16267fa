"""How features, scores and images of some rows are distributed: counts in fixed bins, which add up over units.

The bins are the bundle's: those of its profile of the training data. So a night, the night before and the training can
be held against each other without the rows.
"""

import math
from collections.abc import Iterable
from functools import reduce
from typing import Literal

from pydantic import Field

from scorer.settings import Settings

Kind = Literal["number", "boolean", "category"]


class Distribution(Settings):
    """The values of one column."""

    kind: Kind = "number"
    edges: tuple[float, ...] = ()
    """Numbers: inner edges, ascending. Bin k holds what is at or above edge k-1 and below edge k."""
    values: tuple[str, ...] = ()
    """Booleans and categories: the values that have a bin of their own. One more bin holds all others."""
    counts: tuple[int, ...] = ()
    """Rows in each bin: one bin more than edges, or values. Empty where nothing was counted."""
    missing: int = 0
    """Rows without a value: null, not a number, beyond float32."""

    @property
    def there(self) -> int:
        """Rows with a value."""
        return sum(self.counts)

    @property
    def rows(self) -> int:
        """Rows with and without a value."""
        return self.there + self.missing

    def fits(self, other: "Distribution") -> bool:
        """Whether both count in the same bins."""
        return (self.kind, self.edges, self.values) == (other.kind, other.edges, other.values)

    def plus(self, other: "Distribution") -> "Distribution":
        """Both together. Raises ValueError where the bins are others: units of two bundles, a bug."""
        if not self.counts or not other.counts:
            filled, empty = (self, other) if self.counts else (other, self)
            return filled.model_copy(update={"missing": filled.missing + empty.missing})
        if not self.fits(other):
            raise ValueError("distributions over different bins cannot be added")
        counts = tuple(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        return self.model_copy(update={"counts": counts, "missing": self.missing + other.missing})


class ScoreDistribution(Settings):
    """The predictions of the rows that have one."""

    histogram: Distribution = Distribution()
    """`missing` counts the failed rows."""
    low: float | None = None
    """Lower end of what the training's targets span, widened; None where the bundle does not say."""
    high: float | None = None
    """Upper end of it."""
    below: int = 0
    """Scores below `low`."""
    above: int = 0
    """Scores above `high`."""
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    """Standard deviation, of the population."""

    @property
    def scored(self) -> int:
        """Rows with a score."""
        return self.histogram.there

    def plus(self, other: "ScoreDistribution") -> "ScoreDistribution":
        """Both together, mean and deviation without loss."""
        mean, deviation = _pooled(self, other)
        return ScoreDistribution(
            histogram=self.histogram.plus(other.histogram),
            low=self.low if self.low is not None else other.low,
            high=self.high if self.high is not None else other.high,
            below=self.below + other.below,
            above=self.above + other.above,
            minimum=min(_there(self.minimum, other.minimum), default=None),
            maximum=max(_there(self.maximum, other.maximum), default=None),
            mean=mean,
            deviation=deviation,
        )


class Mean(Settings):
    """Of some column's values."""

    rows: int = 0
    """With a value."""
    mean: float = 0.0
    absolute: float = 0.0
    """Mean of the absolute values."""

    def plus(self, other: "Mean") -> "Mean":
        """Both together."""
        rows = self.rows + other.rows
        share = other.rows / rows if rows else 0.0
        mean = self.mean + (other.mean - self.mean) * share
        return Mean(rows=rows, mean=mean, absolute=self.absolute + (other.absolute - self.absolute) * share)


class Distributions(Settings):
    """All that is compared of a unit, of a run, or of the training."""

    features: dict[str, Distribution] = Field(default_factory=dict)
    """Feature -> its values."""
    scores: ScoreDistribution = ScoreDistribution()
    images: Distribution = Distribution()
    """Usable images per listing."""
    image_effect: Mean = Mean()
    """Of the listings of which an image entered the score."""
    width: Mean = Mean()
    """prediction_high minus prediction_low."""

    def plus(self, other: "Distributions") -> "Distributions":
        """Both together."""
        names = dict.fromkeys([*self.features, *other.features])
        nothing = Distribution()
        features = {name: self.features.get(name, nothing).plus(other.features.get(name, nothing)) for name in names}
        return Distributions(
            features=features,
            scores=self.scores.plus(other.scores),
            images=self.images.plus(other.images),
            image_effect=self.image_effect.plus(other.image_effect),
            width=self.width.plus(other.width),
        )


def add(parts: Iterable[Distributions]) -> Distributions:
    """The sum over units."""
    return reduce(Distributions.plus, parts, Distributions())


def image_bins(most: int) -> tuple[float, ...]:
    """Edges that give each number of images from 0 to `most` a bin of its own; the last one holds more, too."""
    return tuple(float(number) for number in range(1, most + 1))


def _pooled(left: ScoreDistribution, right: ScoreDistribution) -> tuple[float | None, float | None]:
    """Mean and deviation of two samples together, from those of each."""
    if left.mean is None or left.deviation is None:
        return right.mean, right.deviation
    if right.mean is None or right.deviation is None:
        return left.mean, left.deviation
    rows, share = left.scored + right.scored, right.scored / (left.scored + right.scored)
    apart = right.mean - left.mean
    squares = left.scored * left.deviation**2 + right.scored * right.deviation**2
    return left.mean + apart * share, math.sqrt(squares / rows + apart**2 * share * (1 - share))


def _there(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]
