"""What readers of a table see: one whole version of each partition, whatever dies, stalls or comes between."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.exceptions import CommitStateUnknownException
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import DateType, IntegerType, NestedField, StringType, TimestamptzType

from scorer.contracts import built_in
from scorer.errors import SettingsError, StoreUnreachable, TableDiffers, TableGone
from scorer.objectstore import ObjectStore, join
from scorer.output.commit import Ledger, Version
from scorer.output.predictions import schema as predictions_schema
from scorer.output.tables import replacing
from scorer.output.tables.expiry import expire
from scorer.output.tables.layout import fitted
from scorer.run.gc import collect
from scorer.run.rollback import rollback
from scorer.run.tools import Tools
from scorer.settings import Housekeeping, Job
from scorer.tables import TableName, catalog
from tests.catalogs import Lake, enter, lake
from tests.dying import Died, dies
from tests.output.versions import KEY, STORE, ledger_of, published, state_of

NEXT = "ds=2026-11-25"


@pytest.fixture
def made(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    return enter(lake(tmp_path, root), monkeypatch)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    return enter(lake(tmp_path, str(tmp_path)), monkeypatch)


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Something happens between the first look at a table and the commit that builds on it."""
    commit = Transaction.commit_transaction

    def slowly(self: Transaction) -> Any:
        monkeypatch.setattr(Transaction, "commit_transaction", commit)
        happens()
        return commit(self)

    monkeypatch.setattr(Transaction, "commit_transaction", slowly)


def ids(made: Lake, key: str = KEY) -> list[str]:
    """The listings that a reader finds in a partition."""
    found = made.rows(f"ds = '{key.removeprefix('ds=')}'").column("listing_id").to_pylist()
    return sorted(found)


def history(made: Lake) -> list[tuple[str, str]]:
    """Partition and run of every commit that the table remembers, oldest first."""
    said = [snapshot.summary.additional_properties for snapshot in made.table.snapshots() if snapshot.summary]
    return [(one["scorer.partition"], one["scorer.run-id"]) for one in said]


def last(made: Lake) -> Summary:
    """Of the snapshot that readers see."""
    snapshot = made.table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    return snapshot.summary


def data_files(root: str) -> set[str]:
    return {info.uri for info in STORE.list_all(join(root, "lake/shop/predictions/data"))}


def test_a_table_is_made_from_the_contract(made: Lake, root: str) -> None:
    published(root, "run-1", ["a", "b", "c"], into=made.spelled)
    table = made.table
    columns = built_in("predictions").columns
    assert [field.name for field in table.schema().fields] == [*(column.name for column in columns), "ds"]
    assert [field.required for field in table.schema().fields] == [*(column.required for column in columns), False]
    assert [(field.name, str(field.transform)) for field in table.spec().fields] == [("ds", "identity")]
    assert isinstance(table.schema().find_type("ds"), DateType)
    (by,) = table.sort_order().fields
    assert table.schema().find_column_name(by.source_id) == "listing_id"
    assert table.properties["scorer.contract"] == f"predictions {built_in('predictions').version}"


def test_readers_find_the_rows_as_the_run_staged_them(made: Lake, root: str) -> None:
    version = published(root, "run-1", ["a", "b", "c"], into=made.spelled)
    with STORE.open(version.predictions[0].uri) as handle:
        staged = pq.read_table(handle).replace_schema_metadata(None)
    found = made.rows()
    assert found.to_pylist() == staged.to_pylist()
    assert found.to_pandas()["ds"].tolist() == [date(2026, 11, 24)] * 3
    counted = duckdb.execute("SELECT status, count(*) FROM found GROUP BY 1 ORDER BY 1").fetchall()
    assert counted == [("degraded", 1), ("failed", 1), ("scored", 1)]


