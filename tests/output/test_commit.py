"""Staged units become files, the audit adds them up, and one conditional PUT decides who is published."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.contracts import built_in
from scorer.errors import AuditError, PublishedByAnother, StagingGone
from scorer.intake.ids import Ids, hashes
from scorer.intake.partitions import Unit
from scorer.objectstore import ObjectStore, join
from scorer.output import predictions, quarantine, tally
from scorer.output.audit import audit
from scorer.output.fingerprints import fingerprints
from scorer.output.manifest import RunManifest
from scorer.output.predictions import Origin, ScoredRows
from scorer.output.quarantine import Refusals
from scorer.output.sinks import parquet
from scorer.output.staging import Staging, UnitResult
from tests.output.versions import KEY, STORE, ledger_of, listed, refused, scored, staged_run


def ids_of(texts: list[str]) -> Ids:
    return Ids(len(texts), frozenset(), int(hashes(pa.array(texts)).sum(dtype=np.uint64)))


def test_predictions_follow_the_contract_to_the_type() -> None:
    table = scored(["a", "b", "c", "d"])
    assert table.schema.equals(built_in("predictions").arrow_schema())
    assert table.column("status").to_pylist() == ["scored", "degraded", "failed", "scored"]
    assert table.column("prediction").to_pylist() == [0.0, 1.0, None, 3.0]
    assert table.column("reasons").to_pylist() == [[], ["no_images"], ["prediction_not_finite"], []]


def test_further_outputs_become_columns_and_fail_together() -> None:
    rows = pa.record_batch({"listing_id": pa.array(["a", "b"]), "image_uris": [[], []]})
    scores = {"prediction": np.array([1.0, 2.0]), "demand": np.array([np.inf, 5.0])}
    one = np.ones(2, np.int32)
    table = predictions.table(ScoredRows(rows, scores, {}, one, one), Origin("r", "n", "v", "d"))
    assert table.column("prediction").to_pylist() == [None, 2.0]
    assert table.column("prediction_demand").to_pylist() == [None, 5.0]


def test_a_fingerprint_depends_on_features_and_images_and_on_neither_id_nor_order_of_columns() -> None:
    def fingerprints(**columns: object) -> list[str]:
        rows = pa.record_batch({name: pa.array(values) for name, values in columns.items()})
        one = np.ones(rows.num_rows, np.int32)
        table = predictions.table(ScoredRows(rows, {"prediction": one * 1.0}, {}, one, one), Origin("r", "n", "v", "d"))
        return list(table.column("input_fingerprint").to_pylist())

    first = fingerprints(listing_id=["a", "b"], area=[1, 1], image_uris=[["x"], ["x"]])
    assert first[0] == first[1]
    assert fingerprints(image_uris=[["x"]], area=[1], listing_id=["c"]) == first[:1]
    assert fingerprints(listing_id=["a"], area=[2], image_uris=[["x"]]) != first[:1]
    assert fingerprints(listing_id=["a"], area=[1], image_uris=[["y"]]) != first[:1]


def test_what_is_missing_in_one_column_is_not_taken_for_what_is_missing_in_another() -> None:
    nothing, zero = pa.nulls(1), pa.array([0.0])
    first = pa.record_batch({"a": nothing, "b": zero})
    second = pa.record_batch({"a": zero, "b": nothing})
    assert fingerprints(first, ["a", "b"], [b""]) != fingerprints(second, ["a", "b"], [b""])


def test_refused_rows_keep_all_that_was_read_of_them() -> None:
    rows = pa.record_batch({"listing_id": ["a", None, "a", "", "b"], "area": [1.0, 2.0, float("nan"), 4.0, 5.0]})
    verdicts = Refusals(frozenset({"a"}), None).verdicts(rows)
    assert {row: reason for row, (reason, _) in verdicts.items()} == {
        0: "id_duplicated",
        1: "id_missing",
        2: "id_duplicated",
        3: "id_missing",
    }
    table = quarantine.table(rows, verdicts, "s3://b/f.parquet", 4096, "run-1")
    assert table.schema.equals(built_in("quarantine").arrow_schema())
    assert table.column("row_number").to_pylist() == [4096, 4097, 4098, 4099]
    assert table.column("row_json").to_pylist()[1] == '{"listing_id": null, "area": 2.0}'


def test_a_unit_is_finished_when_its_predictions_are_there(root: str) -> None:
    staging = Staging(join(root, "units"), "run-1", STORE)
    unit = Unit("u1", "s3://b/f.parquet", "e", 0, 4)
    table, rest = scored(["a", "b", "c"]), refused(["x", "x"])
    counts = tally.count(table, rest, [], 3).model_copy(update={"rows_in": 5})
    assert staging.finished() == frozenset()
    staging.save(UnitResult(unit, table, rest, counts))
    assert staging.finished() == {"u1"}
    ((read, read_counts, _),) = staging.predictions([unit])
    assert read.replace_schema_metadata(None).equals(table)
    assert read_counts == counts
    assert next(staging.quarantine([unit])).equals(rest)


def test_a_damaged_unit_is_named(tmp_path: Path) -> None:
    (tmp_path / "u1.run-1.predictions.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(AuditError, match=r"staged unit is damaged.*u1\.run-1\.predictions.*Delete it and start"):
        list(Staging(str(tmp_path), "run-1", STORE).predictions([Unit("u1", "f", "e", 0, 1)]))


def test_a_unit_that_was_removed_meanwhile_asks_for_another_start(root: str) -> None:
    with pytest.raises(StagingGone, match=r"u1\.run-1\.predictions\.parquet was removed.*Nothing was published"):
        list(Staging(join(root, "units"), "run-1", STORE).predictions([Unit("u1", "f", "e", 0, 1)]))
    assert StagingGone.exit_code == 75


def test_units_of_another_run_do_not_count_as_finished(root: str) -> None:
    table, rest = scored(["a"]), refused([])
    unit = Unit("u1", "f", "e", 0, 1)
    Staging(join(root, "units"), "run-1", STORE).save(UnitResult(unit, table, rest, tally.count(table, rest, [], 0)))
    assert Staging(join(root, "units"), "run-2", STORE).finished() == frozenset()


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 50), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_staged_files_hold_the_rows_in_order_however_they_are_cut(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group: int, groups_per_file: int
) -> None:
    folder = str(tmp_path_factory.mktemp("stage"))
    ids = [f"id{n}" for n in range(sum(sizes))]
    bounds = np.cumsum([0, *sizes])
    tables = [scored(ids[start:stop]) for start, stop in itertools.pairwise(bounds)]
    place = parquet.Destination(
        join(folder, "s"), join(folder, "l"), predictions.schema(("prediction",)), {"scorer.run_id": "r"}, 0
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROWS_PER_GROUP", group)
        files = parquet.stage(tables, replace(place, rows_per_file=group * groups_per_file), STORE)
    assert sum(file.rows for file in files) == len(ids)
    assert all(file.rows <= group * groups_per_file for file in files)
    assert len(files) == max(1, -(-len(ids) // (group * groups_per_file)))
    assert [text for file in files for text in pq.read_table(file.uri).column("listing_id").to_pylist()] == ids
    assert pq.read_schema(files[0].uri).metadata[b"scorer.run_id"] == b"r"


def test_the_audit_passes_what_adds_up(root: str) -> None:
    staged, manifest = staged_run(root, "run-1", ["a", "b", "c", "d"])
    audit(staged, manifest.counts, ids_of(["a", "b", "c", "d"]), STORE)


@pytest.mark.parametrize(
    ("written", "read", "said"),
    [
        (["a", "b", "c"], ["a", "b", "c", "d"], r"rows in should be 4, but what was written gives 3"),
        (["a", "b", "c", "x"], ["a", "b", "c", "d"], "checksum of all ids"),
        (["a", "b", "c", "c"], ["a", "b", "c", "d"], "repeated ids among the predictions should be 0.* gives 1"),
    ],
)
def test_the_audit_stops_lost_foreign_and_doubled_rows(
    tmp_path: Path, written: list[str], read: list[str], said: str
) -> None:
    staged, manifest = staged_run(str(tmp_path), "run-1", written)
    with pytest.raises(AuditError, match=said) as raised:
        audit(staged, manifest.counts, ids_of(read), STORE)
    assert "Nothing was published; the staged files stay at" in str(raised.value)
    assert raised.value.exit_code == 4


def test_the_audit_reads_what_was_really_written(tmp_path: Path) -> None:
    staged, manifest = staged_run(str(tmp_path), "run-1", ["a", "b", "c", "d"])
    table = pq.read_table(staged.predictions[0].uri)
    pq.write_table(table.set_column(1, "prediction", pa.array([None, 1.0, None, 3.0])), staged.predictions[0].uri)
    with pytest.raises(AuditError, match="null predictions should be 1, but what was written gives 2"):
        audit(staged, manifest.counts, ids_of(["a", "b", "c", "d"]), STORE)


def test_counts_that_do_not_add_up_publish_nothing(tmp_path: Path) -> None:
    staged, manifest = staged_run(str(tmp_path), "run-1", ["a", "b"])
    with pytest.raises(AuditError, match="the units' rows should be 3"):
        audit(staged, manifest.counts.model_copy(update={"rows_in": 3}), ids_of(["a", "b"]), STORE)


def test_nothing_is_listed_before_the_publish_and_one_whole_version_after_it(root: str) -> None:
    ledger = ledger_of(root)
    seen = ledger.read()
    _, manifest = staged_run(root, "run-1", ["a", "b", "c"])
    ledger.expose()
    assert STORE.list_all(join(root, "predictions")) == []
    ledger.publish(manifest, "m", seen)
    ledger.expose()
    assert listed(root).column("listing_id").to_pylist() == ["a", "b", "c"]
    assert listed(root, "quarantine").num_rows == 0


def test_a_start_repairs_copies_that_a_killed_run_left_behind(root: str) -> None:
    ledger = ledger_of(root)
    for run_id, ids in (("run-1", ["a"]), ("run-2", ["b"])):
        _, manifest = staged_run(root, run_id, ids)
        ledger.publish(manifest, "m", ledger.read())
        if run_id == "run-1":
            ledger.expose()
    assert listed(root).column("listing_id").to_pylist() == ["a"], "killed between publish and copy: still whole"
    ledger_of(root).expose()
    assert listed(root).column("listing_id").to_pylist() == ["b"]


def test_a_version_of_fewer_files_leaves_no_part_of_the_larger_one_and_foreign_files_stay(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 2)
    ledger = ledger_of(root)
    STORE.put(join(root, "predictions", KEY, "notes.md"), b"by hand")
    for run_id, rows in (("run-1", 6), ("run-2", 2)):
        _, manifest = staged_run(root, run_id, [f"id{n}" for n in range(rows)], per_file=2)
        ledger.publish(manifest, "m", ledger.read())
        ledger.expose()
        names = [info.uri.rpartition("/")[2] for info in STORE.list_all(join(root, "predictions", KEY))]
        assert names == ["notes.md", *[f"part-{n:05}.parquet" for n in range(rows // 2)]]


def test_of_racing_publishers_one_wins_and_the_others_change_nothing(root: str) -> None:
    ledger = ledger_of(root)
    start = threading.Barrier(4)
    manifests = [staged_run(root, f"run-{n}", [f"by {n}"])[1] for n in range(4)]
    seen = ledger.read()

    def publish(manifest: RunManifest) -> str | None:
        start.wait()
        try:
            ledger.publish(manifest, "m", seen)
        except PublishedByAnother:
            return None
        return manifest.run_id

    with ThreadPoolExecutor(4) as pool:
        winners = [run_id for run_id in pool.map(publish, manifests) if run_id]
    ledger.expose()
    assert len(winners) == 1
    assert PublishedByAnother.exit_code == 5
    current = ledger.read().record.current
    assert current is not None
    assert current.run_id == winners[0]
    assert set(listed(root).column("run_id").to_pylist()) == set(winners)


def test_an_own_publish_whose_answer_was_lost_counts_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_of(str(tmp_path))
    _, manifest = staged_run(str(tmp_path), "run-1", ["a"])
    put = ObjectStore.put

    def twice(self: ObjectStore, *args: Any, **conditions: Any) -> str:
        put(self, *args, **conditions)
        return put(self, *args, **conditions)

    monkeypatch.setattr(ObjectStore, "put", twice)
    assert ledger.publish(manifest, "m", ledger.read()).run_id == "run-1"


counts = st.builds(
    tally.Tally,
    rows_in=st.integers(0, 9),
    scored=st.integers(0, 9),
    quarantined=st.integers(0, 9),
    reasons=st.dictionaries(st.sampled_from(["no_images", "feature_missing"]), st.integers(1, 9)),
)


@given(st.lists(counts, max_size=5))
def test_tallies_add_up_in_any_grouping(tallies: list[tally.Tally]) -> None:
    assert tally.add([tally.add(tallies[:2]), tally.add(tallies[2:])]) == tally.add(tallies)
    assert tally.add(tallies).rows_in == sum(one.rows_in for one in tallies)
