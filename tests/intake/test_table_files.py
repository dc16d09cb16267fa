"""Listings in Iceberg tables: exactly the rows of a snapshot, or a refusal that says which file and why."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, Table
from pyiceberg.transforms import IdentityTransform, MonthTransform, Transform
from pyiceberg.types import DateType, DoubleType, ListType, NestedField, StringType

from scorer.errors import InputError, SettingsError
from scorer.intake.partitions import Partition, cut, find_keys, is_unchanged, listed, open_partition
from scorer.intake.rows import read_table
from scorer.objectstore import ObjectStore
from scorer.tables import catalog
from tests.catalogs import Lake, enter, lake
from tests.conftest import Bucket

STORE = ObjectStore()
LISTINGS = "iceberg:lake.shop.listings"
COLUMNS = (
    NestedField(1, "listing_id", StringType()),
    NestedField(2, "area", DoubleType()),
    NestedField(3, "image_uris", ListType(4, StringType(), element_required=False)),
    NestedField(5, "ds", DateType()),
)
MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)
KEY = "ds=2026-11-24"


@pytest.fixture(params=["local", "bucket"])
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A catalog on local files, with tables there or in S3."""
    if request.param == "local":
        return enter(lake(tmp_path, str(tmp_path)), monkeypatch)
    found: Bucket = request.getfixturevalue("bucket")
    return enter(lake(tmp_path, found.uri), monkeypatch)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    return enter(lake(tmp_path, str(tmp_path)), monkeypatch)


def listings(*by: tuple[int, Transform[Any, Any]], fields: Sequence[NestedField] = COLUMNS) -> Table:
    """An empty table, partitioned by `ds` unless it is said otherwise."""
    catalog("lake").create_namespace_if_not_exists("shop")
    parts = [PartitionField(source, 1000 + n, how, f"part_{n}") for n, (source, how) in enumerate(by)]
    spec = PartitionSpec(*(parts or [PartitionField(5, 1000, IdentityTransform(), "ds")]))
    return catalog("lake").create_table("shop.listings", Schema(*fields), partition_spec=spec)


def rows(ids: Sequence[str], day: date = TUESDAY) -> pa.Table:
    count = len(ids)
    return pa.table(
        {
            "listing_id": pa.array(ids, pa.string()),
            "area": pa.array([50.0] * count),
            "image_uris": pa.array([["a.jpg"]] * count, pa.list_(pa.string())),
            "ds": pa.array([day] * count, pa.date32()),
        }
    )


def opened(spelled: str = LISTINGS, key: str | None = KEY) -> Partition:
    found = open_partition(spelled, key, STORE)
    assert found is not None
    return found


def ids(partition: Partition) -> list[str]:
    return sorted(read_table(partition, STORE, ["listing_id"]).column(0).to_pylist())


def test_a_partition_of_a_table_is_its_data_files(made: Lake) -> None:
    table = listings()
    table.append(rows(["a", "b"]))
    table.append(rows(["c"]))
    table.append(rows(["m"], MONDAY))
    partition = opened()
    assert (ids(partition), partition.rows, len(partition.files)) == (["a", "b", "c"], 3, 2)
    assert find_keys(LISTINGS, STORE) == ["ds=2026-11-23", "ds=2026-11-24"]
    assert open_partition(LISTINGS, "ds=2026-11-25", STORE) is None
    with pytest.raises(InputError, match="holds 2 partitions: ds=2026-11-23, ds=2026-11-24"):
        open_partition(LISTINGS, None, STORE)


def test_a_snapshot_is_read_as_it_was_and_its_number_stands_in_the_place(made: Lake) -> None:
    table = listings()
    table.append(rows(["a"]))
    before = table.current_snapshot()
    assert before is not None
    table.append(rows(["b"]))
    assert ids(opened()) == ["a", "b"]
    was = opened(f"{LISTINGS}@{before.snapshot_id}")
    assert ids(was) == ["a"]
    assert was.place == f"{LISTINGS}@{before.snapshot_id}"
    assert opened(was.place) == was


def test_work_is_known_by_the_files_not_by_the_snapshot(made: Lake) -> None:
    table = listings()
    table.append(rows(["a"]))
    before = opened()
    table.append(rows(["m"], MONDAY))
    after = opened()
    assert before.place != after.place
    assert cut(before, 10, "x") == cut(after, 10, "x")
    assert before.files[0].etag == STORE.head(before.files[0].uri).etag


def test_a_table_may_go_on_while_its_snapshot_is_scored_but_no_file_of_it_may_go(made: Lake) -> None:
    table = listings()
    table.append(rows(["a"]))
    partition = opened()
    table.overwrite(rows(["b"]), "ds = '2026-11-24'")
    assert is_unchanged(partition, STORE)
    assert [info.uri for info in listed(partition, STORE)] == [partition.files[0].uri]
    STORE.delete([partition.files[0].uri])
    assert not is_unchanged(partition, STORE)
    with pytest.raises(InputError, match="names a file that is gone"):
        opened(partition.place)