def test_the_files_of_a_table_know_its_columns_by_id(local: Lake, tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a"], into=local.spelled)
    (file,) = data_files(str(tmp_path))
    found = pq.read_schema(file)
    assert {field.name: int(field.metadata[b"PARQUET:field_id"]) for field in found} == {
        field.name: field.field_id for field in local.table.schema().fields
    }
    rows = duckdb.execute(f"SELECT listing_id, ds::VARCHAR FROM '{file}'").fetchall()  # a reader that knows no table
    assert rows == [("a", "2026-11-24")]


def test_a_partition_is_replaced_in_one_commit_and_the_history_says_who_did_it(made: Lake, root: str) -> None:
    published(root, "run-1", ["a", "b", "c", "d"], per_file=1, into=made.spelled)
    published(root, "run-2", ["x"], key=NEXT, into=made.spelled)
    version = published(root, "run-3", ["a", "e"], into=made.spelled)
    assert (ids(made), ids(made, NEXT)) == (["a", "e"], ["x"])
    assert history(made) == [(KEY, "run-1"), (NEXT, "run-2"), (KEY, "run-3")]
    summary = last(made)
    assert summary.operation == Operation.OVERWRITE
    assert summary.additional_properties["scorer.rows"] == "2"
    assert summary.additional_properties["scorer.bundle"] == version.bundle_digest
    assert summary.additional_properties["scorer.manifest"] == version.manifest
    before = made.table.snapshot_by_name("run-run-1")
    assert before is not None
    assert made.table.scan(snapshot_id=before.snapshot_id).to_arrow().num_rows == 4, "the tag of a run reads it again"


def test_predictions_in_a_table_are_not_listed_as_files_and_refused_rows_are(made: Lake, root: str) -> None:
    published(root, "run-1", ["a"], into=made.spelled)
    assert STORE.list_all(join(root, "predictions")) == []
    assert len(STORE.list_all(join(root, "quarantine", KEY))) == 1


def test_a_process_that_dies_before_the_commit_has_shown_nothing_and_the_next_start_repairs_it(
    made: Lake, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(root, "run-1", ["a"], into=made.spelled)
    dies(monkeypatch, Transaction, "commit_transaction", after=False)
    with pytest.raises(Died):
        published(root, "run-2", ["b"], into=made.spelled)
    assert ids(made) == ["a"]
    ledger_of(root).expose()
    assert ids(made) == ["b"]
    assert history(made) == [(KEY, "run-1"), (KEY, "run-2")]


def test_a_process_that_dies_among_its_copies_has_shown_nothing(
    made: Lake, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(root, "run-1", ["a"], into=made.spelled)
    published(root, "run-2", ["b", "c"], per_file=1, expose=False, into=made.spelled)
    dies(monkeypatch, ObjectStore, "head", after=True)  # of the first copy
    with pytest.raises(Died):
        replacing.show(TableName.parse(made.spelled), KEY, ledger_of(root)._shown, STORE)
    assert ids(made) == ["a"]
    ledger_of(root).expose()
    assert ids(made) == ["b", "c"]


def test_a_process_that_dies_after_the_commit_is_not_repeated(
    made: Lake, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies(monkeypatch, Transaction, "commit_transaction", after=True)
    with pytest.raises(Died):
        published(root, "run-1", ["a"], into=made.spelled)
    assert ids(made) == ["a"]
    ledger_of(root).expose()
    assert history(made) == [(KEY, "run-1")]
    current = ledger_of(root).read().record.current
    assert current is not None
    assert current.in_table_at is not None, "so that nobody asks the catalog again"


def test_a_commit_whose_answer_is_lost_is_found_in_the_history(
    made: Lake, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Transaction.commit_transaction

    def unanswered(self: Transaction) -> Any:
        monkeypatch.setattr(Transaction, "commit_transaction", commit)
        commit(self)
        raise CommitStateUnknownException("502 Bad Gateway")

    monkeypatch.setattr(Transaction, "commit_transaction", unanswered)
    published(root, "run-1", ["a"], into=made.spelled)
    assert (ids(made), history(made)) == (["a"], [(KEY, "run-1")])


def test_of_two_partitions_at_once_both_are_there_each_with_its_tag(
    made: Lake, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(root, "run-0", ["o"], into=made.spelled)
    meanwhile(monkeypatch, lambda: published(root, "run-2", ["b"], key=NEXT, into=made.spelled))
    published(root, "run-1", ["a"], into=made.spelled)
    assert (ids(made), ids(made, NEXT)) == (["a"], ["b"])
    assert set(made.table.refs()) == {"main", "run-run-0", "run-run-1", "run-run-2"}


def test_a_slow_start_never_replaces_what_a_faster_one_of_a_newer_version_has_shown(
    made: Lake, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(root, "run-1", ["slow"], expose=False, into=made.spelled)
    meanwhile(monkeypatch, lambda: published(root, "run-2", ["new"], into=made.spelled))
    ledger_of(root).expose()
    assert (ids(made), history(made)) == (["new"], [(KEY, "run-2")])


def test_a_catalog_that_stays_out_of_reach_ends_the_run_with_what_to_do(
    local: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(self: Transaction) -> Any:
        raise ConnectionError("postgresql://scorer:secret@db:5432 refused the connection")

    monkeypatch.setattr(replacing, "TRIES", 2)
    monkeypatch.setattr(Transaction, "commit_transaction", refuses)
    with pytest.raises(StoreUnreachable, match=r"published, but the table lake\.shop\.predictions does not") as caught:
        published(str(tmp_path), "run-1", ["a"], into=local.spelled)
    assert "secret" not in str(caught.value)
    monkeypatch.undo()
    enter(local, monkeypatch)
    ledger_of(str(tmp_path)).expose()
    assert ids(local) == ["a"]


def test_a_bundle_with_more_outputs_adds_columns_that_earlier_rows_read_as_null(made: Lake, root: str) -> None:
    published(root, "run-1", ["a"], into=made.spelled)
    fitted(TableName.parse(made.spelled), predictions_schema(["prediction", "demand"]), NEXT)
    published(root, "run-2", ["b"], key=NEXT, into=made.spelled)
    assert made.rows().column("prediction_demand").to_pylist() == [None, None]
    assert (ids(made), ids(made, NEXT)) == (["a"], ["b"])


def given(made: Lake, *fields: NestedField, by: PartitionField | None = None) -> None:
    """A table that somebody made beforehand."""
    catalog("lake").create_namespace("shop")
    spec = PartitionSpec(by) if by else PartitionSpec()
    catalog("lake").create_table("shop.predictions", Schema(*fields), partition_spec=spec)


@pytest.mark.parametrize(
    ("fields", "by", "why"),
    [
        ([NestedField(1, "prediction", StringType())], "ds", "column prediction is string, the predictions' is double"),
        ([NestedField(1, "shop", StringType(), required=True)], "ds", "column shop is required, and predictions have"),
        ([NestedField(1, "listing_id", StringType(), required=True)], None, r"needs ds, as it is"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_before_anything_is_scored(
    local: Lake, fields: list[NestedField], by: str | None, why: str
) -> None:
    ds = NestedField(99, "ds", DateType())
    given(local, *fields, ds, by=PartitionField(99, 1000, IdentityTransform(), "ds") if by else None)
    with pytest.raises(SettingsError, match=why):
        fitted(TableName.parse(local.spelled), predictions_schema(["prediction"]), KEY)
    assert local.table.current_snapshot() is None


def test_a_table_partitioned_by_a_transform_is_refused(local: Lake) -> None:
    given(local, NestedField(1, "ds", TimestamptzType()), by=PartitionField(1, 1000, DayTransform(), "day"))
    with pytest.raises(SettingsError, match="partitioned by"):
        fitted(TableName.parse(local.spelled), predictions_schema(["prediction"]), KEY)


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (StringType(), KEY, "2026-11-24"),
        (IntegerType(), "ds=20261124", 20261124),
        (DateType(), KEY, date(2026, 11, 24)),
    ],
)
def test_a_table_that_is_there_keeps_the_type_of_its_key(
    local: Lake, tmp_path: Path, kind: Any, key: str, value: object
) -> None:
    given(local, NestedField(1, "ds", kind), by=PartitionField(1, 1000, IdentityTransform(), "ds"))
    published(str(tmp_path), "run-1", ["a", "b"], key=key, into=local.spelled)
    published(str(tmp_path), "run-2", ["c"], key=key, into=local.spelled)
    assert local.rows().select(["listing_id", "ds"]).to_pylist() == [{"listing_id": "c", "ds": value}]


def test_a_key_that_its_column_cannot_hold_is_refused(local: Lake, tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a"], into=local.spelled)
    with pytest.raises(SettingsError, match="'today' is no date, which column ds of the table is"):
        published(str(tmp_path), "run-2", ["a"], key="ds=today", into=local.spelled)


def test_listings_without_partitions_make_a_table_without(local: Lake, tmp_path: Path) -> None:
    for run, rows in (("run-1", ["a", "b"]), ("run-2", ["c"])):
        published(str(tmp_path), run, rows, key="", into=local.spelled)
    assert local.rows().column("listing_id").to_pylist() == ["c"]


def test_a_version_without_rows_empties_its_partition(local: Lake, tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a"], into=local.spelled)
    published(str(tmp_path), "run-2", [], into=local.spelled)
    assert ids(local) == []
    assert history(local)[-1] == (KEY, "run-2")


def test_what_others_do_to_a_partition_afterwards_is_left_alone(local: Lake, tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a", "b"], into=local.spelled)
    local.table.delete("listing_id = 'a'")  # somebody asked to be forgotten
    ledger_of(str(tmp_path)).expose()
    replacing.show(TableName.parse(local.spelled), KEY, ledger_of(str(tmp_path))._shown, STORE)
    assert ids(local) == ["b"]


def back(root: str) -> Version:
    return rollback(Housekeeping(predictions=join(root, "predictions"), partition=KEY), None, Tools())


def test_a_rollback_is_one_more_commit(made: Lake, root: str) -> None:
    published(root, "run-1", ["a"], into=made.spelled)
    published(root, "run-2", ["b"], into=made.spelled)
    assert back(root).run_id == "run-1"
    assert (ids(made), history(made)) == (["a"], [(KEY, "run-1"), (KEY, "run-2"), (KEY, "run-1")])
    summary = last(made)
    assert summary.additional_properties["scorer.instead-of"] == "run-2"


def test_a_rollback_to_what_was_published_by_another_sink_is_refused(local: Lake, tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a"])
    published(str(tmp_path), "run-2", ["b"], into=local.spelled)
    with pytest.raises(SettingsError, match=r"run-1 was published to parquet, the current one to iceberg:lake\.shop"):
        back(str(tmp_path))
    assert ids(local) == ["b"]


def gc(root: str, age: timedelta, **settings: Any) -> list[str]:
    wanted = Housekeeping(predictions=join(root, "predictions"), older_than=age, keep_versions=0, **settings)
    return [found.sentence("removed") for found in collect(wanted, Tools())]


def test_gc_forgets_old_snapshots_and_removes_what_only_they_needed(made: Lake, root: str) -> None:
    for run in ("run-1", "run-2", "run-3"):
        published(root, run, [run], into=made.spelled)
    published(root, "run-4", ["x"], key=NEXT, into=made.spelled)
    assert len(data_files(root)) == 4
    assert gc(root, timedelta(days=1))[-1].startswith("table shop.predictions: removed: 0 snapshot(s)")
    assert len(data_files(root)) == 4, "all is young"
    said = gc(root, timedelta(0))[-1]
    assert said.startswith("table shop.predictions: removed: 3 snapshot(s)"), said
    assert (ids(made), ids(made, NEXT)) == (["run-3"], ["x"])
    assert len(data_files(root)) == 2
    assert set(made.table.refs()) == {"main", "run-run-4"}
    ledger_of(root).expose()
    assert len(made.table.snapshots()) == 1, "what the table shows is known without the snapshot that showed it"
    published(root, "run-5", ["y"], into=made.spelled)
    assert ids(made) == ["y"]


def test_gc_shows_what_a_dead_process_did_not_and_removes_what_another_had_only_copied(
    made: Lake, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies(monkeypatch, Transaction, "commit_transaction", after=False)
    with pytest.raises(Died):
        published(root, "run-1", ["a"], into=made.spelled)
    published(root, "run-2", ["b"], expose=False, into=made.spelled)
    assert len(data_files(root)) == 1
    gc(root, timedelta(days=1))
    assert ids(made) == ["b"]
    assert len(data_files(root)) == 1, "the copy of run-1, which no snapshot names, is gone"


def test_gc_leaves_what_is_published_to_the_table_while_it_looks(
    made: Lake, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(root, "run-1", ["a"], into=made.spelled)
    list_all = ObjectStore.list_all

    def slowly(self: ObjectStore, prefix: str) -> Any:
        if "lake/shop/predictions/data" in prefix:
            monkeypatch.setattr(ObjectStore, "list_all", list_all)
            published(root, "run-2", ["b"], into=made.spelled)
        return list_all(self, prefix)

    monkeypatch.setattr(ObjectStore, "list_all", slowly)
    gc(root, timedelta(0))
    assert ids(made) == ["b"]
    assert len(data_files(root)) == 2, "run-1's, which were current when gc began, go the next time"
    gc(root, timedelta(0))
    assert (ids(made), len(data_files(root))) == (["b"], 1)


def test_gc_goes_on_where_a_table_is_gone_and_names_it(local: Lake, tmp_path: Path) -> None:
    root, other = str(tmp_path), Lake(local.environ, "iceberg:lake.shop.others")
    published(root, "run-1", ["a"], key="ds=2026-11-23", into=local.spelled)
    published(root, "run-2", ["b"], expose=False, into=local.spelled)
    for run in ("run-3", "run-4"):
        published(root, run, [run], key=NEXT, into=other.spelled)
    local.drop()
    *_, expired, missing = gc(root, timedelta(0))
    assert expired.startswith("table shop.others: removed: 1 snapshot(s)")
    assert missing.startswith("table lake.shop.predictions: nothing removed: it is not in its catalog")
    assert f"never shown in it: {KEY}." in missing


def test_gc_goes_on_where_the_table_of_what_was_shown_is_gone(local: Lake, tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a"], into=local.spelled)
    local.drop()
    *_, missing = gc(str(tmp_path), timedelta(0))
    assert missing.startswith("table lake.shop.predictions: nothing removed: it is not in its catalog")
    assert "never shown" not in missing


def test_a_rollback_says_that_its_table_is_gone(local: Lake, tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a"], into=local.spelled)
    published(str(tmp_path), "run-2", ["b"], expose=False, into=local.spelled)
    local.drop()
    with pytest.raises(TableGone, match=r"lake\.shop\.predictions that shall show it is not in its catalog"):
        back(str(tmp_path))


def test_a_table_that_is_dropped_amid_a_commit_is_named(
    local: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, local.drop)
    with pytest.raises(TableGone, match=r"lake\.shop\.predictions that shall show it is not in its catalog"):
        published(str(tmp_path), "run-1", ["a"], into=local.spelled)


def test_files_are_not_shown_in_another_table_whose_ids_are_those_of_other_columns(local: Lake, tmp_path: Path) -> None:
    version = published(str(tmp_path), "run-1", ["a"], expose=False, into=local.spelled)
    local.drop()
    columns = [field for field in predictions_schema(()) if field.name != "prediction"]
    fitted(TableName.parse(local.spelled), pa.schema([predictions_schema(()).field("prediction"), *columns]), KEY)
    ledger = ledger_of(str(tmp_path))
    with pytest.raises(TableDiffers, match=r"column 1 is prediction, in the files listing_id.*--force"):
        ledger.expose()
    assert local.table.current_snapshot() is None
    assert STORE.exists(version.predictions[0].uri)
    *_, missing = gc(str(tmp_path), timedelta(0))
    assert missing.startswith(f"table lake.shop.predictions: it has other columns now than the files of {KEY}")


def test_files_wait_while_the_columns_of_their_table_have_other_names(local: Lake, tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a"], expose=False, into=local.spelled)
    ledger = ledger_of(str(tmp_path))
    with local.table.update_schema() as update:
        update.rename_column("prediction_class", "kind")
    with pytest.raises(TableDiffers, match=r"is kind, in the files prediction_class"):
        ledger.expose()
    with local.table.update_schema() as update:
        update.rename_column("kind", "prediction_class")
    ledger.expose()
    assert ids(local) == ["a"]


def test_gc_of_one_partition_leaves_the_others_files(local: Lake, tmp_path: Path) -> None:
    root = str(tmp_path)
    published(root, "run-1", ["a"], into=local.spelled)
    published(root, "run-2", ["b"], key=NEXT, into=local.spelled)
    STORE.put(join(root, "lake/shop/predictions/data", NEXT, "0123456789abcdef-00000.parquet"), b"of another partition")
    STORE.put(join(root, "lake/shop/predictions/data", KEY, "theirs.parquet"), b"of somebody else")
    gc(root, timedelta(0), partition=KEY)
    assert len(data_files(root)) == 4


def test_a_tag_of_somebody_else_keeps_its_snapshot(local: Lake, tmp_path: Path) -> None:
    root = str(tmp_path)
    version = published(root, "run-1", ["a"], into=local.spelled)
    snapshot = local.table.current_snapshot()
    assert snapshot is not None
    local.table.manage_snapshots().create_tag(snapshot.snapshot_id, "audit-2026").commit()
    published(root, "run-2", ["b"], into=local.spelled)
    name, later = TableName.parse(local.spelled), datetime.now(UTC) + timedelta(days=1)
    assert expire(name, {version.publisher}, later, STORE).snapshots == 0
    assert local.table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().column("listing_id").to_pylist() == ["a"]


def test_a_record_of_before_there_were_tables_is_read_as_of_files(tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a"])
    uri = join(state_of(str(tmp_path)), "published.json")
    text = STORE.get(uri).data.decode()
    assert '"sink": "parquet"' in text
    STORE.put(uri, text.replace('"sink": "parquet",', "").replace('"in_table_at": null,', "").encode())
    current = Ledger(state_of(str(tmp_path)), KEY, STORE).read().record.current
    assert current is not None
    assert (current.sink, current.table) == ("parquet", None)


@pytest.mark.parametrize("spelled", ["iceberg:predictions", "iceberg:", "iceberg:lake.shop.", "iceberg:lake.a b.c"])
def test_a_table_that_is_not_spelled_as_one_is_refused(spelled: str) -> None:
    with pytest.raises(SettingsError, match=r"Expected iceberg:CATALOG\.NAMESPACE\.TABLE"):
        TableName.parse(spelled)


def test_a_catalog_that_is_not_configured_is_refused_with_how_to_configure_it(local: Lake) -> None:
    with pytest.raises(SettingsError, match="PYICEBERG_CATALOG__NOWHERE__URI"):
        fitted(TableName.parse("iceberg:nowhere.shop.predictions"), pa.schema([]), KEY)


def test_another_sink_is_other_work() -> None:
    places = {"listings": "l", "bundle": "b", "predictions": "p"}
    plain, table = Job.model_validate(places), Job.model_validate({**places, "sink": "iceberg:lake.shop.predictions"})
    assert plain.fingerprint() != table.fingerprint()
    assert plain.row_fingerprint() == table.row_fingerprint(), "its rows are the same, and may be carried forward"
