"""From the head's outputs to what readers are told: scores, probabilities, classes, intervals. Part of bundle.json."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from scorer.model.calibration import Calibration, of_classes, positive
from scorer.model.intervals import Intervals
from scorer.model.parts import Part, Text
from scorer.model.target import TargetTransform

Floats = npt.NDArray[np.float64]
Task = Literal["regression", "binary", "multiclass"]

MAIN = "prediction"
"""The score that every bundle gives."""

TAKEN = frozenset({"low", "high", "class"})
"""Names that no output may have: the predictions have columns prediction_low, prediction_high, prediction_class."""


class Target(Part):
    """What an output predicts: its column, the way back from the network's scale, its deviation in training."""

    column: Text
    transform: dict[str, Any]
    sd: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Readout(Part):
    """How the outputs are read. Where a bundle says nothing: as a regression without intervals."""

    task: Task = "regression"
    classes: Annotated[tuple[Text, ...], Field(max_length=1000)] = ()
    """binary: the negative one, the positive one. multiclass: one for each output, in their order."""
    further: dict[str, Target] = Field(default_factory=dict)
    """regression: outputs with a target of their own. The others share the main one's."""
    calibration: Calibration | None = None
    """binary, multiclass."""
    intervals: dict[str, Intervals] = Field(default_factory=dict)
    """regression: output -> its intervals."""

    def problems(self, outputs: Sequence[str]) -> Iterator[str]:
        """What does not fit, in words."""
        if self.task == "regression":
            if self.classes or self.calibration:
                yield "classes and calibration belong to binary and multiclass"
        elif self.further or self.intervals:
            yield "targets of further outputs and intervals belong to regression"
        if self.task == "binary" and (tuple(outputs) != (MAIN,) or len(set(self.classes)) != 2):
            yield f"a binary readout has the one output {MAIN} and two classes"
        if self.task == "multiclass" and (len(outputs) < 2 or len(set(self.classes)) != len(outputs)):
            yield "a multiclass readout has two outputs or more, and a class for each"
        if self.task != "binary" and self.calibration and self.calibration.method == "isotonic":
            yield "isotonic calibration belongs to binary"
        if (self.task == "multiclass") == (MAIN in outputs):
            yield f"the output {MAIN} is missing, or is not the readout's to give"
        if unknown := sorted((self.further.keys() | self.intervals.keys()) - set(outputs)):
            yield f"{unknown[0]} is not among the outputs"
        names = self.columns(outputs)
        if len(set(names)) < len(names) or TAKEN & set(names):
            yield "an output has the name of another column of the predictions"

    def target_of(self, name: str) -> Target | None:
        """What one of `columns` predicts, a score or the end of its interval; None: the main target."""
        output, _, end = name.rpartition("_")
        return self.further.get(name) or (self.further.get(output) if end in ENDS else None)

    def scores(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """Names of the scores: the outputs, and for several classes the probability of the one that is told."""
        return (MAIN, *outputs) if self.task == "multiclass" else tuple(outputs)

    def columns(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """The scores, and the ends of further outputs' intervals: what each row of the predictions has as numbers."""
        ends = [f"{name}_{end}" for name in outputs if name in self.intervals and name != MAIN for end in ENDS]
        return (*self.scores(outputs), *ends)

    def meaning(self, outputs: Sequence[str]) -> "Meaning":
        """What a reader of the predictions needs to know of them."""
        intervals = self.intervals.get(MAIN)
        names = outputs if self.task == "multiclass" else ()
        return Meaning(
            task=self.task, classes=self.classes, outputs=tuple(names), level=intervals.level if intervals else None
        )


class Meaning(Part):
    """What predictions mean; stands in the metadata of their files."""

    task: Task = "regression"
    classes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    """multiclass: prediction_<output> is the probability of the class in the same place."""
    level: float | None = None
    """Share of the truths that the intervals were made to hold."""


ENDS = ("low", "high")


@dataclass(frozen=True)
class Told:
    """What readers are told of n listings.

    Attributes:
        scores: name -> float64 [n], in the target's unit, or a probability; not finite where the network failed.
        ends: output -> low and high, float64 [n] in its target's unit; NaN where there is no interval.
        chosen: int64 [n], place of the class that is told; None for regression. No meaning where a score is not finite.
        image_effect: float64 [n]; None where it was not asked for.
    """

    scores: dict[str, Floats]
    ends: dict[str, tuple[Floats, Floats]]
    chosen: npt.NDArray[np.int64] | None
    image_effect: Floats | None = None

    def take(self, rows: npt.NDArray[np.int64]) -> "Told":
        """Scores and classes of some of the listings."""
        chosen = None if self.chosen is None else self.chosen[rows]
        return Told({name: values[rows] for name, values in self.scores.items()}, {}, chosen)


def read_out(readout: Readout, targets: Mapping[str, TargetTransform], raw: Mapping[str, Floats]) -> Told:
    """Scores of what the network gave, without intervals.

    Args:
        readout: the bundle's.
        targets: output -> the way back to its unit.
        raw: output -> float64 [n], as the network gives it.
    """
    if readout.task == "regression":
        return Told({name: targets[name].inverse(values) for name, values in raw.items()}, {}, None)
    if readout.task == "binary":
        probability = positive(raw[MAIN], readout.calibration)
        return Told({MAIN: probability}, {}, (probability >= 0.5).astype(np.int64))
    found = of_classes(np.stack(list(raw.values()), axis=1), readout.calibration)
    of_each = {name: found[:, at] for at, name in enumerate(raw)}
    return Told({MAIN: found.max(axis=1), **of_each}, {}, found.argmax(axis=1))


def ends(
    readout: Readout,
    targets: Mapping[str, TargetTransform],
    raw: Mapping[str, Floats],
    with_images: npt.NDArray[np.bool_],
    segments: Mapping[str, Sequence[str | None]],
) -> dict[str, tuple[Floats, Floats]]:
    """Both ends of the intervals in the target's unit, where both are finite; NaN elsewhere.

    The way back is monotone, in floating point too, so low <= prediction <= high holds to the last bit.

    Args:
        readout: the bundle's.
        targets: output -> the way back to its unit.
        raw: output -> float64 [n], as the network gives it.
        with_images: bool [n].
        segments: column -> its values as text, of the columns that intervals go by.
    """
    found = {}
    for name, intervals in readout.intervals.items():
        chosen = segments.get(intervals.by) if intervals.by is not None else None
        low, high = (targets[name].inverse(end) for end in intervals.ends(raw[name], with_images, chosen))
        there = np.isfinite(low) & np.isfinite(high)
        found[name] = (np.where(there, low, np.nan), np.where(there, high, np.nan))
    return found


def effect(readout: Readout, with_images: Told, without: Told) -> Floats:
    """How much the images moved the score: float64 [n], the main score minus the same listing's without any image.

    For several classes it is the probability of the class that is told, with and without the images.
    """
    if readout.task != "multiclass":
        return with_images.scores[MAIN] - without.scores[MAIN]
    assert with_images.chosen is not None
    of_each = np.stack([values for name, values in without.scores.items() if name != MAIN], axis=1)
    return with_images.scores[MAIN] - of_each[np.arange(len(of_each)), with_images.chosen]
