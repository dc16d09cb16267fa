"""Every way to predict that a training compares, called alike: what a model has to beat, and the model itself."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from scorer.training.baselines import BASELINES, Listings
from scorer.training.crossval import CrossValidation, Fits, Predicts, Scheme, cross_validate
from scorer.training.curves import Journal
from scorer.training.evaluate import Floats
from scorer.training.fitted import Fitted, FittedNet
from scorer.training.members import FittedMembers
from scorer.training.prepare import Data
from scorer.training.procedure import (
    FUSED,
    NUMBERS,
    PROCEDURES,
    SILENT,
    Procedure,
    fit_fused,
    fit_number_nets,
)
from scorer.training.split import Rows

Progress = Callable[[str], None]


@dataclass(frozen=True)
class InUnits:
    """What came out of a fit, predicting in the target's own unit."""

    fitted: Fitted

    def predict(self, rows: Rows) -> Floats:
        """Predictions for some rows, float64 [len(rows)]."""
        return self.fitted.target.inverse(self.fitted.predict(rows))


class Nets:
    """Fits nets; the number nets of some rows once, though several ways to predict are built upon them.

    Attributes:
        data: what they are fitted in.
    """

    def __init__(self, data: Data) -> None:
        self.data = data
        self._last: tuple[bytes, int, FittedMembers] | None = None

    def members(self, rows: Rows, seed: int, journal: Journal = SILENT) -> FittedMembers:
        """The number nets of these rows; the last ones are remembered."""
        if self._last is None or self._last[:2] != (rows.tobytes(), seed):
            self._last = rows.tobytes(), seed, fit_number_nets(self.data, rows, seed, journal)
        return self._last[2]

    def fused(self, rows: Rows, seed: int, journal: Journal = SILENT) -> FittedNet:
        """The model."""
        return fit_fused(self.data, rows, seed, journal, self.members(rows, seed, journal))

    def way(self, procedure: Procedure) -> Fits:
        """A procedure as cross-validation calls it."""
        return lambda rows, seed: InUnits(procedure(self.data, rows, seed, SILENT, self.members(rows, seed)))

    def by_fusion(self, fusion: str) -> Fits:
        """The model with another fusion."""
        data = replace(self.data, design=replace(self.data.design, fusion=fusion))
        return lambda rows, seed: InUnits(fit_fused(data, rows, seed, SILENT, self.members(rows, seed)))


def ways(nets: Nets, names: Iterable[str] = PROCEDURES) -> dict[str, Fits]:
    """By name: a constant, ridge and gradient boosting, then the procedures that are named."""
    return baselines(nets.data) | {name: nets.way(PROCEDURES[name]) for name in names}


def baselines(data: Data) -> dict[str, Fits]:
    """A constant, ridge and gradient boosting, for the target."""
    examples, job = data.examples, data.job
    listings = Listings(
        examples.table, data.columns, examples.target, data.kind, job.categories, examples.weights, job.quantile
    )
    return {name: of(listings) for name, of in BASELINES.items()}


def compare_ways(
    data: Data, ways: Mapping[str, Fits], candidates: Sequence[str], scheme: Scheme, progress: Progress
) -> CrossValidation:
    """Cross-validate on the data's listings, by what the job wants predicted; see `cross_validate`."""
    examples, job = data.examples, data.job
    return cross_validate(
        ways,
        candidates,
        examples.target,
        examples.groups,
        scheme,
        job.seed,
        progress,
        weights=examples.weights,
        quantile=job.quantile,
    )


def predict_test(nets: Nets, fused: FittedNet, test: Rows) -> Mapping[str, Floats]:
    """What each way, fitted on the model's own rows, says of the test listings; the model itself is the last.

    Of those that are the model in part, the numbers alone; the others, too, where a fit takes seconds.

    Returns:
        float64 [len(test)] by name, in the target's unit.
    """
    names = [name for name in PROCEDURES if name != FUSED] if fused.data.design.quick else [NUMBERS]
    seed = fused.data.job.seed
    fitted: dict[str, Predicts] = {name: fit(fused.rows, seed) for name, fit in ways(nets, names).items()}
    return {name: one.predict(test) for name, one in {**fitted, FUSED: InUnits(fused)}.items()}


def predict_output(one: FittedNet, test: Rows) -> Mapping[str, Floats]:
    """The same for one output of a model of several: baselines fitted anew, its own numbers, and itself."""
    assert one.numbers is not None
    seed = one.data.job.seed
    fitted: dict[str, Predicts] = {name: fit(one.rows, seed) for name, fit in baselines(one.data).items()}
    nets = {NUMBERS: InUnits(one.numbers), FUSED: InUnits(one)}
    return {name: way.predict(test) for name, way in {**fitted, **nets}.items()}
