"""A small version of `make tables`: real processes, one table, SIGKILL."""

import os
from pathlib import Path

import pytest

from tests.catalogs import enter, lake
from tests.faults.tables import Campaign, run


def test_processes_that_are_killed_among_their_commits_leave_each_partition_once_and_a_true_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = enter(lake(tmp_path, str(tmp_path)), monkeypatch)
    outcome = run(
        Campaign(str(tmp_path), partitions=6, processes=3, kills_each=2, seed=11), {**os.environ, **made.environ}
    )
    assert not outcome.broken
    assert outcome.commits == 12
    assert sum(outcome.kills.values()) >= 3
    assert outcome.polls
