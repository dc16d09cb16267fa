"""By what models are compared: one error of each listing, whose mean shall be small."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scorer.training.robust import pinball

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Yardstick:
    """The main error.

    Attributes:
        name: "MAPE" in % of the actual value; "MAE", where targets may be zero, or "quantile loss", in its unit.
        quantile: what the predictions are to be; None: means or medians.
    """

    name: str
    quantile: float | None = None

    @classmethod
    def of(cls, target: Floats, quantile: float | None = None) -> "Yardstick":
        """That of all listings whose targets these are."""
        if quantile is not None:
            return cls("quantile loss", quantile)
        return cls("MAPE" if bool(np.all(target != 0)) else "MAE")

    @property
    def unit(self) -> str:
        """Behind a figure."""
        return " %" if self.percent else ""

    @property
    def percent(self) -> bool:
        """Whether it is in % of the actual value."""
        return self.name == "MAPE"

    def errors(self, actual: Floats, predicted: Floats) -> Floats:
        """Of each listing: float64 [..., n] as the predictions, in the target's unit or in %; targets float64 [n]."""
        if self.quantile is not None:
            return np.asarray(pinball(predicted, actual, self.quantile), np.float64)
        errors = np.abs(predicted - actual)
        return 100 * errors / np.abs(actual) if self.percent else errors
