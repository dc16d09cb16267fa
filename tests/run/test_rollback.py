"""An earlier version current again, and nothing lost on the way."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from scorer.errors import InputError, Interrupted, NothingToDo, PublishedByAnother, SettingsError, StoreUnreachable
from scorer.objectstore import join
from scorer.output.commit import Ledger, Version
from scorer.run.rollback import history, rollback
from scorer.run.stop import Stop
from scorer.run.tools import Tools
from scorer.settings import Housekeeping
from tests.output.versions import KEY, STORE, current, ledger_of, linked, listed, plan_of, published


def back(root: str, run_id: str | None = None) -> Version:
    wanted = Housekeeping(predictions=join(root, "predictions"), partition=KEY)
    return rollback(wanted, run_id, Tools())


def three(root: str) -> None:
    for number in (1, 2, 3):
        published(root, f"run-{number}", [f"by {number}"])


def shown(root: str) -> str:
    """The one version that every reader sees."""
    assert listed(root).column("run_id").to_pylist() == [current(root)]
    assert listed(root, "quarantine").num_rows == 0
    assert current(root) in linked(root)[0]
    return current(root)


def test_back_and_back_again_goes_down_step_by_step_and_keeps_every_entry(tmp_path: Path) -> None:
    root = str(tmp_path)
    three(root)
    assert (back(root).run_id, shown(root)) == ("run-2", "run-2")
    assert (back(root).run_id, shown(root)) == ("run-1", "run-1")
    with pytest.raises(SettingsError, match="no version before the current one: it is the first one"):
        back(root)
    lines = history(Housekeeping(predictions=join(root, "predictions"), partition=KEY), STORE)
    assert [line["run"] for line in lines] == ["run-1", "run-2", "run-3", "run-2", "run-1"]
    assert [line["state"] for line in lines] == ["superseded", "rolled back", "rolled back", "rolled back", "current"]


def test_a_named_run_may_be_an_earlier_or_a_later_one(tmp_path: Path) -> None:
    root = str(tmp_path)
    three(root)
    assert (back(root, "run-1").run_id, shown(root)) == ("run-1", "run-1")
    assert (back(root, "run-3").run_id, shown(root)) == ("run-3", "run-3")
    assert (back(root, "run-3").run_id, shown(root)) == ("run-3", "run-3")
    assert len(ledger_of(root).read().record.versions) == 5, "what is current already needs no entry"


def test_what_was_taken_away_is_known_until_somebody_publishes(tmp_path: Path) -> None:
    root = str(tmp_path)
    three(root)
    back(root)
    back(root)
    assert ledger_of(root).read().record.taken_away() == {plan_of("run-2"), plan_of("run-3")}
    assert ledger_of(root).read().was_taken_away(plan_of("run-3"))
    back(root, "run-3")
    assert not ledger_of(root).read().was_taken_away(plan_of("run-3"))
    published(root, "run-4", ["by 4"])
    assert ledger_of(root).read().record.taken_away() == frozenset()


def test_what_does_not_exist_is_refused_with_what_does(tmp_path: Path) -> None:
    root = str(tmp_path)
    with pytest.raises(NothingToDo, match="Nothing was ever published"):
        back(root)
    three(root)
    with pytest.raises(SettingsError, match=r"run nonsense never published there.*go back to: run-1, run-2, run-3\."):
        back(root, "nonsense")
    Path(root, "predictions.scorer", KEY, plan_of("run-2"), "starts/run-2/predictions/part-00000.parquet").unlink()
    with pytest.raises(InputError, match=r"part-00000\.parquet of run run-2 is missing\. Nothing was changed"):
        back(root)
    assert shown(root) == "run-3"


def test_a_run_that_publishes_meanwhile_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(tmp_path)
    three(root)
    restore = Ledger.restore

    def late(self: Ledger, *args: Any) -> Version:
        published(root, "run-4", ["by 4"])
        return restore(self, *args)

    monkeypatch.setattr(Ledger, "restore", late)
    with pytest.raises(PublishedByAnother, match="run run-4 was published while this run worked"):
        back(root)
    assert shown(root) == "run-4"


def test_a_store_that_goes_away_meanwhile_does_not_let_the_same_command_go_one_version_too_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path)
    three(root)
    expose, calls = Ledger.expose, []

    def away(self: Ledger) -> None:
        calls.append(self)
        if len(calls) == 2:
            raise StoreUnreachable("the store is down.")
        expose(self)

    monkeypatch.setattr(Ledger, "expose", away)
    with pytest.raises(StoreUnreachable, match=r"^the store is down\. To go on, start again with --to run-2; without"):
        back(root)
    assert (back(root, "run-2").run_id, shown(root)) == ("run-2", "run-2")


def test_a_signal_in_a_rollback_says_how_to_go_on_from_whichever_version_is_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path)
    three(root)
    stop = Stop(grace_seconds=0)
    monkeypatch.setattr(Ledger, "restore", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    wanted = Housekeeping(predictions=join(root, "predictions"), partition=KEY)
    with stop.listening(), pytest.raises(Interrupted, match=r"says which version is current\. To go on.*--to run-2"):
        rollback(wanted, None, Tools(stop=stop))


def test_a_rollback_that_died_before_its_copies_is_repaired_by_the_next_command(tmp_path: Path) -> None:
    root = str(tmp_path)
    three(root)
    ledger = ledger_of(root)
    seen = ledger.read()
    ledger.restore(seen.record.versions[0], seen)
    assert listed(root).column("run_id").to_pylist() == ["run-3"]
    back(root, "run-1")
    assert shown(root) == "run-1"
    assert STORE.exists(ledger.uri)
