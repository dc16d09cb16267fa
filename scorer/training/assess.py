"""How good a model is beside what it has to beat: on test listings always, by cross-validation on wish."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scorer.training import evaluate
from scorer.training.crossval import Crossed, Scheme, images_verdict
from scorer.training.evaluate import Comparison, Floats, Metrics
from scorer.training.fitted import FittedNet
from scorer.training.members import MANY_ROWS
from scorer.training.procedure import FUSED, NUMBERS, SHUFFLED
from scorer.training.sizes import predict_by_size
from scorer.training.split import Rows
from scorer.training.ways import Nets, compare_ways, predict_output, predict_test, ways

Progress = Callable[[str], None]

ADVICE = "More folds tell more: --cross-validate 5x3."


@dataclass(frozen=True)
class Assessment:
    """What is known of a model.

    Attributes:
        predictions: by name, of the test listings in the target's unit; the model itself is the last.
        models: their errors.
        comparison: of the model with the numbers alone, on the test listings.
        by_size: predictions of the test listings by listings learned from; the model's own alone where none was tried.
        crossed: cross-validations.
    """

    predictions: Mapping[str, Floats]
    models: dict[str, Metrics]
    comparison: Comparison
    by_size: Mapping[int, Floats]
    crossed: tuple[Crossed, ...]

    @property
    def verdict(self) -> str:
        """Whether the images help, by the most that was measured."""
        said = [one.words for one in self.crossed if FUSED in one.found.scores]
        return said[0] if said else self.comparison.verdict

    @property
    def text(self) -> str:
        """For people: the errors, then in words whether the images help."""
        parts = [*(one.text for one in self.crossed), evaluate.table(self.models, self.comparison)]
        if not self.crossed and self.comparison.low <= 0 <= self.comparison.high:
            parts.append(ADVICE)
        return "\n\n".join(parts)

    def to_plain(self) -> dict[str, Any]:
        """Plain JSON for the bundle."""
        crossed = {one.title: one.found.to_plain() | {"words": one.words} for one in self.crossed}
        return evaluate.to_plain(self.models, self.comparison) | ({"cross_validated": crossed} if crossed else {})


def assess(
    nets: Nets, fused: FittedNet, test: Rows, scheme: Scheme | None, tried: tuple[Crossed, ...], progress: Progress
) -> Assessment:
    """Fit what the model is compared with, on the same listings as it, and measure all of them on others.

    Args:
        nets: fit what is the model in part.
        fused: the model.
        test: int64, listings that neither fitting nor stopping has seen.
        scheme: of a cross-validation, where one is wished for.
        tried: what was cross-validated before.
        progress: gets a line now and then.
    """
    progress("Fitting what the model is compared with.")
    learning = scheme is not None or (fused.data.design.quick and len(fused.rows) < MANY_ROWS)
    predictions = predict_test(nets, fused, test)
    sizes = predict_by_size(nets, fused, test) if learning else {len(fused.rows): predictions[FUSED]}
    crossed = (*tried, *([_crossed(nets, scheme, progress)] if scheme else []))
    return _measured(fused, test, predictions, sizes, crossed)


def assess_output(one: FittedNet, test: Rows) -> Assessment:
    """The same for one output of a model of several."""
    predictions = predict_output(one, test)
    return _measured(one, test, predictions, {len(one.rows): predictions[FUSED]}, ())


def _measured(
    fused: FittedNet,
    test: Rows,
    predictions: Mapping[str, Floats],
    by_size: Mapping[int, Floats],
    crossed: tuple[Crossed, ...],
) -> Assessment:
    examples = fused.data.examples
    actual, weights, job = examples.target[test], examples.weight(test), fused.data.job
    return Assessment(
        predictions=predictions,
        models={name: evaluate.measure(actual, predicted, weights) for name, predicted in predictions.items()},
        comparison=evaluate.compare(
            actual,
            predictions[NUMBERS],
            predictions[FUSED],
            examples.groups[test],
            job.seed,
            weights=weights,
            quantile=job.quantile,
        ),
        by_size=by_size,
        crossed=crossed,
    )


def _crossed(nets: Nets, scheme: Scheme, progress: Progress) -> Crossed:
    """Everything that the model is compared with, on all listings."""
    found = compare_ways(nets.data, ways(nets), [FUSED], scheme, progress)
    return Crossed("Numbers and images", found, images_verdict(found, NUMBERS, SHUFFLED))
