"""The card of a model that was just trained."""

from collections.abc import Mapping
from dataclasses import replace

from scorer.model.preprocessing import Matrix
from scorer.model.readout import Readout
from scorer.pages.words import number
from scorer.training.assess import Assessment
from scorer.training.card.build import Finished, build, section
from scorer.training.card.content import Card, Curve, Pairs, Section
from scorer.training.card.measures import Images
from scorer.training.evaluate import Floats, bootstrap
from scorer.training.fitted import FittedNet
from scorer.training.split import Rows
from scorer.training.told import held
from scorer.training.weighting import weighted_mean
from scorer.training.yardstick import Yardstick


def card_of(
    fused: FittedNet, test: Rows, assessment: Assessment, readout: Readout, further: tuple[Section, ...] = ()
) -> Card:
    """All that a card says.

    Args:
        fused: the model, as that of its first output.
        test: int64, listings that it has not seen.
        assessment: its errors, and those of others.
        readout: its intervals.
        further: what there is to say of its further outputs.
    """
    return build(replace(_finished(fused, test, assessment, readout), further=further))


def section_of(fused: FittedNet, test: Rows, assessment: Assessment, readout: Readout) -> Section:
    """What a card says of one further output; the model is given as that of this one."""
    return section(_finished(fused, test, assessment, readout))


def _finished(fused: FittedNet, test: Rows, assessment: Assessment, readout: Readout) -> Finished:
    def predict(features: Matrix, images: Images) -> Floats:
        return fused.target.inverse(fused.outputs_of(features, images)[fused.output])

    data, recipe = fused.data, fused.data.design.recipe
    tower = f"{recipe.image_tower}, {'as it came' if data.design.frozen else 'trained'}"
    return Finished(
        job=data.job,
        design=data.design,
        examples=data.examples,
        known=fused.rows,
        test=test,
        preprocessing=fused.prepared.preprocessing,
        features=fused.prepared.features,
        predictions=assessment.predictions,
        predict=predict,
        verdict=assessment.verdict,
        about=(("image tower", tower), ("passes of the longest training", str(fused.epochs))),
        intervals=_intervals(readout, held(fused, readout, test), fused.output),
        curves=tuple(Curve(name, curve.training, curve.validation) for name, curve in fused.curves.items()),
        crossed=assessment.crossed,
        sizes=_sizes(assessment.by_size, fused, test),
    )


def _intervals(readout: Readout, on_test: float | None, output: str) -> Pairs:
    """What the intervals held: out of fold by kind of listing, and on the test listings."""
    found = readout.intervals.get(output)
    if found is None:
        return ()
    tested = () if on_test is None else (("held on the test listings", f"{100 * on_test:.1f} %"),)
    seen = tuple((f"held out of fold, {band.group}", band.seen) for band in found.bands)
    return (("made to hold", f"{100 * found.level:.0f} % of the truths"), *tested, *seen)


def _sizes(by_size: Mapping[int, Floats], fused: FittedNet, test: Rows) -> Pairs:
    """The main error with its interval by listings learned from; nothing of one size alone."""
    examples, job, found = fused.data.examples, fused.data.job, []
    yardstick, weights = Yardstick.of(examples.target, job.quantile), examples.weight(test)
    for size, predicted in by_size.items() if len(by_size) > 1 else ():
        errors = yardstick.errors(examples.target[test], predicted)
        low, high, _ = bootstrap(errors, examples.groups[test], job.seed, weights)
        mean = number(weighted_mean(errors, weights))
        found.append((f"{size:,} listings", f"{mean}{yardstick.unit} ({number(low)} to {number(high)})"))
    return tuple(found)
