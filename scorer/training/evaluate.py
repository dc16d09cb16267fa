"""How good the model is on listings that nothing was fitted on, and whether the images helped, in words."""

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from scorer.training.split import Rows
from scorer.training.weighting import weighted_mean, weighted_quantile
from scorer.training.yardstick import Yardstick

Floats = npt.NDArray[np.float64]

RESAMPLES = 2000
COVERAGE = 0.95
"""Of the bootstrap interval."""

TINY = 1e-12

MANY_GROUPS = 10_000
"""From here on means are normal, whatever the errors are like: nothing is drawn. 2,000 times 100,000 took 6 s."""

DRAWN_AT_ONCE = 8_000_000
"""Groups drawn at a time, 64 MB."""


@dataclass(frozen=True)
class Metrics:
    """Errors on n listings. Percentages leave listings with a target of zero out, and are None if that is all."""

    mape: float | None
    median_ape: float | None
    r2: float | None
    mae: float
    n: int


@dataclass(frozen=True)
class Comparison:
    """Error of the numbers-only net minus error of the fused one: positive where images help.

    Attributes:
        measure: "MAPE" in percentage points, or "MAE" in the target's unit where targets may be zero.
        numbers: error of the numbers-only net.
        fused: error of the fused net.
        difference: mean paired difference.
        low: lower end of its 95 % interval.
        high: upper end.
        n: listings compared.
        better: share of the resamples in which the images help.
    """

    measure: str
    numbers: float
    fused: float
    difference: float
    low: float
    high: float
    n: int
    better: float

    @property
    def verdict(self) -> str:
        """Whether the images helped, in a sentence that claims no more than was measured."""
        unit = " %" if self.measure == "MAPE" else ""
        figures = (
            f"on {self.n:,} test listings the {self.measure} is {self.fused:,.4g}{unit} with images and"
            f" {self.numbers:,.4g}{unit} without; difference {self.difference:+,.3g}, 95 % interval"
            f" {self.low:+,.3g} to {self.high:+,.3g}, better with them in {share_words(self.better)} of the resamples"
        )
        if self.low > 0:
            return f"The images help: {figures}."
        if self.high < 0:
            return f"The images make it worse: {figures}."
        return f"Whether the images help cannot be told: {figures}, which is within noise."


def measure(actual: Floats, predicted: Floats, weights: Floats | None = None) -> Metrics:
    """Metrics of predictions float64 [n] in the target's own unit, n >= 1; with weights float64 [n] all but n."""
    counts = _counts(actual, weights)
    error = np.abs(predicted - actual)
    nonzero = actual != 0
    shares = 100 * error[nonzero] / np.abs(actual[nonzero])
    spread = float(np.sum(counts * (actual - weighted_mean(actual, counts)) ** 2))
    return Metrics(
        mape=weighted_mean(shares, counts[nonzero]) if nonzero.any() else None,
        median_ape=weighted_quantile(shares, counts[nonzero], 0.5) if nonzero.any() else None,
        r2=1 - float(np.sum(counts * error**2)) / spread if spread else None,
        mae=weighted_mean(error, counts),
        n=len(actual),
    )


def compare(
    actual: Floats,
    numbers: Floats,
    fused: Floats,
    groups: Rows,
    seed: int,
    weights: Floats | None = None,
    quantile: float | None = None,
) -> Comparison:
    """Paired comparison on the same listings; the interval is from a bootstrap over groups, whose listings are alike.

    It says how far other test listings could move the difference, not what another split or seed of training would do.

    Args:
        actual: float64 [n], n >= 1.
        numbers: predictions of the numbers-only net.
        fused: predictions of the fused net.
        groups: int64 [n].
        seed: of the resampling.
        weights: float64 [n]; None: all alike.
        quantile: what the predictions are to be; None: means or medians.
    """
    yardstick = Yardstick.of(actual, quantile)
    without, with_images = yardstick.errors(actual, numbers), yardstick.errors(actual, fused)
    return compare_losses(yardstick.name, without, with_images, groups, seed, weights)


