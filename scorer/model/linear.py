"""A linear score that was found in closed form, as plain numbers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class LinearScore:
    """y = x weights + bias.

    Attributes:
        weights: float64 [D, O].
        bias: float64 [O].
    """

    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]

    def __call__(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Scores float64 [n, O] of x float64 [n, D]."""
        return x @ self.weights + self.bias

    def moved(self, by: npt.NDArray[np.float64]) -> "LinearScore":
        """The same with float64 [O] added."""
        return LinearScore(self.weights, self.bias + by)
