"""The figures of a card as cells of tables, the same in HTML and in Markdown. Texts from outside stay as they are."""

from collections.abc import Sequence

from scorer.pages.words import count, number
from scorer.training.card.content import Card, Segment

MODEL_HEAD = ("model", "error", "95 % interval", "median APE", "R²", "MAE", "listings")
SEGMENT_HEAD = ("value", "listings", "error", "95 % interval", "bias")


def error(value: float, card: Card) -> str:
    """A main error with its unit."""
    return f"{number(value)}{card.unit}"


def interval(low: float, high: float, signed: bool = False) -> str:
    """From one end to the other."""
    return f"{change(low)} to {change(high)}" if signed else f"{number(low)} to {number(high)}"


def change(value: float) -> str:
    """A difference with its sign."""
    return ("−" if value < 0 else "+") + number(abs(value))


def model_rows(card: Card) -> list[tuple[str, ...]]:
    """One row a model, under `MODEL_HEAD`."""
    return [
        (
            one.name,
            error(_main(one.metrics.mape, one.metrics.mae, card), card),
            interval(one.low, one.high),
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


def _main(mape: float | None, mae: float, card: Card) -> float:
    return mape if card.measure == "MAPE" and mape is not None else mae