def compare_losses(
    name: str, without: Floats, with_images: Floats, groups: Rows, seed: int, weights: Floats | None = None
) -> Comparison:
    """The same of losses float64 [n] that are called `name`."""
    counts = _counts(without, weights)
    low, high, better = bootstrap(without - with_images, groups, seed, counts)
    return Comparison(
        measure=name,
        numbers=weighted_mean(without, counts),
        fused=weighted_mean(with_images, counts),
        difference=weighted_mean(without - with_images, counts),
        low=low,
        high=high,
        n=len(without),
        better=better,
    )


def _counts(values: Floats, weights: Floats | None) -> Floats:
    """What each listing counts; all alike where nothing is known, or all are 0."""
    return np.ones(len(values)) if weights is None or not weights.any() else weights


def bootstrap(values: Floats, groups: Rows, seed: int, weights: Floats | None = None) -> tuple[float, float, float]:
    """How far chance could move a mean: groups are drawn again, with all their listings, or would be.

    Args:
        values: float64 [n], n >= 1.
        groups: int64 [n].
        seed: of the drawing.
        weights: float64 [n]; None: all alike.

    Returns:
        Both ends of the 95 % interval of the mean, and the share of the resamples whose mean is positive.
    """
    _, group = np.unique(groups, return_inverse=True)
    each = _counts(values, weights)
    sums, counts = np.bincount(group, values * each), np.bincount(group, each)
    if len(sums) >= MANY_GROUPS:
        return _without_drawing(sums, counts)
    random, means = np.random.default_rng(seed), np.empty(RESAMPLES)
    for at in range(0, RESAMPLES, step := max(1, DRAWN_AT_ONCE // len(sums))):
        drawn = random.integers(0, len(sums), (min(step, RESAMPLES - at), len(sums)))
        # Where only groups of no weight were drawn, the mean is as unknown as 0 is.
        means[at : at + len(drawn)] = sums[drawn].sum(axis=1) / np.maximum(counts[drawn].sum(axis=1), TINY)
    low, high = np.quantile(means, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high), float((means > 0).mean())


def _without_drawing(sums: npt.NDArray[Any], counts: npt.NDArray[Any]) -> tuple[float, float, float]:
    """The same from the standard error of a ratio of sums, linearised (Cochran, Sampling Techniques, 1977, 6.4)."""
    mean = sums.sum() / counts.sum()
    error = float(np.sqrt(np.square(sums - mean * counts).sum()) / counts.sum())
    if not error:
        return float(mean), float(mean), float(mean > 0)
    drawn = NormalDist(float(mean), error)
    return drawn.inv_cdf((1 - COVERAGE) / 2), drawn.inv_cdf((1 + COVERAGE) / 2), 1 - drawn.cdf(0.0)


def share_words(share: float) -> str:
    """A share of resamples: 97 %; never none nor all of them, which no resampling can say."""
    return f"{100 * share:.0f} %" if 0.005 <= share <= 0.995 else "under 1 %" if share < 0.5 else "over 99 %"


def to_plain(models: dict[str, Metrics], comparison: Comparison) -> dict[str, Any]:
    """Plain JSON for the bundle."""
    return {
        "test": {name: asdict(metrics) for name, metrics in models.items()},
        "images": {**asdict(comparison), "verdict": comparison.verdict},
    }


def table(models: dict[str, Metrics], comparison: Comparison) -> str:
    """What a person reads: one line per model, then the verdict."""
    lines = [f"{'on the test listings':<22}{'MAPE %':>9}{'median APE %':>14}{'R2':>8}{'MAE':>14}{'n':>8}"]
    for name, metrics in models.items():
        errors = f"{_cell(metrics.mape, 9, '.1f')}{_cell(metrics.median_ape, 14, '.1f')}{_cell(metrics.r2, 8, '.3f')}"
        lines.append(f"{name:<22}{errors}{_cell(metrics.mae, 14, ',.4g')}{metrics.n:>8,}")
    return "\n".join([*lines, "", comparison.verdict])


def _cell(value: float | None, width: int, form: str) -> str:
    return f"{'-' if value is None else format(value, form):>{width}}"
