"""Repeated grouped cross-validation: how good each way to predict is on listings that it has not seen, side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from scorer.training.evaluate import Metrics, bootstrap, measure, share_words
from scorer.training.split import Fold, Rows
from scorer.training.weighting import weighted_mean
from scorer.training.yardstick import Yardstick

Floats = npt.NDArray[np.float64]
Progress = Callable[[str], None]


class Predicts(Protocol):
    """A fitted way to predict."""

    def predict(self, rows: Rows) -> Floats:
        """Predictions for some rows, float64 [len(rows)], in the target's unit."""


Fits = Callable[[Rows, int], Predicts]
"""Fit on these rows alone, with this seed."""


@dataclass(frozen=True)
class Scheme:
    """How the rows are divided.

    Attributes:
        repeats: folds of each repetition, fitted with the seed of its place.
        words: for people.
    """

    repeats: tuple[tuple[Fold, ...], ...]
    words: str


@dataclass(frozen=True)
class Score:
    """One way to predict, measured on rows that it was not fitted on.

    Attributes:
        metrics: over all rows, the mean of the repetitions.
        error: the main error, by the yardstick of the comparison.
        low: lower end of its 95 % interval.
        high: upper end.
        fold_sd: standard deviation of the main error between folds; None of a single fold.
    """

    metrics: Metrics
    error: float
    low: float
    high: float
    fold_sd: float | None


@dataclass(frozen=True)
class Difference:
    """Error of the other minus error of ours on the same listings: positive where ours is better.

    Attributes:
        other: what ours is compared with.
        mean: paired difference.
        low: lower end of its 95 % interval.
        high: upper end.
        better: share of the resamples in which ours is better.
    """

    other: str
    mean: float
    low: float
    high: float
    better: float


@dataclass(frozen=True)
class Sample:
    """The listings that errors are of: groups int64 [n] and weights float64 [n]; the seed is of the bootstrap."""

    groups: Rows
    weights: Floats
    seed: int

    def difference(self, other: str, differences: Floats) -> Difference:
        """Of errors of these listings, float64 [n]: those of the other minus ours."""
        low, high, better = bootstrap(differences, self.groups, self.seed, self.weights)
        return Difference(other, weighted_mean(differences, self.weights), low, high, better)


@dataclass(frozen=True)
class CrossValidation:
    """What came out.

    Attributes:
        scheme: in words.
        rows: listings that were predicted, each once a repetition.
        fits: folds times repetitions.
        measure: name of the yardstick: "MAPE" in %, "MAE" in the target's unit, or "quantile loss".
        ours: name of the one that the others are compared with.
        scores: by name.
        differences: one for each of the others.
    """

    scheme: str
    rows: int
    fits: int
    measure: str
    ours: str
    scores: Mapping[str, Score]
    differences: tuple[Difference, ...]

    def to_plain(self) -> dict[str, Any]:
        """Plain JSON for the bundle."""
        return asdict(self) | {
            "scores": {name: asdict(score) for name, score in self.scores.items()},
            "differences": {one.other: asdict(one) for one in self.differences},
        }

    def against(self, other: str) -> Difference:
        """The difference to the one of that name. Raises KeyError."""
        return next(found for found in self.differences if found.other == other)


@dataclass(frozen=True)
class Crossed:
    """A cross-validation, and what it allows to say.

    Attributes:
        title: what was compared.
        found: the figures.
        words: what follows from them.
    """

    title: str
    found: CrossValidation
    words: str

    @property
    def text(self) -> str:
        """For people: a table, then the words."""
        return f"{self.title}: {table(self.found)}\n\n{self.words}"


def cross_validate(
    ways: Mapping[str, Fits],
    candidates: Sequence[str],
    target: Floats,
    groups: Rows,
    scheme: Scheme,
    seed: int,
    progress: Progress,
    weights: Floats | None = None,
    quantile: float | None = None,
) -> CrossValidation:
    """Fit every way on every fold, predict what it has not seen, and compare.

    Args:
        ways: by name; the same rows and seed for each.
        candidates: names; the one of them with the least error is what the others are compared with.
        target: float64 [n], in its own unit.
        groups: int64 [n]; the bootstrap draws groups, whose listings are alike.
        scheme: who is fitted on what.
        seed: of the fits and of the bootstrap.
        progress: gets a line per fold.
        weights: float64 [n], what each listing counts; None: all alike.
        quantile: what the predictions are to be; None: means or medians.
    """
    predictions = {name: np.full((len(scheme.repeats), len(target)), np.nan) for name in ways}
    done, fits = 0, sum(len(folds) for folds in scheme.repeats)
    for turn, folds in enumerate(scheme.repeats):
        for known, held_out in folds:
            for name, fit in ways.items():
                predictions[name][turn, held_out] = fit(known, seed + turn).predict(held_out)
            done += 1
            progress(f"Cross-validation of {', '.join(ways)}: {done} of {fits} folds done.")
    rows = np.flatnonzero(~np.isnan(predictions[candidates[0]]).all(axis=0))
    yardstick = Yardstick.of(target, quantile)
    counts = np.ones(len(target)) if weights is None else weights
    errors = {name: np.nanmean(yardstick.errors(target, found)[:, rows], axis=0) for name, found in predictions.items()}
    ours = min(candidates, key=lambda name: weighted_mean(errors[name], counts[rows]))
    compared = [other for other in ways if other != ours]
    sample = Sample(groups[rows], counts[rows], seed)
    return CrossValidation(
        scheme=scheme.words,
        rows=len(rows),
        fits=fits,
        measure=yardstick.name,
        ours=ours,
        scores={
            name: _score(_Predicted(target, found, scheme, yardstick, counts), errors[name], sample)
            for name, found in predictions.items()
        },
        differences=tuple(sample.difference(other, errors[other] - errors[ours]) for other in compared),
    )


