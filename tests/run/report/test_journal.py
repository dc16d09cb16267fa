"""The journal: one entry a run, read back as the series that it is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scorer.objectstore import ObjectStore, join
from scorer.run.report import journal
from scorer.run.report.journal import Entry, last, of_run, write
from tests.conftest import Bucket

FIRST = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)


def entry(number: int, partition: str = "", **changes: Any) -> Entry:
    began = FIRST + timedelta(days=number)
    values = {"run_id": f"run-{number}", "start": f"{number:016x}", "partition": partition or f"ds={number}"}
    return Entry.model_validate(
        {**values, "outcome": "published", "began": began, "ended": began + timedelta(seconds=90), **changes}
    )


def test_the_last_runs_come_back_as_written_oldest_first(bucket: Bucket) -> None:
    store, state = ObjectStore(), join(bucket.uri, "predictions.scorer")
    entries = [entry(number, exit_code=number) for number in range(12)]
    for one in reversed(entries):
        write(one, state, store)
    assert last(state, 5, store) == entries[-5:]
    assert last(state, 100, store) == entries


def test_the_last_runs_of_one_partition_are_found_behind_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "READERS", 1)
    store, state = ObjectStore(), str(tmp_path)
    for number in range(20):
        write(entry(number, "rare" if number in (1, 4) else "daily"), state, store)
    assert [one.run_id for one in last(state, 3, store, "rare")] == ["run-1", "run-4"]


def test_an_object_that_is_no_entry_is_passed_over(tmp_path: Path) -> None:
    store, state = ObjectStore(), str(tmp_path)
    write(entry(1), state, store)
    store.put(join(state, journal.FOLDER, "20991231T000000Z_x_y.json"), b"{not json")
    store.put(join(state, journal.FOLDER, "notes.txt"), b"mine")
    assert [one.run_id for one in last(state, 5, store)] == ["run-1"]
    assert last(join(state, "elsewhere"), 5, store) == []


def test_the_starts_of_one_run_are_found_by_its_name(tmp_path: Path) -> None:
    store, state = ObjectStore(), str(tmp_path)
    for number, start in ((1, "aa"), (1, "bb"), (2, "cc")):
        write(entry(number, start=start), state, store)
    assert [one.start for one in of_run(state, "run-1", store)] == ["aa", "bb"]
    assert of_run(state, "run", store) == []


def test_cost_is_time_by_price_and_unknown_without_one() -> None:
    assert entry(1).cost is None
    assert entry(1, price_per_hour=4.0).cost == pytest.approx(0.1)
