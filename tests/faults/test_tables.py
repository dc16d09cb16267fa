"""A small version of `make tables`: real processes, one table, SIGKILL. And all of them at the very first moment."""

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from scorer.output.predictions import schema
from scorer.output.tables.layout import fitted
from scorer.tables import TableName
from tests.catalogs import SPELLED, configure, enter, lake
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


def _first_of_all(environs: list[Mapping[str, str]], start: Barrier) -> None:
    try:
        for environ in environs:
            os.environ.update(environ)
            configure()
            start.wait()
            fitted(TableName.parse(SPELLED), schema(["prediction"]), "ds=2026-01-01")
    except BaseException:
        start.abort()  # the others wait for this one
        raise


def test_processes_that_all_find_a_new_catalog_make_one_table_and_all_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finds neither the catalog's own tables nor the namespace nor the table. Five times: it is a race."""
    folders = [tmp_path / str(number) for number in range(5)]
    for folder in folders:
        folder.mkdir()
    made = [lake(folder, str(folder)) for folder in folders]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    start = context.Barrier(6)
    environs = [dict(one.environ) for one in made]
    processes = [context.Process(target=_first_of_all, args=(environs, start)) for _ in range(start.parties)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * start.parties
    for one in made:
        assert {"listing_id", "prediction", "ds"} <= set(enter(one, monkeypatch).table.schema().column_names)
