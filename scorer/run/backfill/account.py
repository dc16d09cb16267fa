"""The plan and what became of it: a table for people, plain values for machines."""

from collections.abc import Sequence
from typing import Any

from scorer.run.backfill.outcomes import Outcome
from scorer.run.backfill.planning import BackfillPlan, Line
from scorer.run.estimate import cost
from scorer.settings import Costs


def planned(plan: BackfillPlan, costs: Costs) -> list[dict[str, str]]:
    """The plan, one line a partition; minutes and costs only of those that are going to be scored."""
    return [_planned(line, plan, costs) for line in plan.lines]


def done(plan: BackfillPlan, outcomes: Sequence[Outcome], costs: Costs) -> list[dict[str, str]]:
    """What became of each partition that was to be scored, in the order in which they ended; the rest: not begun."""
    lines = {line.partition: line for line in plan.chosen}
    ended = [_done(lines[outcome.partition], outcome, plan, costs) for outcome in outcomes]
    never = [line for line in plan.chosen if line.partition not in {outcome.partition for outcome in outcomes}]
    return [*ended, *(_done(line, None, plan, costs) for line in never)]


def plain(plan: BackfillPlan, outcomes: Sequence[Outcome] | None, costs: Costs) -> dict[str, Any]:
    """The same as plain JSON; `outcomes` is None for a dry run. Seconds and money are numbers, None where unknown."""
    became = {outcome.partition: outcome for outcome in outcomes or ()}
    money = costs.price_per_hour
    return {
        "bundle": {"uri": plan.bundle.uri, "version": plan.bundle.version, "digest": plan.bundle.digest},
        "only": plan.wanted.only,
        "parallel": plan.wanted.parallel,
        "basis": plan.basis,
        "seconds": _rounded(plan.seconds),
        "cost": _rounded(plan.seconds * money / 3600) if money is not None and plan.seconds is not None else None,
        "currency": costs.currency,
        "partitions": [_plain(line, became.get(line.partition)) for line in plan.lines],
    }


def sentence(plan: BackfillPlan, costs: Costs) -> str:
    """What is going to be done, in words."""
    number, there = len(plan.chosen), sum(line.state != "no listings" for line in plan.lines)
    words = f"{number} of {there} partition(s) to score (--only {plan.wanted.only})"
    if number and plan.wanted.parallel > 1:
        words += f", {plan.wanted.parallel} at a time"
    if number and plan.seconds is not None:
        words += f": about {_minutes(plan.seconds)} min{_price(plan.seconds, costs)}"
    return f"{words}. {plan.basis}"


def verdict(plan: BackfillPlan, outcomes: Sequence[Outcome], seconds: float, costs: Costs) -> str:
    """What was done, in words; `seconds` from the first partition to the last."""
    published = sum(not outcome.exit_code for outcome in outcomes)
    estimated = (
        "" if plan.seconds is None else f" (estimated: {_minutes(plan.seconds)} min{_price(plan.seconds, costs)})"
    )
    return (
        f"{published} of {len(plan.chosen)} partition(s) published in {_minutes(seconds)} min{_price(seconds, costs)}"
        f"{estimated}."
    )


def _planned(line: Line, plan: BackfillPlan, costs: Costs) -> dict[str, str]:
    return {
        "partition": line.partition,
        "state": line.state,
        "score": "yes" if line.chosen else "no",
        **_sizes(line),
        "minutes": _minutes(line.seconds),
        **_money("cost", line.seconds, plan, costs),
        "why": line.why,
    }


def _done(line: Line, outcome: Outcome | None, plan: BackfillPlan, costs: Costs) -> dict[str, str]:
    seconds = outcome.seconds if outcome else None
    return {
        "partition": line.partition,
        "outcome": outcome.verdict if outcome else "not begun",
        **_sizes(line),
        "estimated min": _minutes(line.seconds),
        "actual min": _minutes(seconds),
        **_money("cost", seconds, plan, costs),
        "why": _short(outcome.error) if outcome else "",
    }


def _sizes(line: Line) -> dict[str, str]:
    return {"rows": _count(line.rows), "images": _count(line.images)}


def _money(name: str, seconds: float | None, plan: BackfillPlan, costs: Costs) -> dict[str, str]:
    """A column only where there is a price. Runs at a time share the machine, and so its price."""
    if costs.price_per_hour is None:
        return {}
    return {name: "-" if seconds is None else cost(seconds / plan.wanted.parallel, costs)}


def _plain(line: Line, outcome: Outcome | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "partition": line.partition,
        "state": line.state,
        "why": line.why,
        "score": line.chosen,
        "rows": line.rows,
        "images": line.images,
        "seconds": _rounded(line.seconds),
    }
    if outcome is None:
        return values
    ended = {"exit_code": outcome.exit_code, "run_id": outcome.run_id, "error": outcome.error}
    return {**values, "outcome": {**ended, "seconds": _rounded(outcome.seconds)}}


def _price(seconds: float, costs: Costs) -> str:
    price = cost(seconds, costs)
    return f", {price}" if price else ""


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _minutes(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds / 60:,.1f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:97] + "..."
