"""Observers hear how a run goes; nothing that they do or fail to do touches it."""

import io
import json
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from scorer import score_partition
from scorer.errors import AuditError, NothingToDo, StoreUnreachable
from scorer.run.observers import Account, Observer, tell
from scorer.run.tools import Tools
from scorer.settings import Job
from scorer.telemetry import Reporter
from tests.tiny import Market, listing

JOB = Job(listings="/nowhere", bundle="/nowhere", predictions="/nowhere")


@dataclass
class Listener:
    """Keeps what it was told."""

    patience: float = 5.0
    heard: list[tuple[str, str, int, bool]] = field(default_factory=list)

    def started(self, account: Account) -> None:
        self.heard.append(("started", account.outcome, account.exit_code, account.start is not None))

    def ended(self, account: Account) -> None:
        self.heard.append(("ended", account.outcome, account.exit_code, account.manifest is not None))


class Broken(Listener):
    def started(self, account: Account) -> None:
        raise RuntimeError("no route to host")

    ended = started


@dataclass
class Hanging(Listener):
    patience: float = 0.05
    release: threading.Event = field(default_factory=threading.Event)

    def started(self, account: Account) -> None:
        self.release.wait(60)

    ended = started


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    made = Market(str(tmp_path), bundle)
    made.write_images()
    made.write([listing(number) for number in range(6)])
    return made


def account() -> tuple[Account, io.StringIO]:
    said = io.StringIO()
    return Account(JOB, Tools(reporter=Reporter(said, people=False))), said


def warnings(said: io.StringIO) -> list[str]:
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    return [event["message"] for event in events if event["event"] == "warning"]


def test_one_that_raises_costs_one_warning_and_the_others_hear_all_the_same() -> None:
    run, said = account()
    listener = Listener()
    tell([Broken(), listener], "ended", run)
    assert warnings(said) == ["Broken was not served (RuntimeError: no route to host). The run is not affected."]
    assert [moment for moment, *_ in listener.heard] == ["ended"]


def test_one_that_hangs_is_left_behind_when_its_patience_is_over() -> None:
    run, said = account()
    hanging, listener = Hanging(), Listener()
    tell([hanging, listener], "started", run)
    hanging.release.set()
    assert [moment for moment, *_ in listener.heard] == ["started"]
    (warning,) = warnings(said)
    assert warning.startswith("Hanging was not served (still busy after")


@pytest.mark.parametrize(
    ("error", "outcome", "exit_code"),
    [
        (AuditError("x"), "refused", 4),
        (NothingToDo("x"), "nothing to do", 99),
        (StoreUnreachable("x"), "failed", 75),
        (RuntimeError("x"), "failed", 70),
        (None, "published", 0),
    ],
)
def test_the_account_says_what_became_of_the_run(error: Exception | None, outcome: str, exit_code: int) -> None:
    run = replace(account()[0], outcome="published" if error is None else "running")
    run.end(error)
    assert (run.outcome, run.exit_code, run.error) == (outcome, exit_code, "x" if error else "")
    assert run.ended is not None


def test_a_run_tells_when_its_plan_stands_and_how_it_ended(market: Market) -> None:
    listener: Observer = Listener()
    score_partition(market.job(), observers=[listener])
    score_partition(market.job(), observers=[listener])
    with pytest.raises(NothingToDo):
        score_partition(market.job(partition="ds=2001-01-01"), observers=[listener])
    assert isinstance(listener, Listener)
    assert listener.heard == [
        ("started", "running", 0, True),
        ("ended", "published", 0, True),
        ("ended", "published already", 0, False),
        ("ended", "nothing to do", 99, False),
    ]
