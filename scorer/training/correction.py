"""One additive shift where the network learns, so that what is told is a mean, or of the smallest MAPE.

A network that learns the logarithm of a price tells about the median price: exp(mean of log). Whoever adds predictions
up wants the mean, which is higher; whoever is judged by percentages of the truth wants less, since an error upwards
has no bound in percent and one downwards ends at 100. Both are one shift in logarithms, fitted out of fold.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from scorer.model.target import TargetTransform

Floats = npt.NDArray[np.float64]
Correction = Literal["none", "smearing", "shift"]


def fit_shift(kind: Correction, truth: Floats, told: Floats, weights: Floats) -> float:
    """What to add to every output, in logarithms.

    Args:
        kind: smearing: the mean of the exponential residuals (Duan, "Smearing Estimate", JASA 78, 1983), so that
            predictions add up to the truths. shift: the smallest mean absolute percentage error.
        truth: log of the targets, float64 [n].
        told: out of fold, the same scale.
        weights: float64 [n].
    """
    if kind == "none":
        return 0.0
    if not weights.any():
        weights = np.ones(len(truth))  # what is known out of fold counts nothing: better by all of it than by one
    ratio = np.exp(np.clip(truth - told, -50.0, 50.0))  # truth / prediction
    if kind == "smearing":
        return float(np.log(np.average(ratio, weights=weights)))
    # |factor x prediction - truth| / truth = |factor - ratio| / ratio: least at a weighted median of the ratios.
    return float(np.log(_weighted_median(ratio, weights / ratio)))


def shifted(target: TargetTransform, shift: float) -> TargetTransform:
    """The way back with the shift in it: of a log target on its logarithm, else on the target itself."""
    return TargetTransform(target.kind, target.mean + shift, target.scale) if shift else target


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
