"""What the end of a job means to Airflow: exit codes as exceptions, the summary as XCom and on the Asset's event."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

LISTINGS = Asset("scorer_listings")
PREDICTIONS = Asset("scorer_predictions")

NOTHING_TO_DO = 99
START_AGAIN = 75

Summary = dict[str, Any]
"""What `scorer score --summary` writes; see scorer/run/summary.py."""


def failure(exit_code: int, said: str) -> Exception:
    """The exception that ends a task whose job ended so.

    99 skips. 75, and a job that a signal killed (out of memory, a lost node), is tried again: finished units are kept.
    Any other fails at once, because the same again would end the same.
    """
    text = f"scorer ended with exit code {exit_code}: {said}"
    again = exit_code == START_AGAIN or exit_code < 0 or exit_code > 128
    if again:
        text += " A retry goes on from the finished units."
    kind = AirflowException if again else AirflowSkipException if exit_code == NOTHING_TO_DO else AirflowFailException
    error: Exception = kind(text)
    return error


def read(file: Path) -> Summary:
    """The summary in a file; empty where the job ended before it wrote one."""
    try:
        found: Summary = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def find(lines: Sequence[str]) -> Summary:
    """The summary among the lines that a job wrote, its log among them; empty where there is none."""
    for line in reversed(lines):
        if not line.startswith('{"outcome"'):
            continue
        try:
            found: Summary = json.loads(line)
        except ValueError:
            return {}
        return found
    return {}


def push(context: Any, summary: Summary) -> None:
    """Leave the summary of a job that failed where a success would leave it: as the task's XCom."""
    if summary:
        context["ti"].xcom_push(key="return_value", value=summary)


def tell_readers(context: Any, summary: Summary | None) -> None:
    """`post_execute` of every task that scores: what was published, on the event of the predictions' Asset."""
    if not summary:
        return
    statuses = [verdict["status"] for verdict in summary["verdicts"]]
    worst = next((status for status in ("overridden", "warn") if status in statuses), "pass")
    context["outlet_events"][PREDICTIONS].extra = {
        **{name: summary[name] for name in ("partition", "uri", "outcome", "run_id")},
        "bundle": summary["bundle"]["version"],
        "verdict": worst,
        **{name: summary["counts"][name] for name in ("rows_in", "scored", "degraded", "failed", "quarantined")},
    }
