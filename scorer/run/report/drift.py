"""Scores and features of a run beside the training's and the last run's, in the bins of the bundle's profile."""

from dataclasses import dataclass

from scorer.output.distribution import Distribution, Distributions, ScoreDistribution
from scorer.output.gates.effect import Effect, compare
from scorer.output.gates.feature_drift import IMAGES
from scorer.pages.plots import Histogram, Shares, between
from scorer.pages.words import number

MOVED, FAR = 0.1, 0.25
"""PSI from which a feature has moved, and has moved far: the bands that credit scoring made customary."""

MOST_CLASSES = 24
"""Classes that a feature's picture shows; the other categories go with "all others"."""


@dataclass(frozen=True)
class Scores:
    """The distribution of the scores, as drawn and in figures.

    Attributes:
        histogram: None where the bundle says nothing of its training's scores, or nothing was scored.
        figures: rows of a table: what, then a text for each column.
        columns: names of the table's columns.
        effect: against the training; None if not comparable.
    """

    histogram: Histogram | None
    columns: tuple[str, ...]
    figures: tuple[tuple[str, ...], ...]
    effect: Effect | None


@dataclass(frozen=True)
class FeatureRow:
    """One feature of this run against the training.

    Attributes:
        word: as in training, moved, moved far.
        most: the class whose share moved most, with both shares.
        missing: shares of missing values, in this run and in training.
    """

    name: str
    kind: str
    effect: Effect
    word: str
    most: tuple[str, float, float]
    missing: tuple[float, float]
    histogram: Histogram


def scores(now: Distributions, last: Distributions | None, training: Distributions, last_name: str) -> Scores:
    """This run's scores, the last run's and the training's, where the bins are the same."""
    named = [("now", "this run", now.scores), ("training", "training", training.scores)]
    if last is not None:
        named.insert(1, ("last", last_name, last.scores))
    told = [(kind, name, one) for kind, name, one in named if one.scored]
    mine = now.scores.histogram
    drawn = [Shares(kind, name, _shares(one.histogram)) for kind, name, one in told if one.histogram.fits(mine)]
    classes, ticks = between(mine.edges)
    return Scores(
        Histogram(tuple(drawn), classes, ticks) if mine.edges and mine.there else None,
        tuple(name for _, name, _ in told),
        _figures([one for _, _, one in told]),
        compare(mine, training.scores.histogram, 1) if training.scores.scored else None,
    )


def features(now: Distributions, training: Distributions) -> tuple[tuple[FeatureRow, ...], tuple[str, ...]]:
    """Features (and the number of images) that can be compared, what moved most first; and the names of the others."""
    rows, others = [], []
    then = {**training.features, IMAGES: training.images}
    here = {**now.features, **({IMAGES: now.images} if now.images.there else {})}
    for name, mine in here.items():
        theirs = then.get(name)
        effect = compare(mine, theirs, len(here)) if theirs is not None else None
        if theirs is None or effect is None or not (mine.there and theirs.there):
            others.append(name)
        else:
            rows.append(_row(name, mine, theirs, effect))
    return tuple(sorted(rows, key=lambda row: (-row.effect.psi, row.name))), tuple(sorted(others))


def _row(name: str, mine: Distribution, theirs: Distribution, effect: Effect) -> FeatureRow:
    classes, ticks = _classes(mine)
    here, there = _shares(mine), _shares(theirs)
    at = max(range(len(here)), key=lambda place: abs(here[place] - there[place]))
    if mine.kind != "number":
        order = sorted(range(len(here) - 1), key=lambda place: -there[place])[: MOST_CLASSES - 1]
        drawn = [_picked(here, order), _picked(there, order)]
        labels = (*(classes[place] for place in order), "all others")
    else:
        drawn, labels = [here, there], classes
    histogram = Histogram(
        (Shares("now", "this run", drawn[0]), Shares("training", "training", drawn[1])), labels, ticks
    )
    missing = (mine.missing / max(mine.rows, 1), theirs.missing / max(theirs.rows, 1))
    return FeatureRow(name, mine.kind, effect, _word(effect), (classes[at], here[at], there[at]), missing, histogram)


def _word(effect: Effect) -> str:
    if effect.psi <= max(MOVED, effect.psi_noise):
        return "as in training"
    return "moved" if effect.psi <= max(FAR, effect.psi_noise) else "moved far"


def _classes(one: Distribution) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return between(one.edges) if one.kind == "number" else ((*one.values, "all others"), ())


def _picked(shares: tuple[float, ...], order: list[int]) -> tuple[float, ...]:
    """Some classes in an order, and the sum of all others."""
    picked = tuple(shares[place] for place in order)
    return (*picked, max(0.0, sum(shares) - sum(picked)))


def _shares(one: Distribution) -> tuple[float, ...]:
    return tuple(rows / max(one.there, 1) for rows in one.counts)


def _figures(told: list[ScoreDistribution]) -> tuple[tuple[str, ...], ...]:
    rows: list[tuple[str, ...]] = [("listings", *(f"{one.scored:,}" for one in told))]
    rows += [
        (name, *(number(getattr(one, name)) for one in told)) for name in ("mean", "deviation", "minimum", "maximum")
    ]
    return tuple(rows)
