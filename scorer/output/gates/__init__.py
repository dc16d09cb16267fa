"""One file per gate, and the table of them: what a run must pass before readers may see it."""

from collections.abc import Callable, Mapping
from typing import Any

from scorer.output.gates import (
    contract,
    degraded,
    failed,
    feature_drift,
    freshness,
    images,
    range,
    rows,
    score_drift,
    score_shift,
)
from scorer.output.gates.facts import Facts
from scorer.output.gates.verdict import Verdict
from scorer.settings import Gates

GATES: Mapping[str, Callable[[Facts, Any], Verdict]] = {
    "contract": contract.judge,
    "rows": rows.judge,
    "degraded": degraded.judge,
    "failed": failed.judge,
    "images": images.judge,
    "range": range.judge,
    "score_shift": score_shift.judge,
    "score_drift": score_drift.judge,
    "feature_drift": feature_drift.judge,
    "freshness": freshness.judge,
}
"""Gate -> its function of the facts and of the settings group `gates.<gate>`."""


def judge(facts: Facts, settings: Gates, user: str) -> tuple[Verdict, ...]:
    """Every gate's verdict, overrides applied.

    Args:
        facts: of one run.
        settings: limits and overrides.
        user: who overrides where the settings don't name anybody.
    """
    verdicts = (gate(facts, getattr(settings, name)) for name, gate in GATES.items())
    return tuple(_ruled(verdict, settings, user) for verdict in verdicts)


def _ruled(verdict: Verdict, settings: Gates, user: str) -> Verdict:
    """What becomes of a failure: overridden, only a warning, or explained further."""
    if verdict.status != "fail":
        return verdict
    if why := settings.override.get(verdict.gate):
        by = settings.by or user
        return verdict.model_copy(update={"status": "overridden", "by": by, "why": why})
    if not settings.enforce:
        return verdict.model_copy(update={"status": "warn", "reason": f"{verdict.reason} (gates.enforce is false.)"})
    way_on = (
        f" To publish it as it is: --set gates.override.{verdict.gate}='WHY'. To move the limit:"
        f" gates.{verdict.gate} in the settings. Either way nothing is scored again."
    )
    return verdict.model_copy(update={"reason": verdict.reason + way_on})
