"""The card as Markdown: for reviews, registries and whoever has no browser at hand."""

import re
from collections.abc import Iterable, Sequence

from scorer.pages.words import number, visible
from scorer.training.card.content import Card, Change, Curve, Pairs, Section
from scorer.training.card.words import (
    BEHIND,
    CROSS_HEAD,
    MODEL_HEAD,
    SEGMENT_HEAD,
    change,
    cross_rows,
    error,
    interval,
    model_rows,
    segment_rows,
)

SPECIAL = re.compile(r"([!-/:-@\[-`{-~])")
"""ASCII's punctuation: all that can mean something in Markdown or in the HTML within it."""

HARMLESS = frozenset(" ,.;()%+'?")
"""Means nothing inside a line that begins with a letter of ours. A colon would make a link of http://."""


def text(value: object, longest: int = 120) -> str:
    """A text from outside that Markdown shows as it is: a heading, link, image or tag in it is none."""
    shown = " ".join(visible(value, longest).split())
    return SPECIAL.sub(lambda found: found[0] if found[0] in HARMLESS else "\\" + found[0], shown)


def markdown(card: Card) -> bytes:
    """The card, UTF-8."""
    parts = [
        f"# Model card: {text(card.name)}",
        text(card.verdict, 2000),
        *pairs("What it is", card.about),
        *pairs("Data", card.data),
        text(card.leaks, 2000),
        "## Split",
        text(card.split, 2000),
        f"## Errors on the test listings ({card.yardstick.name})",
        table(MODEL_HEAD, model_rows(card)),
        text(BEHIND, 300),
        *_crossed(card),
        *(part for one in card.further for part in _further(one)),
        *_changes("What the images do", "images", card.images, card),
        *_changes("What each feature is worth", "feature dealt out anew", card.features, card),
        *_segments(card),
        *_calibration(card),
        *pairs("Intervals", card.intervals),
        *learned(card.curves),
        *pairs("Error by listings learned from", card.sizes),
        *_worst(card),
        "## Limits",
        "\n".join(f"- {text(limit, 1000)}" for limit in card.limits),
    ]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose cells are texts."""
    lines = ["| " + " | ".join(text(cell) for cell in head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(text(cell) for cell in row) + " |" for row in rows)])


def pairs(title: str, found: Pairs) -> list[str]:
    """A heading with a list, or nothing."""
    items = "\n".join(f"- **{text(name)}**: {text(value, 300)}" for name, value in found)
    return [f"## {title}", items] if found else []


def _crossed(card: Card) -> list[str]:
    found = list[str]()
    for one in card.crossed:
        scheme = f"{one.found.scheme}; behind {one.found.ours} by"
        found += [f"## {text(one.title)}, cross-validated", text(scheme, 300)]
        found += [table(CROSS_HEAD, cross_rows(one.found)), text(one.words, 2000)]
    return found


def _further(one: Section) -> list[str]:
    head = f"## {text(one.target)}: errors on the test listings ({one.yardstick.name})"
    said = pairs(f"{text(one.target)}: intervals", one.intervals)
    return [head, text(one.verdict, 2000), table(MODEL_HEAD, model_rows(one)), *said]


def _changes(title: str, what: str, changes: Sequence[Change], card: Card) -> list[str]:
    rows = [
        (one.what, error(one.error, card), change(one.rise), interval(one.low, one.high, signed=True))
        for one in changes
    ]
    return [f"## {title}", table((what, "error", "rise", "95 % interval"), rows)] if rows else []


def _segments(card: Card) -> list[str]:
    found = ["## Errors by segment"] if card.segments else []
    for column, rows in card.columns:
        found += [f"### {text(column)}", table(SEGMENT_HEAD, segment_rows(rows, card))]
    return found


def _calibration(card: Card) -> list[str]:
    rows = [(number(point.predicted), number(point.actual), point.n) for point in card.calibration]
    return ["## Calibration", table(("mean prediction", "mean actual value", "listings"), rows)] if rows else []


def learned(curves: Sequence[Curve]) -> list[str]:
    """How the trainings went."""
    rows = [
        (curve.name, len(curve.training), number(curve.training[-1]), number(min(curve.validation)))
        for curve in curves
        if curve.training and curve.validation
    ]
    found = ["## Learning", table(("network", "epochs", "last training loss", "least validation loss"), rows)]
    return found if rows else []


def _worst(card: Card) -> list[str]:
    rows = [
        (one.listing_id, number(one.actual), number(one.predicted), error(one.error, card), one.images)
        for one in card.worst
    ]
    head = ("listing", "actual", "predicted", "error", "images")
    return ["## Missed most", table(head, rows)] if rows else []
