"""Logits to probabilities that come true as often as they say."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from scorer.model.parts import Finite, Number, Part, Share

Floats = npt.NDArray[np.float64]


class Calibration(Part):
    """A monotone curve from logits to probabilities, fitted on out-of-fold logits. Part of bundle.json."""

    method: Literal["temperature", "isotonic"]
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Logits are divided by it: above 1 the network was too sure of itself."""
    logits: Annotated[tuple[Finite, ...], Field(max_length=10_000)] = ()
    """isotonic, for two classes: knots, ascending; between two of them the probability runs straight."""
    probabilities: Annotated[tuple[Share, ...], Field(max_length=10_000)] = ()
    """isotonic: of the positive class at each knot, never falling; flat beyond the first and the last."""
    n: Number = 0
    """Listings that it was fitted on."""
    log_loss_before: Finite | None = None
    """Of the uncalibrated probabilities on these listings."""
    log_loss: Finite | None = None
    """Of the calibrated ones, each listing by a curve that had not seen its fold."""

    @model_validator(mode="after")
    def _curve(self) -> "Calibration":
        if len(self.logits) != len(self.probabilities) or (self.method == "isotonic") != bool(self.logits):
            raise ValueError("isotonic needs knots with a probability each, temperature has none")
        if (np.diff(self.logits) <= 0).any() or (np.diff(self.probabilities) < 0).any():
            raise ValueError("the knots must ascend and their probabilities must not fall")
        return self


def positive(logits: Floats, calibration: Calibration | None) -> Floats:
    """Probability of the positive class float64 [n], from logits float64 [n]; NaN where a logit is not finite."""
    if calibration and calibration.method == "isotonic":
        found = np.interp(logits, calibration.logits, calibration.probabilities)
    else:
        found = sigmoid(logits / (calibration.temperature if calibration else 1.0))
    return np.where(np.isfinite(logits), found, np.nan)


def of_classes(logits: Floats, calibration: Calibration | None) -> Floats:
    """Probabilities float64 [n, classes], each row of sum 1, from logits; NaN where one of a row is not finite."""
    finite = np.asarray(np.isfinite(logits).all(axis=1), np.bool_)
    shown = np.where(finite[:, None], logits, 0.0) / (calibration.temperature if calibration else 1.0)
    weights = np.exp(shown - shown.max(axis=1, keepdims=True))
    found: Floats = weights / weights.sum(axis=1, keepdims=True)
    found[~finite] = np.nan
    return found


def sigmoid(values: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small))
