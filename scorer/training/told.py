"""What a fitted model tells beside its scores, from predictions out of fold: a correction of the target, intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.errors import SettingsError
from scorer.model.calibration import Calibration
from scorer.model.preprocessing import segment_text
from scorer.model.readout import MAIN, Readout, Target, Task, ends
from scorer.model.target import TargetTransform
from scorer.settings import TrainJob
from scorer.training.calibrate import fit_calibration
from scorer.training.correction import fit_shift, shifted
from scorer.training.fitted import FittedNet
from scorer.training.folds import FOLDS, deal_folds
from scorer.training.intervals import OutOfFold, Tails, fit_intervals
from scorer.training.split import Rows
from scorer.training.weighting import weighted_mean, weighted_quantile

Floats = npt.NDArray[np.float64]


def corrected(fitted: FittedNet) -> FittedNet:
    """The same, its way back to each target's unit shifted by what its predictions out of fold say.

    Under a logarithm as `correction` says; for a quantile so that the share of truths below it is the one asked for,
    which the fit alone gives for listings that it has seen.
    """
    if fitted.data.objective.classes:
        return fitted
    main, *others = (_corrected(fitted.of(output)) for output in fitted.data.outputs)
    further = dict(zip(fitted.prepared.further, others, strict=True))
    return replace(fitted, prepared=replace(fitted.prepared, target=main, further=further))


def _corrected(fitted: FittedNet) -> TargetTransform:
    """Of one output."""
    target, quantile = fitted.target, fitted.data.job.quantile
    out_of_fold = fitted.out_of_fold[:, 0]
    rows = np.flatnonzero(np.isfinite(out_of_fold))
    if not len(rows):
        return target
    truth, told = _truth(fitted)[rows] * target.scale, out_of_fold[rows] * target.scale
    weights = fitted.data.examples.weight(fitted.rows[rows])
    if quantile is not None:
        shift = weighted_quantile(truth - told, weights, quantile)
    else:
        shift = fit_shift(fitted.data.job.correction if target.kind == "log" else "none", truth, told, weights)
    return shifted(target, shift)


def readout_of(fitted: FittedNet) -> Readout:
    """How the bundle's outputs are to be read. Raises SettingsError: nobody knows `interval_by` when scoring."""
    job, classes = fitted.data.job, fitted.data.objective.classes
    if classes:
        task: Task = "binary" if len(classes) == 2 else "multiclass"
        return Readout(task=task, classes=classes, calibration=_calibration(fitted))
    # A quantile lies at one end of what is likely, so each side has a length of its own.
    tails: Tails = "both" if job.quantile is None else "each"
    found = {}
    for output in fitted.data.outputs if job.interval else ():
        found[output] = fit_intervals(_seen(fitted.of(output)), job.interval, job.interval_by, tails)
    return Readout(
        intervals={output: intervals for output, intervals in found.items() if intervals},
        further={output: _target(fitted.of(output)) for output in fitted.prepared.further},
    )


def _target(fitted: FittedNet) -> Target:
    """What a further output predicts."""
    spread = float(np.std(fitted.data.examples.target[fitted.rows]))
    return Target(column=fitted.output, transform=fitted.target.to_dict(), sd=spread)


def held(fitted: FittedNet, readout: Readout, rows: Rows) -> float | None:
    """Share of the truths of listings that it was not fitted on inside their intervals; None where none has one."""
    output = fitted.output
    if output not in readout.intervals:
        return None
    own = Readout(intervals={output: readout.intervals[output]})
    actual, by = fitted.data.examples.target[rows], fitted.data.job.interval_by
    segments = {} if by is None else {by: _texts(fitted, by, rows)}
    raw, targets = {output: fitted.predict(rows)}, {output: fitted.target}
    low, high = ends(own, targets, raw, _has_images(fitted, rows), segments)[output]
    told = np.isfinite(low) & np.isfinite(high)  # too few like it had an error that is known: it has no interval
    return float(((low <= actual) & (actual <= high))[told].mean()) if told.any() else None


