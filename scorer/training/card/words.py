"""The figures of a card as cells of tables, the same in HTML and in Markdown. Texts from outside stay as they are."""

from collections.abc import Sequence

from scorer.pages.words import count, number
from scorer.training.card.content import Card, Section, Segment
from scorer.training.crossval import CrossValidation, Difference

MODEL_HEAD = ("model", "error", "95 % interval", "behind by", "median APE", "R²", "MAE", "listings")
CROSS_HEAD = ("model", "error", "95 % interval", "sd of folds", "behind by")
SEGMENT_HEAD = ("value", "listings", "error", "95 % interval", "bias")

BEHIND = (
    "Behind by: the error of the other minus that of the bundle's own on the same listings, with its 95 % interval."
)


def error(value: float, card: Card | Section) -> str:
    """A main error with its unit."""
    return f"{number(value)}{card.unit}"


def interval(low: float, high: float, signed: bool = False) -> str:
    """From one end to the other."""
    return f"{change(low)} to {change(high)}" if signed else f"{number(low)} to {number(high)}"


def change(value: float) -> str:
    """A difference with its sign."""
    return ("−" if value < 0 else "+") + number(abs(value))


def behind(found: Difference) -> str:
    """A paired difference with its interval, and whether that allows to say anything."""
    said = f"{change(found.mean)} ({interval(found.low, found.high, signed=True)})"
    return said if found.low > 0 else f"{said}, better" if found.high < 0 else f"{said}, within noise"


def cross_rows(found: CrossValidation) -> list[tuple[str, ...]]:
    """One row a way to predict, under `CROSS_HEAD`."""
    unit = " %" if found.measure == "MAPE" else ""
    behind_by = {one.other: behind(one) for one in found.differences}
    return [
        (
            name,
            f"{number(score.error)}{unit}",
            interval(score.low, score.high),
            "–" if score.fold_sd is None else number(score.fold_sd),
            behind_by.get(name, ""),
        )
        for name, score in found.scores.items()
    ]


def model_rows(card: Card | Section) -> list[tuple[str, ...]]:
    """One row a model, under `MODEL_HEAD`."""
    return [
        (
            one.name,
            error(one.error, card),
            interval(one.low, one.high),
            "" if one.behind is None else behind(one.behind),
            "–" if one.metrics.median_ape is None else f"{number(one.metrics.median_ape)} %",
            "–" if one.metrics.r2 is None else f"{one.metrics.r2:.3f}",
            number(one.metrics.mae),
            count(one.metrics.n),
        )
        for one in card.models
    ]


def segment_rows(segments: Sequence[Segment], card: Card) -> list[tuple[str, ...]]:
    """One row a value, under `SEGMENT_HEAD`."""
    return [
        (
            one.value,
            count(one.n),
            error(one.error, card),
            interval(one.low, one.high),
            f"{change(one.bias)}{card.unit}",
        )
        for one in segments
    ]
