"""The card as one HTML file that loads nothing."""

from dataclasses import dataclass

from scorer.pages.plots import ceiling
from scorer.pages.render import render
from scorer.pages.words import count, number
from scorer.training.card.content import Card, Change, Curve, Point
from scorer.training.card.words import BEHIND, change, cross_rows, error, interval, model_rows, segment_rows

DOTS = (
    ".dot{fill:none;stroke:var(--now);stroke-width:9;stroke-linecap:round;vector-effect:non-scaling-stroke}"
    ".line-ideal{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:5 4}"
    ".line-stop{stroke:var(--training)}"
    ".cards .picture{image-rendering:auto}"
)


@dataclass(frozen=True)
class Scatter:
    """Points in a square of 100 by 100, and the diagonal on which they should lie."""

    dots: tuple[tuple[float, float], ...]
    line: str
    ticks: tuple[str, str, str]


@dataclass(frozen=True)
class Lines:
    """Two losses over the epochs as SVG paths; `top` is what the upper end stands for."""

    name: str
    training: str
    validation: str
    top: str
    epochs: str
    told: str


@dataclass(frozen=True)
class Bar:
    """A rise of the error beside the largest one, as a share of it."""

    what: str
    share: float
    error: str
    rise: str
    interval: str


def html(card: Card) -> bytes:
    """The page, UTF-8. Whatever the data hold is escaped, and nothing in it can load or run anything."""
    text = render(
        "scorer.training.card",
        "card.html",
        [DOTS],
        card=card,
        models=model_rows(card),
        behind=BEHIND,
        further=[(one, model_rows(one)) for one in card.further],
        crossed=[(one, cross_rows(one.found)) for one in card.crossed],
        scatter=scatter(card.calibration),
        curves=[lines(curve, f"curve-{at}") for at, curve in enumerate(card.curves)],
        features=bars(card.features, card.unit),
        images=bars(card.images, card.unit),
        segments=[(column, segment_rows(rows, card)) for column, rows in card.columns],
        error=lambda value: error(value, card),
        interval=interval,
        change=change,
    )
    return text.encode()


def scatter(points: tuple[Point, ...]) -> Scatter | None:
    """Both axes from the lowest to the highest of all values; None of fewer than two points."""
    values = [value for point in points for value in (point.predicted, point.actual)]
    if len(points) < 2 or min(values) == max(values):
        return None
    low, high = min(values), max(values)

    def at(value: float) -> float:
        return 4 + 92 * (value - low) / (high - low)

    dots = tuple((at(point.predicted), 100 - at(point.actual)) for point in points)
    line = "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in dots)
    return Scatter(dots, line, (number(low), number((low + high) / 2), number(high)))


def lines(curve: Curve, name: str) -> Lines:
    """The two losses of one training."""
    top = ceiling(max((*curve.training, *curve.validation), default=1.0))
    last = max(len(curve.training) - 1, 1)

    def path(values: tuple[float, ...]) -> str:
        return "M" + "L".join(f"{100 * x / last:.2f} {100 - 100 * y / top:.2f}" for x, y in enumerate(values))

    best = min(range(len(curve.validation)), key=lambda epoch: curve.validation[epoch], default=0)
    told = f"{curve.name}: {count(len(curve.training))} epochs; the least validation loss after epoch {best + 1}."
    return Lines(name, path(curve.training), path(curve.validation), number(top), str(len(curve.training)), told)


def bars(changes: tuple[Change, ...], unit: str) -> list[Bar]:
    """Each rise beside the largest one; falls have no bar."""
    largest = max((one.rise for one in changes), default=0.0)
    return [
        Bar(
            one.what,
            max(0.0, one.rise / largest) if largest > 0 else 0.0,
            f"{number(one.error)}{unit}",
            change(one.rise),
            interval(one.low, one.high, signed=True),
        )
        for one in changes
    ]
