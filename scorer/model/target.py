"""The target as the network sees it, and back."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scorer.errors import BundleError

Floats = npt.NDArray[np.float64]

SKEWED = 1.0
"""Skewness beyond which a positive target is learned as its logarithm: prices sit at 2 to 5, heights near 0."""


@dataclass(frozen=True)
class TargetTransform:
    """Standardised, after a logarithm (of the target or of 1 + it) where `kind` says so. Plain data in the bundle."""

    kind: Literal["identity", "log", "log1p"]
    mean: float
    scale: float

    @classmethod
    def fit(cls, values: Floats, kind: Literal["auto", "identity", "log"]) -> "TargetTransform":
        """Mean and scale of the training split's targets.

        Args:
            values: float64 [n], finite; positive when kind is "log".
            kind: "auto" takes the logarithm where every value is positive and their skewness exceeds `SKEWED`.
        """
        if kind == "auto":
            kind = "log" if bool(np.all(values > 0)) and _skewness(values) > SKEWED else "identity"
        seen = np.log(values) if kind == "log" else values
        # A constant target has no scale of its own; 1 keeps it finite and the network learns zero.
        return cls(kind, float(np.mean(seen)), float(np.std(seen)) or 1.0)

    def forward(self, values: npt.ArrayLike) -> Floats:
        """Targets to what the network learns, float64, same shape."""
        values = np.asarray(values, np.float64)
        return (_FORWARD[self.kind](values) - self.mean) / self.scale

    def inverse(self, outputs: npt.ArrayLike) -> Floats:
        """The network's outputs to the target's own unit, float64, same shape. May overflow to infinity."""
        values = np.asarray(outputs, np.float64) * self.scale + self.mean
        with np.errstate(over="ignore"):
            return _INVERSE[self.kind](values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TargetTransform":
        """Read back what `to_dict` gave. Raises BundleError when it is something else."""
        try:
            transform = cls(values["kind"], float(values["mean"]), float(values["scale"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"The bundle's target transform cannot be read: {error!r}. Nothing was scored.") from None
        known = transform.kind in tuple(_FORWARD)
        if not (known and np.isfinite(transform.mean) and np.isfinite(transform.scale) and transform.scale > 0):
            raise BundleError(f"The bundle's target transform makes no sense: {transform}. Nothing was scored.")
        return transform


Function = Callable[[Floats], Floats]
_FORWARD: Mapping[str, Function] = {"identity": lambda values: values, "log": np.log, "log1p": np.log1p}
_INVERSE: Mapping[str, Function] = {"identity": lambda values: values, "log": np.exp, "log1p": np.expm1}


def _skewness(values: Floats) -> float:
    centred = values - np.mean(values)
    deviation = np.std(centred)
    return float(np.mean(centred**3) / deviation**3) if deviation > 0 else 0.0
