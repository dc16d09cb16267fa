"""Rows, images, time, settings and versions of a run, as tables and flows of a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scorer.output.tally import Fault, Tally
from scorer.pages.words import visible
from scorer.run.report.flow import Flow, Leaf, Why, flow, split

SECRET = ("password", "secret", "token", "credential", "authorization", "api_key", "headers", "private")
"""Parts of a setting's name whose value no page shows. `bundle_key` is a public key."""


def rows_flow(counts: Tally, reasons: Mapping[str, Mapping[Why, int]]) -> Flow:
    """Every row that came in, to where it ended.

    Args:
        counts: of the run.
        reasons: status -> reasons that occurred together -> rows; an outcome whose reasons are not all known is shown
            as one band.
    """
    quarantined: dict[Why, int] = {(reason,): rows for reason, rows in counts.quarantine_reasons.items()}
    leaves = [
        Leaf("scored", counts.scored),
        *split("degraded", counts.degraded, reasons.get("degraded", {})),
        *split("failed", counts.failed, reasons.get("failed", {})),
        *split("quarantined", counts.quarantined, quarantined),
    ]
    return flow("rows", counts.rows_in, leaves)


def images_flow(counts: Tally) -> Flow | None:
    """Every distinct image that the rows name: used, or not for a reason. None where there was none."""
    if not counts.images_distinct:
        return None
    lost = sum(counts.faults.values())
    by_reason: dict[Why, int] = {(reason,): images for reason, images in counts.faults.items()}
    leaves = [Leaf("scored", counts.images_distinct - lost), *split("degraded", lost, by_reason)]
    return flow("images", counts.images_distinct, leaves)


@dataclass(frozen=True)
class StageRow:
    """Where time went: seconds summed over threads, and its share of the longest stage."""

    name: str
    wall_s: float
    cpu_s: float
    items: int
    share: float


def stage_rows(stages: Mapping[str, Mapping[str, float]]) -> tuple[StageRow, ...]:
    """The longest first."""
    longest = max((seen["wall_s"] for seen in stages.values()), default=0.0) or 1.0
    rows = [
        StageRow(name, seen["wall_s"], seen["cpu_s"], int(seen["items"]), seen["wall_s"] / longest)
        for name, seen in stages.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.wall_s))


def faults_by_reason(counts: Tally) -> tuple[tuple[str, int, tuple[Fault, ...]], ...]:
    """Reason, images lost to it, a few of them; the most frequent first."""
    order = sorted(counts.faults, key=lambda reason: (-counts.faults[reason], reason))
    return tuple(
        (reason, counts.faults[reason], tuple(fault for fault in counts.examples if fault.reason == reason))
        for reason in order
    )


def settings_rows(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Dotted names and values as text, by name; what may be a secret is said to be set, and no more."""
    rows: list[tuple[str, str]] = []
    for name, value in sorted(values.items()):
        path = f"{above}{name}"
        if value and any(part in name.lower() for part in SECRET):
            rows.append((path, "set, not shown"))
        elif isinstance(value, Mapping) and value:
            rows.extend(settings_rows(value, f"{path}."))
        else:
            rows.append((path, _setting(value)))
    return rows


def _setting(value: Any) -> str:
    if value is None or value in ("", [], {}, ()):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return visible(", ".join(str(entry) for entry in value), 200)
    return visible(value, 200)
