"""Probabilities that come true as often as they say, from logits out of fold."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from scorer.model.calibration import Calibration, of_classes, positive
from scorer.model.classification import log_loss

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

Way = Callable[[Floats, Codes, Floats], Calibration]

LEAST_FOR_A_CURVE = 1000
"""Listings from which a free curve is tried beside a single temperature."""

TEMPERATURES = np.logspace(-1, 1, 201)


def fit_calibration(logits: Floats, actual: Codes, weights: Floats, fold: Codes) -> Calibration | None:
    """A temperature, or for two classes and many listings a free curve, whichever has the smaller log loss out of fold.

    Temperature: Guo and others, "On Calibration of Modern Neural Networks", ICML 2017. Isotonic: Zadrozny and Elkan,
    "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", KDD 2002.

    Args:
        logits: float64 [n, O], each by nets that had not seen the listing.
        actual: int64 [n], classes.
        weights: float64 [n].
        fold: int64 [n], those that fit a curve and those that it is measured on.

    Returns:
        None without listings.
    """
    if not len(logits):
        return None
    ways: list[Way] = [_temperature]
    if logits.shape[1] == 1 and len(logits) >= LEAST_FOR_A_CURVE:
        ways.append(_isotonic)
    found = [_measured(way, logits, actual, weights, fold) for way in ways]
    return min(found, key=lambda one: one.log_loss if one.log_loss is not None else np.inf)


def calibrated(logits: Floats, calibration: Calibration | None) -> Floats:
    """Probabilities float64 [n, classes] of logits float64 [n, O]."""
    if logits.shape[1] > 1:
        return of_classes(logits, calibration)
    second = positive(logits[:, 0], calibration)
    return np.stack([1 - second, second], axis=1)


def _measured(way: Way, logits: Floats, actual: Codes, weights: Floats, fold: Codes) -> Calibration:
    found = np.full((len(logits), max(2, logits.shape[1])), np.nan)
    for one in np.unique(fold):
        others, own = fold != one, fold == one
        curve = way(logits[others], actual[others], weights[others]) if others.any() else None
        found[own] = calibrated(logits[own], curve)
    whole = way(logits, actual, weights)
    counts = weights if weights.any() else None
    return whole.model_copy(
        update={
            "n": len(logits),
            "log_loss_before": log_loss(actual, calibrated(logits, None), counts),
            "log_loss": log_loss(actual, found, counts),
        }
    )


def _temperature(logits: Floats, actual: Codes, weights: Floats) -> Calibration:
    counts = weights if weights.any() else None
    tried = [Calibration(method="temperature", temperature=float(one)) for one in TEMPERATURES]
    losses = [log_loss(actual, calibrated(logits, one), counts) for one in tried]
    return tried[int(np.argmin(losses))]


def _isotonic(logits: Floats, actual: Codes, weights: Floats) -> Calibration:
    """No probability is 0 or 1: of n listings none says more than that n + 1 would have been alike."""
    edge = 1 / (len(logits) + 2)
    fitted = IsotonicRegression(y_min=edge, y_max=1 - edge).fit(logits[:, 0], actual, weights + 1e-9)
    return Calibration(
        method="isotonic",
        logits=tuple(fitted.X_thresholds_.tolist()),
        probabilities=tuple(np.maximum.accumulate(fitted.y_thresholds_).tolist()),
    )
