"""All that a card says, as plain values: the HTML and the Markdown are drawn from the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from scorer.training.crossval import Crossed, Difference
from scorer.training.evaluate import Metrics
from scorer.training.yardstick import Yardstick

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ModelErrors:
    """One model on the test listings.

    Attributes:
        name: for people.
        metrics: its errors.
        error: the main error.
        low: lower end of its 95 % interval.
        high: upper end.
        behind: how far it is behind the bundle's own, paired by listing; None of that itself.
    """

    name: str
    metrics: Metrics
    error: float
    low: float
    high: float
    behind: Difference | None


@dataclass(frozen=True)
class Segment:
    """The error on the test listings that have one value in common.

    Attributes:
        column: a feature, the target, or the number of images.
        value: as words.
        n: listings.
        error: main error.
        low: lower end of its 95 % interval.
        high: upper end.
        bias: mean of prediction minus actual value, in % of the actual one where the main error is.
    """

    column: str
    value: str
    n: int
    error: float
    low: float
    high: float
    bias: float


@dataclass(frozen=True)
class Change:
    """What the main error rises by when something is spoilt, on the same listings, with its 95 % interval."""

    what: str
    error: float
    rise: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """The test listings with predictions of one size: what was predicted for them and what they were, on average."""

    predicted: float
    actual: float
    n: int


@dataclass(frozen=True)
class Curve:
    """Losses by epoch of one network's training: of the rows it learns from, and of those that stop it."""

    name: str
    training: tuple[float, ...]
    validation: tuple[float, ...]


@dataclass(frozen=True)
class Worst:
    """One of the test listings that were missed most; `picture` is a data URI, empty if it has no usable image."""

    listing_id: str
    actual: float
    predicted: float
    error: float
    images: int
    picture: str


@dataclass(frozen=True)
class Section:
    """What a card says of a further target.

    Attributes:
        target: column.
        verdict: whether the images help.
        yardstick: the main error.
        models: errors on the test listings, the bundle's own model last.
        intervals: how often the interval held the actual value.
    """

    target: str
    verdict: str
    yardstick: Yardstick
    models: tuple[ModelErrors, ...]
    intervals: Pairs

    @property
    def unit(self) -> str:
        """Behind an error."""
        return self.yardstick.unit


@dataclass(frozen=True)
class Card:
    """A card, section by section; what is empty or None is left out.

    Attributes:
        name: of the bundle.
        target: column.
        verdict: whether the images help.
        yardstick: the main error.
        about: what the model is.
        data: what it learned from.
        leaks: what hangs together among the listings.
        split: how they were divided.
        models: errors on the test listings, the bundle's own model last.
        crossed: cross-validations, and what they say.
        images: what missing or wrong images do.
        features: what each feature is worth, the most important first.
        segments: where the model is better and worse.
        calibration: predicted against actual, ascending.
        intervals: how often the prediction's interval held the actual value.
        curves: of the trainings.
        sizes: test error by listings learned from, in words.
        worst: the most wrong first.
        limits: what the model should not be used for, and what its figures do not say.
        further: of the further targets; the other sections are of the first one.
    """

    name: str
    target: str
    verdict: str
    yardstick: Yardstick
    about: Pairs
    data: Pairs
    leaks: str
    split: str
    models: tuple[ModelErrors, ...]
    crossed: tuple[Crossed, ...]
    images: tuple[Change, ...]
    features: tuple[Change, ...]
    segments: tuple[Segment, ...]
    calibration: tuple[Point, ...]
    intervals: Pairs
    curves: tuple[Curve, ...]
    sizes: Pairs
    worst: tuple[Worst, ...]
    limits: tuple[str, ...]
    further: tuple[Section, ...] = ()

    @property
    def unit(self) -> str:
        """Behind an error."""
        return self.yardstick.unit

    @property
    def columns(self) -> tuple[tuple[str, Sequence[Segment]], ...]:
        """The segments by column, in order."""
        names = dict.fromkeys(segment.column for segment in self.segments)
        return tuple((name, [one for one in self.segments if one.column == name]) for name in names)
