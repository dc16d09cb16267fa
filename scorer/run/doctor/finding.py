"""What one check found, and what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from scorer.errors import Interrupted, NothingToDo, ScorerError

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the list.

    Attributes:
        check: what was looked at, in a word or two.
        verdict: fail: the job would fail. warn: it would run, worse than it could.
        text: what was found.
        advice: what to do; empty if nothing.
        exit_code: that the job would end with; 0 unless it would fail.
    """

    check: str
    verdict: Verdict
    text: str
    advice: str = ""
    exit_code: int = 0


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", text)


def warn(check: str, text: str, advice: str) -> Finding:
    """The job would run."""
    return Finding(check, "warn", text, advice)


def fail(check: str, error: Exception, advice: str = "") -> Finding:
    """The job would end with this error, or with one like it."""
    if isinstance(error, NothingToDo):
        return warn(check, str(error), advice or "Name a partition that is there, to have the rest tried.")
    if isinstance(error, ScorerError):
        return Finding(check, "fail", str(error), advice, error.exit_code)
    return Finding(check, "fail", f"{type(error).__name__}: {error}", advice, ScorerError.exit_code)


def guarded(check: str, attempt: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check; one that ends with an error ends with a finding, and the next check has its turn."""
    try:
        yield from attempt()
    except Interrupted:
        raise
    except Exception as error:
        yield fail(check, error)