def table(found: CrossValidation) -> str:
    """What a person reads: one line per way to predict, and how far each is from ours."""
    unit = " %" if found.measure == "MAPE" else ""
    rows = [("", found.measure + unit, "95 % interval", "sd of folds", "median APE %", f"behind {found.ours} by")]
    by_other = {difference.other: difference for difference in found.differences}
    for name, score in found.scores.items():
        middle = "-" if score.metrics.median_ape is None else f"{score.metrics.median_ape:.1f}"
        behind = difference_words(by_other[name]) if name in by_other else ""
        spread = "-" if score.fold_sd is None else f"{score.fold_sd:,.3g}"
        interval = f"{score.low:,.4g} to {score.high:,.4g}"
        rows.append((name, f"{score.error:,.4g}", interval, spread, middle, behind))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(_aligned(cell, width, at) for at, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join([f"cross-validated ({found.scheme})", *(line.rstrip() for line in lines)])


def _aligned(cell: str, width: int, column: int) -> str:
    return f"{cell:<{width}}" if column in (0, 5) else f"{cell:>{width}}"


def difference_words(found: Difference) -> str:
    """+1.2 (0.3 to 2.1), and what that allows to say."""
    figures = f"{found.mean:+,.3g} ({found.low:+,.3g} to {found.high:+,.3g})"
    if found.low > 0:
        return figures
    return f"{figures}: worse" if found.high < 0 else f"{figures}: within noise"


def images_verdict(found: CrossValidation, numbers: str, shuffled: str | None) -> str:
    """Whether the images help, and how sure that is: no more than was measured.

    Args:
        found: its `ours` has numbers and images.
        numbers: name of the one without images.
        shuffled: name of the one that learned with other listings' images, if it was tried.
    """
    difference = found.against(numbers)
    unit = " points" if found.measure == "MAPE" else ""
    figures = (
        f"over {found.rows:,} listings, each predicted by models that had not seen it, the {found.measure} is"
        f" {difference.mean:+,.3g}{unit} better with images than without (95 % interval {difference.low:+,.3g} to"
        f" {difference.high:+,.3g}; better in {share_words(difference.better)} of the resamples)"
    )
    if difference.low > 0:
        said = f"The images help: {figures}."
    elif difference.high < 0:
        said = f"The images make it worse: {figures}."
    else:
        said = f"Whether the images help cannot be told: {figures}, which is within noise."
    if shuffled is None:
        return said
    control = found.against(shuffled)
    told = (
        "So it is what they show that helps, not their number or the further weights"
        if control.low > 0 and difference.low > 0
        else "That is a difference"
        if control.low > 0
        else "That is no clear difference, so what the images show has not been seen to matter"
    )
    return (
        f"{said} With the images shuffled among the listings the {found.measure} is {control.mean:+,.3g}{unit} worse"
        f" ({control.low:+,.3g} to {control.high:+,.3g}). {told}."
    )


def choice_words(found: CrossValidation) -> str:
    """Which of several is the best, and whether the others are clearly behind."""
    main = {name: score.error for name, score in found.scores.items()}
    best = min(main, key=lambda name: main[name])
    unit = " %" if found.measure == "MAPE" else ""
    said = f"{best} has the lowest {found.measure}, {main[best]:,.4g}{unit}"
    if best != found.ours:
        return said + "."
    close = [difference.other for difference in found.differences if difference.low <= 0]
    if not close:
        return f"{said}; every other is clearly behind."
    return f"{said}; {', '.join(close)} cannot be told from it: within noise."


@dataclass(frozen=True)
class _Predicted:
    """What one way says in each repetition: float64 [repetitions, n], NaN where it was fitted."""

    target: Floats
    found: Floats
    scheme: Scheme
    yardstick: Yardstick
    weights: Floats

    def metrics(self) -> Metrics:
        """The mean of the repetitions."""
        rows = [np.flatnonzero(~np.isnan(predicted)) for predicted in self.found]
        each = [
            measure(self.target[there], predicted[there], self.weights[there])
            for there, predicted in zip(rows, self.found, strict=True)
        ]
        return _mean_metrics(each)

    def by_fold(self) -> list[float]:
        """The main error of each fold."""
        return [
            weighted_mean(self.yardstick.errors(self.target[rows], predicted[rows]), self.weights[rows])
            for predicted, folds in zip(self.found, self.scheme.repeats, strict=True)
            for _, rows in folds
        ]


def _score(predicted: _Predicted, errors: Floats, sample: Sample) -> Score:
    folds = predicted.by_fold()
    low, high, _ = bootstrap(errors, sample.groups, sample.seed, sample.weights)
    spread = float(np.std(folds, ddof=1)) if len(folds) > 1 else None
    return Score(predicted.metrics(), weighted_mean(errors, sample.weights), low, high, spread)


def _mean_metrics(each: Sequence[Metrics]) -> Metrics:
    def mean(name: str) -> float | None:
        values = [getattr(one, name) for one in each]
        return None if None in values else float(np.mean(values))

    mae = mean("mae")
    assert mae is not None
    return Metrics(mean("mape"), mean("median_ape"), mean("r2"), mae, each[0].n)
