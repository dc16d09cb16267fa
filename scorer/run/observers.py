"""Who is told how a run goes: the page, lineage, telemetry. None of them can fail a run or hold it up."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from scorer.errors import AuditError, NothingToDo, ScorerError, ShareDone
from scorer.output.manifest import RunManifest
from scorer.run.start import Start
from scorer.run.tools import Tools
from scorer.settings import Job

Outcome = Literal["running", "published", "published already", "refused", "failed", "nothing to do", "share done"]


@dataclass
class Account:
    """What became of one run, filled while it goes.

    Attributes:
        job: what was asked for.
        tools: store, voice and timers of the run.
        began: UTC.
        ended: UTC; None while it runs.
        start: once the plan stands; None where the run ended before.
        manifest: once it was written; with the gates' verdicts, also of a run that they refused.
        outcome: what became of it. Once published it stays so, whatever goes wrong afterwards.
        error: what ended it, in its own words; empty otherwise.
        exit_code: of the command.
    """

    job: Job
    tools: Tools
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    start: Start | None = None
    manifest: RunManifest | None = None
    outcome: Outcome = "running"
    error: str = ""
    exit_code: int = 0

    def end(self, error: BaseException | None) -> None:
        """Note the end."""
        self.ended = datetime.now(UTC)
        if error is None:
            return
        if isinstance(error, ShareDone):
            self.outcome = "share done"
            return
        self.error = str(error)
        self.exit_code = error.exit_code if isinstance(error, ScorerError) else ScorerError.exit_code
        if self.outcome in ("published", "published already"):
            return
        refused = isinstance(error, AuditError)
        self.outcome = "nothing to do" if isinstance(error, NothingToDo) else "refused" if refused else "failed"


class Observer(Protocol):
    """Is told of a run. Whatever it raises becomes one warning.

    Attributes:
        patience: seconds that a run waits for it at most, at its start and at its end.
    """

    patience: float

    def started(self, account: Account) -> None:
        """The plan stands; nothing is scored yet."""

    def ended(self, account: Account) -> None:
        """The run is over, one way or another."""


def tell(observers: Sequence[Observer], moment: Literal["started", "ended"], account: Account) -> None:
    """Tell all of them at once; none is waited for beyond its patience."""
    threads = [
        threading.Thread(target=_guarded, args=(observer, getattr(observer, moment), account), daemon=True)
        for observer in observers
    ]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    for observer, thread in zip(observers, threads, strict=True):
        thread.join(max(0.0, began + observer.patience - time.monotonic()))
        if thread.is_alive():
            _warn(observer, account, f"still busy after {observer.patience:.0f} s")


def _guarded(observer: Observer, told: Callable[[Account], None], account: Account) -> None:
    try:
        told(account)
    except Exception as error:
        _warn(observer, account, f"{type(error).__name__}: {error}")


def _warn(observer: Observer, account: Account, why: str) -> None:
    name = type(observer).__name__
    account.tools.reporter.event("warning", f"{name} was not served ({why}). The run is not affected.", observer=name)
