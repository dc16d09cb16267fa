"""Puts a card together from what a training has at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.model.content import CARD_MARKDOWN, CARD_PAGE
from scorer.model.preprocessing import Matrix, Preprocessing
from scorer.pages.words import count, number, plural
from scorer.settings import TrainJob
from scorer.training.card.content import Card, Curve, ModelErrors, Pairs, Section, Segment
from scorer.training.card.markdown import markdown
from scorer.training.card.measures import (
    Predict,
    Tested,
    calibration,
    feature_changes,
    image_changes,
    segments,
)
from scorer.training.card.page import html
from scorer.training.card.pictures import worst
from scorer.training.crossval import Crossed, Sample
from scorer.training.evaluate import Floats, measure
from scorer.training.examples import Examples
from scorer.training.recipes import Design
from scorer.training.split import Rows
from scorer.training.yardstick import Yardstick

FEW = 200
"""Test listings below which a card warns that its figures are rough."""


@dataclass(frozen=True)
class Finished:
    """A training that is done but for its bundle.

    Attributes:
        job: its settings.
        design: what was built.
        examples: the listings.
        known: int64, those that were learned from.
        test: int64, those that were not.
        preprocessing: of the features.
        features: float32 [n, F], of all listings.
        predictions: by model, of the test listings in the target's unit; the bundle's own is the last.
        predict: the bundle's model.
        verdict: whether the images help.
        about: what else there is to say of the model.
        intervals: how often its intervals held the actual value.
        curves: of the trainings.
        crossed: cross-validations, and what they say.
        sizes: test error by listings learned from.
        further: of the further targets.
    """

    job: TrainJob
    design: Design
    examples: Examples
    known: Rows
    test: Rows
    preprocessing: Preprocessing
    features: Matrix
    predictions: Mapping[str, Floats]
    predict: Predict
    verdict: str
    about: Pairs = ()
    intervals: Pairs = ()
    curves: tuple[Curve, ...] = ()
    crossed: tuple[Crossed, ...] = ()
    sizes: Pairs = ()
    further: tuple[Section, ...] = ()


def card_files(card: Card) -> dict[str, bytes]:
    """The card's files, by path within the bundle; the same for the same training."""
    return {CARD_PAGE: html(card), CARD_MARKDOWN: markdown(card)}


def build(done: Finished) -> Card:
    """The card's content."""
    job, examples, tested = done.job, done.examples, _tested(done)
    found = segments(tested, done.preprocessing.names, job.target)
    models = _models(done, tested)
    return Card(
        name=job.name or job.target,
        target=job.target,
        verdict=done.verdict,
        yardstick=tested.yardstick,
        about=(*about(job, done.design, done.preprocessing, [one.target for one in done.further]), *done.about),
        data=data(examples),
        leaks=examples.ties.text,
        split=split(examples, done.known, done.test, job),
        models=models,
        crossed=done.crossed,
        images=image_changes(tested, done.predict),
        features=feature_changes(tested, done.preprocessing, done.predict),
        segments=found,
        calibration=calibration(tested),
        intervals=done.intervals,
        curves=done.curves,
        sizes=done.sizes,
        worst=worst(tested, examples.cache.pixels),
        limits=_limits(done, models[-1], found),
        further=done.further,
    )


def section(done: Finished) -> Section:
    """What a card says of one more target than its own."""
    tested = _tested(done)
    return Section(done.job.target, done.verdict, tested.yardstick, _models(done, tested), done.intervals)


def summary(card: Card) -> dict[str, Any]:
    """What of the card belongs into the bundle's metrics, too, as plain JSON."""
    return {
        "images": {change.what: change.error for change in card.images},
        "features": {change.what: change.rise for change in card.features},
        "intervals": {one.name: [one.low, one.high] for one in card.models},
    }


def _tested(done: Finished) -> Tested:
    test, examples = done.test, done.examples
    return Tested(
        table=examples.table.take(pa.array(test)),
        actual=examples.target[test],
        predicted=list(done.predictions.values())[-1],
        groups=examples.groups[test],
        features=done.features[test],
        images=examples.images[test],
        weights=examples.weight(test),
        yardstick=Yardstick.of(examples.target, done.job.quantile),
        seed=done.job.seed,
    )


def _models(done: Finished, tested: Tested) -> tuple[ModelErrors, ...]:
    return tuple(_errors(name, predicted, tested) for name, predicted in done.predictions.items())


