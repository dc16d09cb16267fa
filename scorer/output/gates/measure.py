"""From figures to a verdict: each figure against its limits, the worst one decides."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from scorer.output.gates.verdict import Status, Verdict
from scorer.settings import Limit, Limits

ALLOWANCE = 3.0
"""Standard deviations that a share of few rows may lie above its limit by chance: 1 of 10 rows is no 10 %."""

DETAILS = 50
"""Figures kept in a verdict: the worst ones."""


@dataclass(frozen=True)
class Measure:
    """One figure and what it may be.

    Attributes:
        about: the feature, reason or partition that it is of; empty where there is only one.
        measured: larger is worse.
        warn: None: never.
        fail: None: never.
        text: what was measured, with the numbers that it comes from; no full stop.
        form: how figure and limit are written, for instance "{:.1%}".
        detail: what the verdict's details say instead of `measured`, where measures of one gate differ in kind.
    """

    about: str
    measured: float
    warn: float | None
    fail: float | None
    text: str
    form: str = "{:.1%}"
    detail: float | None = None

    @property
    def status(self) -> Status:
        """What this figure alone would say."""
        if self.fail is not None and self.measured > self.fail:
            return "fail"
        return "warn" if self.warn is not None and self.measured > self.warn else "pass"

    @property
    def limit(self) -> float | None:
        """The limit that was crossed, else the nearest one."""
        if self.status == "fail":
            return self.fail
        return self.warn if self.warn is not None else self.fail

    @property
    def sentence(self) -> str:
        """Text, figure and limit."""
        limit = "no limit" if self.limit is None else f"limit {self.form.format(self.limit)}"
        return f"{self.text} ({self.form.format(self.measured)}, {limit})"

    @property
    def excess(self) -> float:
        """How near to the limit, or beyond: 1 is at it. Figures of different kinds are compared by this."""
        limit = self.fail if self.fail is not None else self.warn
        return self.measured / limit if limit else (math.inf if limit == 0.0 and self.measured else 0.0)


def noisy(limit: Limit, rows: int) -> float | None:
    """A limit on a share, with what chance adds in so many rows."""
    if limit is None:
        return None
    return limit + ALLOWANCE * math.sqrt(max(limit * (1 - limit), 0.0) / max(rows, 1))


def share(about: str, count: int, rows: int, limits: Limits, text: str) -> Measure:
    """`count` of `rows` as a share under limits, with the allowance for chance."""
    return Measure(about, count / max(rows, 1), noisy(limits.warn, rows), noisy(limits.fail, rows), text)


def verdict(gate: str, measures: Iterable[Measure], look: str) -> Verdict:
    """The worst figure decides.

    Args:
        gate: its name.
        measures: at least one.
        look: where to look when it warns or fails; a sentence.
    """
    order = {"fail": 0, "warn": 1}
    worst_first = sorted(measures, key=lambda measure: (order.get(measure.status, 2), -measure.excess))
    worst = worst_first[0]
    details: dict[str, float] = {}
    for measure in worst_first[:DETAILS]:
        details.setdefault(measure.about, round(measure.measured if measure.detail is None else measure.detail, 6))
    return Verdict(
        gate=gate,
        status=worst.status,
        about=worst.about,
        measured=round(worst.measured, 6),
        limit=None if worst.limit is None else round(worst.limit, 6),
        reason=_reason([measure for measure in worst_first if measure.status == worst.status], look),
        details={name: figure for name, figure in details.items() if name},
    )


def not_judged(gate: str, why: str) -> Verdict:
    """Nothing to compare, which is no failure."""
    return Verdict(gate=gate, status="not judged", reason=f"Not judged: {why}.")


def _reason(alike: list[Measure], look: str) -> str:
    """The worst figures in words; of a gate that passes, only the one nearest to its limit."""
    if alike[0].status == "pass":
        return f"{alike[0].sentence}."
    said = "; ".join(measure.sentence for measure in alike[:3])
    more = f"; and {len(alike) - 3} more" if len(alike) > 3 else ""
    return f"{said}{more}. {look}"