def below(fitted: FittedNet, rows: Rows) -> float:
    """Share of the truths of listings that it was not fitted on at or below what is told, weighted."""
    actual, told = fitted.data.examples.target[rows], fitted.target.inverse(fitted.predict(rows))
    return weighted_mean((actual <= told).astype(np.float64), fitted.data.examples.weight(rows))


def share_in_words(job: TrainJob, metrics: Mapping[str, Any]) -> str:
    """How many of the truths lay at or below a quantile, for people; empty where none was learned."""
    if job.quantile is None:
        return ""
    return (
        f"Of the test listings {metrics['at_or_below']:.1%} are at or below their prediction, asked {job.quantile:.1%}."
    )


def in_words(readout: Readout, on_test: float | None, output: str = MAIN) -> str:
    """What an output's intervals held, or probabilities are worth, for people; empty where there is nothing to tell."""
    if (curve := readout.calibration) is not None and curve.log_loss is not None:
        how = "an isotonic curve" if curve.method == "isotonic" else f"temperature {curve.temperature:.2f}"
        return (
            f"Probabilities are calibrated by {how}: the log loss out of fold is {curve.log_loss:.4f}, without it"
            f" {curve.log_loss_before:.4f}, over {curve.n:,} listings."
        )
    found = readout.intervals.get(output)
    if found is None:
        return ""
    seen = "; ".join(f"{band.group} {band.seen}" for band in found.bands[:6])
    test = "" if on_test is None else f" On the test listings: {on_test:.1%}."
    return f"{found.level:.0%} intervals held out of fold: {seen}.{test}"


def _seen(fitted: FittedNet) -> OutOfFold:
    """Predictions out of fold with and without images, where both are known."""
    told = fitted.out_of_fold[:, 0]
    bare = told if fitted.numbers is None else fitted.numbers.out_of_fold[:, 0]
    rows = np.flatnonzero(np.isfinite(told) & np.isfinite(bare))
    listings, by = fitted.rows[rows], fitted.data.job.interval_by
    return OutOfFold(
        truth=_truth(fitted)[rows],
        with_images=told[rows],
        without=bare[rows],
        has_images=_has_images(fitted, listings),
        fold=_folds(fitted)[rows],
        segments=None if by is None else _texts(fitted, by, listings),
    )


def _calibration(fitted: FittedNet) -> Calibration | None:
    rows = np.flatnonzero(np.isfinite(fitted.out_of_fold).all(axis=1))
    actual, weights = fitted.data.examples.target[fitted.rows[rows]], fitted.data.examples.weight(fitted.rows[rows])
    return fit_calibration(fitted.out_of_fold[rows], actual.astype(np.int64), weights, _folds(fitted)[rows])


def _folds(fitted: FittedNet) -> Rows:
    """Parts of the rows by which what is fitted out of fold is measured, int64 [m]."""
    return deal_folds(fitted.data.examples.groups[fitted.rows], FOLDS, fitted.data.job.seed)


def _truth(fitted: FittedNet) -> Floats:
    """What the network should have said for the target to come out, float64 [m]."""
    return fitted.target.forward(fitted.data.examples.target[fitted.rows])


def _has_images(fitted: FittedNet, rows: Rows) -> npt.NDArray[np.bool_]:
    return np.asarray((fitted.data.examples.images[rows] >= 0).any(axis=1), np.bool_)


def _texts(fitted: FittedNet, by: str, rows: Rows) -> Sequence[str | None]:
    kinds = {feature.name: feature.kind for feature in fitted.prepared.preprocessing.features}
    if kinds.get(by) not in ("boolean", "category"):
        raise SettingsError(
            f"interval_by: {by!r} is no boolean or text feature of this model, so nobody knows it when scoring."
            f" No bundle was written. It has: {', '.join(sorted(kinds)) or 'none'}."
        )
    column = segment_text(fitted.data.examples.table.column(by).combine_chunks())
    texts: list[str | None] = column.take(pa.array(rows)).to_pylist()
    return texts
