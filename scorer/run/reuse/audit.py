"""Is what was taken over what would be computed? Some of it is, and held against it."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from scorer.errors import AuditError
from scorer.settings import Precision

TOLERANCES: dict[Precision, float] = {"float32": 1e-5, "bfloat16": 0.1, "float16": 0.1}
"""As for golden rows: times max(|score|, standard deviation of the target)."""

HALF = 2.0**-11
"""A float16's relative rounding error, at most."""

Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]


def tolerance(precision: Precision) -> float:
    """By how much two machines' arithmetic may differ."""
    return TOLERANCES[precision]


def same_embedding(then: Floats, now: Floats, allowed: float, rounded: bool) -> bool:
    """Whether two embeddings are one but for arithmetic: within ten times the tolerance of their largest value.

    Scores are sums over many values, whose differences cancel; single values differ by more.
    """
    largest = float(np.abs(then).max(initial=0.0))
    room = (10 * allowed + (2 * HALF if rounded else 0.0)) * max(largest, 1e-3)
    return bool(np.abs(then.astype(np.float64) - now).max(initial=0.0) <= room)


def insist_on_scores(
    ids: list[str],
    origin: str,
    then: dict[str, Scores],
    now: dict[str, Scores],
    allowed: float,
    deviations: Mapping[str, float],
) -> None:
    """Raise AuditError that names the first listing whose score is another one than was carried forward.

    Args:
        ids: n listings.
        origin: where the carried scores are from, for people.
        then: the carried scores, float64 [n] for each output.
        now: those computed anew.
        allowed: times max(|score|, its deviation).
        deviations: standard deviation of each output's target.
    """
    for name, carried in then.items():
        room = allowed * np.maximum(np.abs(carried), deviations[name])
        neither = np.isnan(carried) & np.isnan(now[name])  # no interval, then and now
        wrong = ~((np.abs(carried - now[name]) <= room) | neither)  # one NaN is within no tolerance
        for row in np.flatnonzero(wrong)[:1]:
            raise AuditError(
                f"The audit of what was taken over failed: {name} of listing {ids[row]} is {carried[row]:.9g} by"
                f" {origin}, and {now[name][row]:.9g} computed now ({int(wrong.sum())} of {len(ids)} tried differ)."
                " Nothing was published. Start again with `--reuse none`, and find out what changed without changing"
                " an ETag or a setting."
            )
