"""How far two distributions are apart, and how far chance alone would take them; see docs/decisions/gates.md."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from scorer.output.distribution import Distribution
from scorer.output.gates.measure import Measure
from scorer.settings import Limits, Shift

FEWEST = 30
"""Rows on either side below which nothing is compared: the noise would hide everything that matters."""

EXPECTED = 10
"""Rows that a bin must expect on the smaller side. Smaller bins are put together: there the noise is no chi-square."""

CATEGORIES = 20
"""Values of a category that stand for themselves, as many as a number has bins; the rest is one bin."""

FALSE_ALARMS = 1e-4
"""Nights without any shift on which a gate may speak up, over all of its comparisons."""

MARGIN = 1.2
"""On the chi-square quantile: at 10 rows a bin the PSI's tail is up to 1.13 times as long (40,000 simulated nights)."""


@dataclass(frozen=True)
class Effect:
    """Two distances between a night and what it is compared with, each with what chance alone may reach.

    Attributes:
        psi: population stability index over the bins, missing values being one.
        psi_noise: 0 and up.
        ks: Kolmogorov-Smirnov distance of the numbers that are there, 0 to 1; None where values have no order.
        ks_noise: likewise.
    """

    psi: float
    psi_noise: float
    ks: float | None
    ks_noise: float


def compare(now: Distribution, then: Distribution, comparisons: int) -> Effect | None:
    """The distance of two distributions over the same bins.

    Args:
        now: of this run.
        then: of the training, or of an earlier run.
        comparisons: how many are made on one night, so that many features don't make many false alarms.

    Returns:
        None where the bins differ or either side has too few rows.
    """
    if not now.fits(then) or len(now.counts) != len(then.counts) or min(now.rows, then.rows) < FEWEST:
        return None
    pairs = _pooled(now, then)
    alarms = FALSE_ALARMS / (2 * max(comparisons, 1))
    noise = 1 / now.rows + 1 / then.rows
    ks = _ks(now, then) if now.kind == "number" and min(now.there, then.there) >= FEWEST else None
    return Effect(
        psi=_psi(pairs),
        psi_noise=MARGIN * _chi_square(len(pairs) - 1, 1 - alarms) * noise,
        ks=ks,
        ks_noise=0.0 if ks is None else math.sqrt((1 - math.log(alarms)) / 2 * (1 / now.there + 1 / then.there)),
    )


def measure(about: str, now: Distribution, then: Distribution, effect: Effect, limits: Shift, against: str) -> Measure:
    """The worse of both distances under its limits; a limit below the noise is the noise."""
    ks = "" if effect.ks is None else f", KS {effect.ks:.3f} (chance {effect.ks_noise:.3f})"
    text = f"{about} against {against}: PSI {effect.psi:.3f} (chance {effect.psi_noise:.3f}){ks}; {_moved(now, then)}"

    def under(kind: str, distance: float, noise: float, limit: Limits) -> Measure:
        return Measure(
            about=about,
            measured=distance,
            warn=None if limit.warn is None else max(limit.warn, noise),
            fail=None if limit.fail is None else max(limit.fail, noise),
            text=text,
            form=kind + " {:.3f}",
            detail=effect.psi,
        )

    found = [under("PSI", effect.psi, effect.psi_noise, limits.psi)]
    if effect.ks is not None:
        found.append(under("KS", effect.ks, effect.ks_noise, limits.ks))
    return max(found, key=lambda one: (one.status == "fail", one.status == "warn", one.excess))


def _moved(now: Distribution, then: Distribution) -> str:
    """The bin whose share changed most, in words."""
    mine, theirs = (*now.counts, now.missing), (*then.counts, then.missing)
    shares = [(m / now.rows, t / then.rows) for m, t in zip(mine, theirs, strict=True)]
    at = max(range(len(shares)), key=lambda position: abs(shares[position][0] - shares[position][1]))
    return f"most at {_bin(now, at)}: {shares[at][0]:.1%} of the rows, {shares[at][1]:.1%} there"


def _bin(distribution: Distribution, at: int) -> str:
    if at == len(distribution.counts):
        return "missing values"
    if distribution.kind != "number":
        return repr(distribution.values[at]) if at < len(distribution.values) else "values that are rare or new"
    edges = distribution.edges
    if not edges:
        return "any number"
    if at == 0:
        return f"below {edges[0]:g}"
    return f"{edges[at - 1]:g} and above" if at == len(edges) else f"{edges[at - 1]:g} to {edges[at]:g}"


Pair = tuple[int, int]
"""Rows of one bin: in this run, and in what it is compared with."""


def _pooled(now: Distribution, then: Distribution) -> list[Pair]:
    """The bins, small ones put together: numbers with their neighbours, categories the rarest with each other."""
    bins = list(zip(now.counts, then.counts, strict=True))
    missing = (now.missing, then.missing)
    if now.kind == "number":
        return _filled([*bins, missing], now.rows, then.rows)
    # Which values are frequent is the training's word alone, and only the clearly frequent ones stand for themselves:
    # values that chance lifted into the list sink back on every later night, in step, and look like drift.
    enough = EXPECTED * max(then.rows / now.rows, 1.0)
    named = sorted(bins[: len(now.values)], key=lambda pair: pair[1], reverse=True)
    frequent = [pair for pair in named[:CATEGORIES] if pair[1] >= enough]
    rest = [*named[len(frequent) :], *bins[len(now.values) :]]
    others = (sum(pair[0] for pair in rest), sum(pair[1] for pair in rest))
    return _filled([*frequent, others, missing], now.rows, then.rows)


def _filled(bins: Sequence[Pair], rows: int, before: int) -> list[Pair]:
    """Neighbours put together until each expects enough rows, or has clearly more than that on one side."""
    smaller = min(rows, before)
    pooled: list[Pair] = []
    open_bin: Pair = (0, 0)
    for pair in bins:
        open_bin = (open_bin[0] + pair[0], open_bin[1] + pair[1])
        expected = sum(open_bin) / (rows + before)
        largest = max(open_bin[0] / rows, open_bin[1] / before)
        if expected * smaller >= EXPECTED or largest * smaller >= 2 * EXPECTED:
            pooled.append(open_bin)
            open_bin = (0, 0)
    if pooled and any(open_bin):
        last = pooled.pop()
        open_bin = (last[0] + open_bin[0], last[1] + open_bin[1])
    return [*pooled, open_bin] if any(open_bin) else pooled


def _psi(pairs: Sequence[Pair]) -> float:
    """Half a row is added to each bin: one that is empty on one side would make it infinite."""
    mine = sum(pair[0] + 0.5 for pair in pairs)
    theirs = sum(pair[1] + 0.5 for pair in pairs)
    shares = [((pair[0] + 0.5) / mine, (pair[1] + 0.5) / theirs) for pair in pairs]
    return sum((p - q) * math.log(p / q) for p, q in shares)


def _ks(now: Distribution, then: Distribution) -> float:
    below_now = below_then = 0
    furthest = 0.0
    for mine, theirs in zip(now.counts, then.counts, strict=True):
        below_now, below_then = below_now + mine, below_then + theirs
        furthest = max(furthest, abs(below_now / now.there - below_then / then.there))
    return furthest


def _chi_square(degrees: int, probability: float) -> float:
    """Quantile by Wilson and Hilferty's cube root: within 1 % from 3 degrees on, and never too small below."""
    if degrees < 1:
        return 0.0
    z = NormalDist().inv_cdf(probability)
    return degrees * (1 - 2 / (9 * degrees) + z * math.sqrt(2 / (9 * degrees))) ** 3
