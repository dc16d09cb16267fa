"""Once a run is published, nothing that goes wrong takes that back, and every message says so."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import typer

from scorer import score_partition
from scorer.cli.app import exit_code
from scorer.errors import Interrupted, NothingToDo, StoreUnreachable, TableGone
from scorer.objectstore import join
from scorer.output.commit import Ledger
from scorer.run.observers import Account
from scorer.run.report.headline import headline
from scorer.run.stop import Stop
from scorer.run.tools import Tools
from tests.tiny import KEY, Market, local_market


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    return local_market(tmp_path, bundle)


@pytest.fixture
def tools() -> Iterator[Tools]:
    """Of a process that hears signals."""
    stop = Stop(grace_seconds=60)
    with stop.listening():
        yield Tools(stop=stop)
        signal.setitimer(signal.ITIMER_REAL, 0)


@dataclass
class Listener:
    """Keeps the account, and may do something when the run is over."""

    then: Callable[[], object] = int
    patience: float = 5.0
    heard: list[Account] = field(default_factory=list)

    def started(self, account: Account) -> None:
        """The plan stands."""

    def ended(self, account: Account) -> None:
        self.heard.append(account)
        self.then()


def terminate(times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)  # the main thread's handler runs meanwhile


def runs(market: Market) -> list[str]:
    """All that were ever published, the current one last."""
    seen = Ledger(join(market.job().state_uri, KEY), KEY, market.store).read()
    return [version.run_id for version in seen.record.versions]


def listed(market: Market) -> set[str]:
    """The run that readers of listings see."""
    return set(market.read().column("run_id").to_pylist())


def exposing(monkeypatch: pytest.MonkeyPatch, on_call: int, then: Callable[[], object]) -> None:
    """Something happens at a run's first exposure, of what it finds, or at its second, of what it published."""
    expose, calls = Ledger.expose, list[Ledger]()

    def interfered(self: Ledger) -> None:
        calls.append(self)
        if len(calls) == on_call:
            then()
        expose(self)

    monkeypatch.setattr(Ledger, "expose", interfered)


def failing(error: Exception) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


def test_a_signal_to_a_run_that_found_it_published_says_that_nothing_was_changed(market: Market, tools: Tools) -> None:
    run = score_partition(market.job()).run_id
    with pytest.raises(Interrupted, match=rf"SIGTERM\. Published already, by run {run} at .*\. Nothing was changed\.$"):
        score_partition(market.job(), tools, [Listener(terminate)])


@pytest.mark.parametrize(("force", "again"), [(False, "again: it"), (True, "again without --force, which would")])
def test_a_signal_while_observers_are_told_says_that_the_run_is_published(
    market: Market, tools: Tools, force: bool, again: str
) -> None:
    listener = Listener(terminate)
    with pytest.raises(Interrupted) as stopped:
        score_partition(market.job(force=force), tools, [listener])
    (run,) = runs(market)
    assert str(stopped.value).startswith(f"Stopped by SIGTERM. Run {run} is published (")
    assert f"Start the same command {again}" in str(stopped.value)
    assert "Nothing" not in str(stopped.value)
    assert [account.outcome for account in listener.heard] == ["published"]


def test_a_store_that_fails_after_the_publish_leaves_copies_to_do_and_no_scoring(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = score_partition(market.job()).run_id
    listener = Listener()
    with monkeypatch.context() as broken:
        exposing(broken, 2, failing(StoreUnreachable("s3://market/predictions: 503 SlowDown.")))
        with pytest.raises(StoreUnreachable) as failed:
            score_partition(market.job(force=True), observers=[listener])
    forced = runs(market)[-1]
    assert (failed.value.exit_code, listed(market)) == (75, {before})
    assert str(failed.value).startswith(f"s3://market/predictions: 503 SlowDown. Run {forced} is published (")
    assert "Start the same command again without --force" in str(failed.value)
    (account,) = listener.heard
    assert (account.outcome, account.exit_code, account.error) == ("published", 75, str(failed.value))
    assert (headline(account).kind, headline(account).why) == ("warned", (account.error,))
    assert "some readers may not see it yet" in headline(account).sentence

    monkeypatch.setattr("scorer.run.score_partition.score", failing(AssertionError("it scores once more")))
    assert score_partition(market.job()).run_id == forced
    assert (runs(market), listed(market)) == ([before, forced], {forced})


def test_a_second_signal_after_the_publish_says_so_too(
    market: Market, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    exposing(monkeypatch, 2, partial(terminate, 2))
    listener = Listener()
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM\. Run \S+ is published"):
        score_partition(market.job(), tools, [listener])
    assert [(account.outcome, account.exit_code) for account in listener.heard] == [("published", 75)]


def test_where_a_second_signal_leaves_it_open_whether_it_was_published_force_is_advised_against(
    market: Market, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "publish", lambda *_: terminate(2))
    with pytest.raises(
        Interrupted, match=r"published\.json says whether it was published.*If it was, do without --force"
    ):
        score_partition(market.job(force=True), tools)


def test_a_table_that_is_gone_speaks_for_itself(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    exposing(monkeypatch, 2, failing(TableGone("It is published; start with --force.")))
    with pytest.raises(TableGone, match=r"^It is published; start with --force\.$"):
        score_partition(market.job())


def test_a_bug_after_the_publish_does_not_deny_it(
    market: Market, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exposing(monkeypatch, 2, failing(KeyError("x")))
    with pytest.raises(typer.Exit) as ended, exit_code() as stop:
        score_partition(market.job(), Tools(stop=stop))
    said = capsys.readouterr().err
    assert ended.value.exit_code == 70
    assert f"A bug in scorer (KeyError). Run {runs(market)[0]} is published" in said
    assert "Nothing was published" not in said


def test_of_two_runs_in_one_process_the_first_ones_publish_is_not_the_seconds(market: Market, tools: Tools) -> None:
    score_partition(market.job(), tools)
    with pytest.raises(NothingToDo):
        score_partition(market.job(partition="ds=2001-01-01"), tools)
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM\. Nothing was published"):
        terminate()
