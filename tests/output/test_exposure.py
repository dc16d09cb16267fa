"""What readers see who list the folder: one whole version, however slow, doomed or many those are who expose it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from scorer.errors import PublishedByAnother, StagingGone, StoreUnreachable
from scorer.objectstore import ObjectInfo, ObjectStore, join
from scorer.output import exposure
from scorer.output.commit import Published
from scorer.output.sinks import parquet
from tests.dying import Died
from tests.output.versions import KEY, STORE, current, ledger_of, linked, listed, published, staged_run


def slow_copies(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object], conditions: bool, dies: bool) -> None:
    """The first copy of predictions is asked for, then a lot happens, then it is made."""
    copy, first = ObjectStore.copy, threading.Lock()

    def slowly(self: ObjectStore, source: str, target: str, **named: Any) -> ObjectInfo:
        if "/predictions/" not in target or not first.acquire(blocking=False):
            return copy(self, source, target, **named)
        meanwhile()
        try:
            return copy(self, source, target, **(named if conditions else {}))
        finally:
            if dies:
                raise Died

    monkeypatch.setattr(ObjectStore, "copy", slowly)


def test_a_slow_copy_never_replaces_what_a_faster_one_of_a_newer_version_has_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path)
    published(root, "run-0", ["old"])
    published(root, "run-1", ["slow"], expose=False)
    slow_copies(monkeypatch, lambda: published(root, "run-2", ["new"]), conditions=True, dies=True)
    with pytest.raises(Died):
        ledger_of(root).expose()
    assert listed(root).column("listing_id").to_pylist() == ["new"], "even though the slow one could not look again"


def test_where_a_store_ignores_conditions_on_copies_looking_again_puts_it_right(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(root, "run-0", ["old"])
    published(root, "run-1", ["slow"], expose=False)
    slow_copies(monkeypatch, lambda: published(root, "run-2", ["new"]), conditions=False, dies=False)
    ledger_of(root).expose()
    assert listed(root).column("listing_id").to_pylist() == ["new"]


def meanwhile(monkeypatch: pytest.MonkeyPatch, call: str, happens: Callable[[], object], *, after: bool) -> None:
    """Something happens right before or after the first such call among the listed predictions."""
    whole = getattr(ObjectStore, call)

    def slowly(self: ObjectStore, *args: Any, **named: Any) -> Any:
        if "/predictions/" not in str(args):
            return whole(self, *args, **named)
        monkeypatch.setattr(ObjectStore, call, whole)
        if after:
            whole(self, *args, **named)
        happens()
        return None if after else whole(self, *args, **named)

    monkeypatch.setattr(ObjectStore, call, slowly)


def die() -> None:
    raise Died


def one_part_over_two(root: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """A version of one file is about to be exposed over one of two; to be called: one of two overtakes it."""
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 1)
    published(root, "run-0", ["old-1", "old-2"], per_file=1)
    published(root, "run-1", ["slow"], per_file=1, expose=False)
    return lambda: published(root, "run-2", ["new-1", "new-2"], per_file=1)


def test_a_slow_start_deletes_no_part_of_a_version_that_overtook_it_before(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtake = one_part_over_two(root, monkeypatch)
    meanwhile(monkeypatch, "copy", overtake, after=True)
    meanwhile(monkeypatch, "delete", die, after=True)  # should it delete, it can't look again
    with suppress(Died):
        ledger_of(root).expose()
    assert listed(root).column("listing_id").to_pylist() == ["new-1", "new-2"]


def test_a_slow_start_puts_back_what_it_deletes_of_a_version_that_overtakes_it_at_that_moment(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, "delete", one_part_over_two(root, monkeypatch), after=False)
    ledger_of(root).expose()
    assert listed(root).column("listing_id").to_pylist() == ["new-1", "new-2"]


def test_many_who_publish_and_expose_at_once_end_with_the_current_version_listed(root: str) -> None:
    def work(worker: int) -> int:
        wins = 0
        for turn in range(4):
            try:
                published(root, f"run-{worker}-{turn}", [f"{worker}-{turn}"])
                wins += 1
            except PublishedByAnother:
                ledger_of(root).expose()
        return wins

    with ThreadPoolExecutor(4) as pool:
        wins = sum(pool.map(work, range(4)))
    assert wins == len(ledger_of(root).read().record.versions) >= 4
    assert set(listed(root).column("run_id").to_pylist()) == {current(root)}
    assert set(linked(root)) == {link(root, current(root), "part-00000.parquet")}


def link(root: str, run_id: str, name: str) -> str:
    record = ledger_of(root).read().record
    (uri,) = {
        file.uri for version in record.versions if version.run_id == run_id for file in version.predictions
        if file.uri.endswith(name)
    }  # fmt: skip
    return uri if uri.startswith("s3://") else f"file://{uri}"


def test_the_symlink_manifest_names_every_file_of_the_current_version_and_changes_at_once(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 2)
    published(root, "run-1", ["a", "b", "c", "d", "e"], per_file=2)
    assert linked(root) == [link(root, "run-1", f"part-{n:05}.parquet") for n in range(3)]
    slow_copies(monkeypatch, lambda: None, conditions=True, dies=True)
    published(root, "run-2", ["f", "g", "h"], per_file=2, expose=False)
    with pytest.raises(Died):
        ledger_of(root).expose()
    assert linked(root) == [link(root, "run-2", f"part-{n:05}.parquet") for n in range(2)], "before all copies are made"


def test_a_warehouse_reads_the_files_that_the_symlink_manifest_names(tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a", "b"])
    files = [text.removeprefix("file://") for text in linked(str(tmp_path))]
    found = duckdb.execute(f"select listing_id from read_parquet({files})").fetchall()
    assert found == [("a",), ("b",)]


def test_a_listed_file_that_is_not_ours_any_more_is_replaced(root: str) -> None:
    published(root, "run-1", ["a"])
    for spoiled in (b"", b"PAR1 by hand", b"x" * 100_000):
        STORE.put(join(root, "predictions", KEY, "part-00000.parquet"), spoiled)
        ledger_of(root).expose()
        assert listed(root).column("listing_id").to_pylist() == ["a"]


def test_a_listed_file_that_is_current_is_not_touched(root: str) -> None:
    published(root, "run-1", ["a"])
    before = STORE.head(join(root, "predictions", KEY, "part-00000.parquet"))
    ledger_of(root).expose()
    assert STORE.head(join(root, "predictions", KEY, "part-00000.parquet")) == before


def test_a_store_whose_copies_do_not_arrive_is_named_after_some_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(str(tmp_path), "run-1", ["a"], expose=False)
    monkeypatch.setattr(exposure, "PASSES", 3)
    monkeypatch.setattr(ObjectStore, "copy", lambda *_, **__: None)
    with pytest.raises(StoreUnreachable, match=r"is published, but after 3 tries what readers list is not yet"):
        ledger_of(str(tmp_path)).expose()


def test_a_publish_survives_that_housekeeping_rewrote_the_record_meanwhile(root: str) -> None:
    published(root, "run-1", ["a"])
    _, manifest = staged_run(root, "run-2", ["b"])
    seen = ledger_of(root).read()
    ledger_of(root).condemn(lambda _: (frozenset(), frozenset({"run-9"})))
    ledger_of(root).publish(manifest, "m", seen)
    record = ledger_of(root).read().record
    assert [version.run_id for version in record.versions] == ["run-1", "run-2"]
    assert [condemned.start for condemned in record.condemned] == ["run-9"]


def test_a_start_whose_files_are_to_be_removed_cannot_publish_them(root: str) -> None:
    _, manifest = staged_run(root, "run-1", ["a"])
    seen = ledger_of(root).read()
    ledger_of(root).condemn(lambda _: (frozenset(), frozenset({"run-1"})))
    with pytest.raises(StagingGone, match=r"files of run run-1 were removed by `scorer gc`.*Start again"):
        ledger_of(root).publish(manifest, "m", seen)
    assert ledger_of(root).read().record.current is None


def test_a_published_start_is_not_condemned(root: str) -> None:
    asked: list[Published] = []

    def choose(record: Published) -> tuple[frozenset[str], frozenset[str]]:
        if not asked:  # chosen from a record that is old by now
            published(root, "run-1", ["a"])
        asked.append(record)
        starts = {version.start for version in record.versions}
        return frozenset(), frozenset({"run-1"} - starts)

    assert ledger_of(root).condemn(choose) == frozenset()
    assert len(asked) == 2
    assert listed(root).num_rows == 1


def test_a_publish_whose_answer_was_lost_for_good_counts_as_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifest = staged_run(str(tmp_path), "run-1", ["a"])
    put = ObjectStore.put

    def unheard(self: ObjectStore, *args: Any, **conditions: Any) -> str:
        put(self, *args, **conditions)
        raise StoreUnreachable("connection reset")

    seen = ledger_of(str(tmp_path)).read()
    monkeypatch.setattr(ObjectStore, "put", unheard)
    assert ledger_of(str(tmp_path)).publish(manifest, "m", seen).run_id == "run-1"


def test_a_publish_that_was_overtaken_before_its_answer_came_still_counts_as_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path)
    _, manifest = staged_run(root, "run-1", ["a"])
    put, seen = ObjectStore.put, ledger_of(root).read()

    def late(self: ObjectStore, *args: Any, **conditions: Any) -> str:
        etag = put(self, *args, **conditions)
        monkeypatch.setattr(ObjectStore, "put", put)
        published(root, "run-2", ["b"])
        assert etag
        return put(self, *args, **conditions)

    monkeypatch.setattr(ObjectStore, "put", late)
    assert ledger_of(root).publish(manifest, "m", seen).run_id == "run-1"
    assert [version.run_id for version in ledger_of(root).read().record.versions] == ["run-1", "run-2"]