def test_a_table_without_partitions_is_one(local: Lake) -> None:
    catalog("lake").create_namespace("shop")
    table = catalog("lake").create_table("shop.listings", Schema(*COLUMNS))
    assert open_partition(LISTINGS, None, STORE) is None
    table.append(rows(["a", "b"]))
    assert ids(opened(key=None)) == ["a", "b"]
    assert find_keys(LISTINGS, STORE) == [""]
    with pytest.raises(InputError, match="may hold rows of other partitions, too"):
        opened(key=KEY)


@pytest.mark.parametrize(
    ("spelled", "key", "why"),
    [
        ("iceberg:lake.shop.others", KEY, r"There is no table lake\.shop\.others"),
        (f"{LISTINGS}@42", KEY, "has no snapshot 42: it never had, or the snapshot was expired"),
        (LISTINGS, "night=2026-11-24", "night is no column of it"),
        (LISTINGS, "area=50", "area is double; expected text, a date or a whole number"),
        (LISTINGS, "ds=yesterday", "'yesterday' is no date"),
    ],
)
def test_what_is_not_there_is_named(local: Lake, spelled: str, key: str, why: str) -> None:
    listings().append(rows(["a"]))
    with pytest.raises(InputError, match=why):
        open_partition(spelled, key, STORE)


def test_a_table_partitioned_by_months_is_refused_by_its_first_file(local: Lake, tmp_path: Path) -> None:
    table = listings((5, MonthTransform()))
    pq.write_table(rows(["a"]), tmp_path / "theirs.parquet")
    table.add_files([str(tmp_path / "theirs.parquet")])
    with pytest.raises(InputError, match=r"theirs\.parquet of iceberg:lake\.shop\.listings: it may hold rows of other"):
        opened()


def test_a_renamed_column_is_refused_by_file_and_both_names(local: Lake) -> None:
    table = listings()
    table.append(rows(["a"]))
    with table.update_schema() as update:
        update.rename_column("area", "size")
    with pytest.raises(InputError, match=r"\.parquet of .*: its column area is the table's size\. Only a reader"):
        opened()
    table.overwrite(rows(["b"]).rename_columns(["listing_id", "size", "image_uris", "ds"]))
    assert ids(opened()) == ["b"]


def test_a_column_that_was_dropped_and_came_back_under_its_name_is_refused(local: Lake) -> None:
    table = listings()
    table.append(rows(["a"]))
    with table.update_schema() as update:
        update.delete_column("area")
    with table.update_schema() as update:
        update.add_column("area", DoubleType())
    with pytest.raises(InputError, match="its column area is not the table's of that name, which came later"):
        opened()


def test_the_columns_are_those_of_the_snapshot(local: Lake) -> None:
    table = listings()
    table.append(rows(["a"]))
    before = opened().place
    with table.update_schema() as update:
        update.rename_column("area", "size")
    assert ids(opened(before)) == ["a"]


def test_files_without_ids_are_read_by_the_tables_mapping_of_names(local: Lake, tmp_path: Path) -> None:
    table = listings()
    pq.write_table(rows(["a"]), tmp_path / "theirs.parquet")
    table.add_files([str(tmp_path / "theirs.parquet")])
    assert ids(opened()) == ["a"]
    with table.transaction() as change:
        change.remove_properties("schema.name-mapping.default")
    with pytest.raises(InputError, match="its column listing_id has no id, and the table no mapping of names"):
        opened()


def test_rows_deleted_by_delete_files_are_not_scored_in_silence(local: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyiceberg writes no delete files, so the plan says that there is one."""
    listings().append(rows(["a"]))
    plan = Table.scan

    def with_deletes(self: Table, *args: Any, **named: Any) -> Any:
        found = plan(self, *args, **named)
        tasks = list(found.plan_files())
        gone = DataFile.from_args(
            content=DataFileContent.POSITION_DELETES, file_path="s3://b/deletes.parquet", file_format=FileFormat.PARQUET
        )
        marked = [FileScanTask(one.file, {gone}, one.residual) for one in tasks]
        monkeypatch.setattr(type(found), "plan_files", lambda _: marked)
        return found

    monkeypatch.setattr(Table, "scan", with_deletes)
    with pytest.raises(InputError, match=r"rows of it are deleted by s3://b/deletes\.parquet\. Nothing was scored"):
        opened()


def test_a_table_in_s3_cannot_name_files_of_this_machine(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(lake(tmp_path, bucket.uri), monkeypatch)
    table = listings()
    pq.write_table(rows(["a"]), tmp_path / "private.parquet")
    table.add_files([str(tmp_path / "private.parquet")])
    with pytest.raises(InputError, match=r"private\.parquet of .*: it is a file of this machine, and the table lies"):
        opened()


def test_listings_that_are_spelled_wrong_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"Expected iceberg:CATALOG\.NAMESPACE\.TABLE"):
        open_partition("iceberg:listings", KEY, STORE)