def _errors(name: str, predicted: Floats, tested: Tested) -> ModelErrors:
    errors, ours = tested.errors(predicted), tested.errors(tested.predicted)
    low, high = tested.interval(errors)
    sample = Sample(tested.groups, tested.weights, tested.seed)
    behind = None if predicted is tested.predicted else sample.difference(name, errors - ours)
    metrics = measure(tested.actual, predicted, tested.weights)
    return ModelErrors(name, metrics, tested.mean(errors), low, high, behind)


def about(job: TrainJob, design: Design, preprocessing: Preprocessing, further: Sequence[str] = ()) -> Pairs:
    """What the model is; `further` are targets beside the job's own."""
    return (
        ("predicts", ", ".join((job.target, *further))),
        ("recipe", job.recipe),
        ("fusion", design.fusion),
        ("features", ", ".join(preprocessing.names)),
        ("images", f"the first {job.max_images} of a listing, {design.pixels.size} pixels square"),
        ("seed", str(job.seed)),
    )


def data(examples: Examples) -> Pairs:
    """What it learned from."""
    faults = ", ".join(f"{reason} {amount:,}" for reason, amount in sorted(examples.cache.faults.items()))
    keys = [key for key in examples.partitions if key]
    usable = (examples.images >= 0).any(axis=1)
    return (
        ("listings", f"{count(len(examples))} from {plural(len(examples.partitions), 'partition')}"),
        *((("partitions", keys[0] if len(keys) == 1 else f"{keys[0]} to {keys[-1]}"),) if keys else ()),
        ("left out without target", count(examples.without_target)),
        ("distinct images", count(len(set(examples.cache.slots.values())))),
        ("listings with a usable image", f"{100 * float(usable.mean()):.1f} %"),
        *((("images not used", faults),) if faults else ()),
        _target(examples),
    )


def _target(examples: Examples) -> tuple[str, str]:
    if not examples.classes:
        values = np.quantile(examples.target, [0, 0.5, 1])
        return "target: lowest, median, highest", ", ".join(number(float(value)) for value in values)
    counts = np.bincount(examples.target.astype(np.int64), minlength=len(examples.classes))
    shares = zip(examples.classes, counts / counts.sum(), strict=True)
    return "classes", ", ".join(f"{name} {100 * part:.1f} %" for name, part in shares)


def split(examples: Examples, known: Rows, test: Rows, job: TrainJob) -> str:
    """How the listings were divided."""
    sizes = f"{count(len(known))} listings to learn from, {count(len(test))} to test"
    if examples.times is None:
        return f"{sizes}, dealt out at random, whole groups at a time."
    learned, tested = (_latest(examples, rows, str(job.time_column)) for rows in (known, test))
    return (
        f"{sizes}, by {job.time_column}: what is learned from is of {learned} or earlier; what is tested, or hangs"
        f" together with a listing that is, is later, up to {tested}."
    )


def _latest(examples: Examples, rows: Rows, column: str) -> str:
    assert examples.times is not None
    return str(examples.table.column(column)[int(rows[examples.times[rows].argmax()])].as_py())


def _limits(done: Finished, ours: ModelErrors, found: tuple[Segment, ...]) -> tuple[str, ...]:
    examples = done.examples
    low, high = float(examples.target.min()), float(examples.target.max())
    limits = [
        f"It knows listings like those it learned from, with {done.job.target} from {number(low)} to {number(high)}."
        " What is unlike them is a guess; the gates of a run say when a night is.",
        "Worth of features and images is worth to this model on these listings: no cause, and no advice to sellers.",
        "The intervals say how far other test listings could move a figure, not what another split or seed would.",
    ]
    groups = len(np.unique(examples.groups[done.test]))
    if groups < FEW:
        limits.append(f"The test has {count(groups)} groups of listings only: every figure here is rough.")
    if examples.times is None:
        limits.append("The listings were dealt out at random, not by time: how the model ages was not measured.")
    if not done.crossed and not done.design.quick:
        limits.append(
            "What the images alone or shuffled images reach was not measured: each is one more training of all that the"
            " images pass through. A training with cross_validate measures it."
        )
    if len(done.crossed) > 1:
        limits.append(
            "The fusion was chosen by listings that are cross-validated, too: there its error is a little too low."
        )
    bad = [one for one in found if one.low > ours.high and one.column != done.job.target]
    limits += [
        f"Where {one.column} is {one.value} the error is {number(one.error)}, clearly above the average: take care."
        for one in sorted(bad, key=lambda one: -one.error)[:5]
    ]
    return tuple(limits)
