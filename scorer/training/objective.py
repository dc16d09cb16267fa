"""What is learned: the loss that all nets make small, and what it asks of scores that were found without it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scorer.errors import SettingsError
from scorer.model.target import TargetTransform
from scorer.settings import TrainJob
from scorer.training.classes import as_goal, balance, cross_entropy, frequencies, outputs_of
from scorer.training.robust import absolute, huber, pinball, squared
from scorer.training.split import Rows
from scorer.training.weighting import weighted_quantile

Floats = npt.NDArray[np.float64]

Losses = Callable[[Any, Any], Any]
"""Scores [..., O] and goals of the same shape to losses [..., O], arrays of numpy or of TensorFlow."""


@dataclass(frozen=True)
class Objective:
    """What is made small.

    Attributes:
        losses: of each score.
        share: the quantile of the target that is least in this loss; None: its mean, or nearly so.
        classes: names of what is told apart; none for numbers.
    """

    losses: Losses
    share: float | None = None
    classes: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the head's outputs, O of them."""
        return outputs_of(self.classes)

    def transform(self, target: Floats, kind: Literal["identity", "log"]) -> TargetTransform:
        """How the target is learned: float64 [m], of the rows to learn from. Classes are as they are."""
        return TargetTransform("identity", 0.0, 1.0) if self.classes else TargetTransform.fit(target, kind)

    def goal(self, target: Floats, transform: TargetTransform) -> Floats:
        """What nets are to say: float64 [n, O] for targets float64 [n]."""
        return as_goal(target, len(self.classes)) if self.classes else transform.forward(target)[:, None]

    def of_each(self, scores: Floats, goal: Floats) -> Floats:
        """Losses as float64 of numpy."""
        return np.asarray(self.losses(scores, goal), np.float64)


HUBER_LOSS = Objective(huber)
"""Of a regression, where no other is wanted."""


def objective_of(job: TrainJob, classes: tuple[str, ...] = ()) -> Objective:
    """What the job's `loss` says. Raises SettingsError: of classes there is but one."""
    if classes:
        wrong = {"loss": job.loss != "auto", "target_transform": job.target_transform == "log"}
        wrong |= {"correction": job.correction != "none", "cross_validate": job.cross_validate is not None}
        wrong |= {"fusion all": job.fusion == "all", "further_targets": bool(job.further_targets)}
        if named := [name for name, given in wrong.items() if given]:
            raise SettingsError(
                f"{', '.join(named)}: for targets that are numbers; {job.target!r} names classes. Nothing was trained."
            )
        return Objective(cross_entropy, classes=classes)
    if job.class_weight != "none":
        raise SettingsError(f"class_weight: {job.target!r} is a number and has no classes. Nothing was trained.")
    share = 0.5 if job.quantile is None else job.quantile
    return {
        "auto": HUBER_LOSS,
        "huber": HUBER_LOSS,
        "mse": Objective(squared),
        "mae": Objective(absolute, 0.5),
        "quantile": Objective(partial(pinball, share=share), share),
    }[job.loss]


@dataclass(frozen=True)
class Goal:
    """What nets are to say of n listings.

    Attributes:
        values: float64 [n, O], on the scale on which they learn.
        weights: float64 [n], what each listing counts; their mean over all listings is 1.
        objective: what is made small.
    """

    values: Floats
    weights: Floats
    objective: Objective = HUBER_LOSS

    @classmethod
    def of(cls, values: Floats, objective: Objective = HUBER_LOSS) -> "Goal":
        """All listings alike."""
        return cls(values, np.ones(len(values)), objective)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def width(self) -> int:
        """O: outputs."""
        return int(self.values.shape[1])

    def balanced(self, rows: Rows) -> tuple["Goal", Floats]:
        """The same with all classes of some rows counting alike, and what that adds to every logit, float64 [O]."""
        weights, offset = balance(self.values[rows], self.weights[rows])
        every = self.weights.copy()
        every[rows] = weights
        return replace(self, weights=every), offset

    @property
    def counts(self) -> Floats:
        """The weights; all alike where they are 0, as those of a few rows may be."""
        return self.weights if self.weights.any() else np.ones(len(self))

    def usual(self) -> Floats:
        """What to say of a listing of which nothing is known: float64 [O].

        The mean, moved to where the loss is least; of classes the logits of how often each of them is.
        """
        if self.objective.classes:
            return frequencies(self.values, self.counts)
        mean = np.asarray(np.average(self.values, axis=0, weights=self.counts), np.float64)
        return mean + self.shift(np.broadcast_to(mean, self.values.shape))

    def columns(self, places: list[int]) -> "Goal":
        """Of some outputs."""
        return replace(self, values=self.values[:, places])

    def take(self, rows: Rows) -> "Goal":
        """Of some listings, in that order."""
        return replace(self, values=self.values[rows], weights=self.weights[rows])

    def mean_losses(self, scores: Floats) -> Floats:
        """float64 [O]: the weighted mean loss of scores float64 [n, O]."""
        losses = self.objective.of_each(scores, self.values) * self.counts[:, None]
        mean: Floats = losses.sum(axis=0) / self.counts.sum()
        return mean

    def shift(self, scores: Floats) -> Floats:
        """What to add to scores that are means for them to have the least loss: float64 [O]; NaNs are passed over."""
        if self.objective.share is None:
            return np.zeros(self.width)
        known = np.isfinite(scores).all(axis=1)
        if not self.weights[known].sum():
            return np.zeros(self.width)
        residuals = (self.values - scores)[known]
        return np.array([weighted_quantile(one, self.weights[known], self.objective.share) for one in residuals.T])
