"""The card of a model that tells classes apart: how often it is right, and what it takes for what."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scorer.model.classification import Classification
from scorer.model.content import CARD_MARKDOWN, CARD_PAGE
from scorer.pages.render import render
from scorer.pages.words import count, number
from scorer.training.card import build
from scorer.training.card.content import Curve, Pairs, Point
from scorer.training.card.markdown import learned, pairs, table, text
from scorer.training.card.page import DOTS, lines, scatter
from scorer.training.fitted import FittedNet
from scorer.training.split import Rows

Codes = npt.NDArray[np.int64]
Cells = tuple[tuple[str, ...], ...]

MODEL_HEAD = ("model", "log loss", "accuracy", "AUC", "Brier", "calibration error", "listings")
EACH_HEAD = ("class", "test listings", "of them found", "named", "of them right")

MOST_IN_A_MATRIX = 12
"""Classes; of more of them the mistakes that are made most often are listed."""

MOST_MISTAKES = 30

FEW = 200
"""Test listings below which a card warns that its figures are rough; of one class a tenth of them."""


@dataclass(frozen=True)
class ClassCard:
    """All that the card says, as plain values; what is empty is left out.

    Attributes:
        name: of the bundle.
        verdict: whether the images help.
        about: what the model is.
        data: what it learned from.
        leaks: what hangs together among the listings.
        split: how they were divided.
        models: under `MODEL_HEAD`.
        each: under `EACH_HEAD`.
        confusion_head: of the table of mistakes.
        confusion: test listings by class, and by the class that they were told to be.
        meaning: which probability is held against what happened.
        calibrated: how probabilities were calibrated.
        calibration: mean probability and the share that came true, of test listings of like probability.
        curves: of the trainings.
        limits: what its figures do not say.
    """

    name: str
    verdict: str
    about: Pairs
    data: Pairs
    leaks: str
    split: str
    models: Cells
    each: Cells
    confusion_head: tuple[str, ...]
    confusion: Cells
    meaning: str
    calibrated: str
    calibration: tuple[Point, ...]
    curves: tuple[Curve, ...]
    limits: tuple[str, ...]


def class_card(
    fused: FittedNet,
    test: Rows,
    told: Codes,
    found: Mapping[str, Classification],
    verdict: str,
    calibrated: str,
) -> ClassCard:
    """What there is to say.

    Args:
        fused: the model.
        test: int64, listings that it has not seen.
        told: int64 [len(test)], the class that each was told to be.
        found: by name, how good each model is on them; the last one is the bundle's own.
        verdict: whether the images help.
        calibrated: how probabilities were calibrated.
    """
    data, examples = fused.data, fused.data.examples
    names, job = examples.classes, data.job
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (examples.target[test].astype(np.int64), told), 1)
    head, rows = confusion(names, counts)
    bins = list(found.values())[-1].bins
    return ClassCard(
        name=job.name or job.target,
        verdict=verdict,
        about=build.about(job, data.design, fused.prepared.preprocessing),
        data=build.data(examples),
        leaks=examples.ties.text,
        split=build.split(examples, fused.rows, test, job),
        models=tuple(_model(name, one) for name, one in found.items()),
        each=tuple(_each(name, counts, at) for at, name in enumerate(names)),
        confusion_head=head,
        confusion=rows,
        meaning=f"probability of {names[1]}" if len(names) == 2 else "probability of the class that is told",
        calibrated=calibrated,
        calibration=tuple(Point(one.said, one.happened, one.n) for one in bins),
        curves=tuple(Curve(name, curve.training, curve.validation) for name, curve in fused.curves.items()),
        limits=_limits(fused, test, counts),
    )


def confusion(names: tuple[str, ...], counts: npt.NDArray[np.int64]) -> tuple[tuple[str, ...], Cells]:
    """Head and rows of a table of int64 [actual, told]; of many classes the mistakes that are made most often."""
    if len(names) <= MOST_IN_A_MATRIX:
        cells = tuple((name, *(count(n) for n in row)) for name, row in zip(names, counts, strict=True))
        return ("is, and is told to be", *names), cells
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_MISTAKES]
    places = [divmod(int(at), len(names)) for at in order]
    mistakes = tuple((names[is_], names[told], count(wrong[is_, told])) for is_, told in places if wrong[is_, told])
    return ("is", "is told to be", "test listings"), mistakes


def class_card_files(card: ClassCard) -> dict[str, bytes]:
    """The card's files, by path within the bundle; the same for the same training."""
    return {CARD_PAGE: _html(card), CARD_MARKDOWN: _markdown(card)}


def _html(card: ClassCard) -> bytes:
    return render(
        "scorer.training.card",
        "class_card.html",
        [DOTS],
        card=card,
        model_head=MODEL_HEAD,
        each_head=EACH_HEAD,
        scatter=scatter(card.calibration),
        curves=[lines(curve, f"curve-{at}") for at, curve in enumerate(card.curves)],
    ).encode()


def _markdown(card: ClassCard) -> bytes:
    points = [(number(one.predicted), number(one.actual), count(one.n)) for one in card.calibration]
    parts = [
        f"# Model card: {text(card.name)}",
        text(card.verdict, 2000),
        *pairs("What it is", card.about),
        *pairs("Data", card.data),
        text(card.leaks, 2000),
        "## Split",
        text(card.split, 2000),
        "## On the test listings",
        table(MODEL_HEAD, card.models),
        "## Each class",
        table(EACH_HEAD, card.each),
        "## What is taken for what",
        table(card.confusion_head, card.confusion) if card.confusion else "Nothing is taken for another class.",
        "## Calibration",
        text(card.calibrated, 2000),
        table((card.meaning, "came true", "listings"), points),
        *learned(card.curves),
        "## Limits",
        "\n".join(f"- {text(limit, 1000)}" for limit in card.limits),
    ]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def _model(name: str, one: Classification) -> tuple[str, ...]:
    area = "–" if one.auc is None else f"{one.auc:.3f}"
    figures = f"{one.log_loss:.4f}", f"{100 * one.accuracy:.1f} %", area, f"{one.brier:.4f}"
    return (name, *figures, f"{one.calibration_error:.4f}", count(one.n))


def _each(name: str, counts: npt.NDArray[np.int64], at: int) -> tuple[str, ...]:
    there, named, right = int(counts[at].sum()), int(counts[:, at].sum()), int(counts[at, at])
    return name, count(there), _share(right, there), count(named), _share(right, named)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _limits(fused: FittedNet, test: Rows, counts: npt.NDArray[np.int64]) -> tuple[str, ...]:
    examples = fused.data.examples
    names = ", ".join(examples.classes[:20])
    limits = [f"It knows these classes and no other: {names}{', …' if len(examples.classes) > 20 else ''}."]
    limits.append("What each feature is worth, and errors by segment, are not measured for classes.")
    if len(test) < FEW:
        limits.append(f"The test has {count(len(test))} listings only: every figure here is rough.")
    if rare := [name for name, row in zip(examples.classes, counts, strict=True) if row.sum() < FEW // 10]:
        limits.append(f"Fewer than {FEW // 10} test listings are of {', '.join(rare[:20])}: of these little is known.")
    if examples.times is None:
        limits.append("The listings were dealt out at random, not by time: how the model ages was not measured.")
    return tuple(limits)
