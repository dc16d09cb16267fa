"""Whatever the row groups, units come out whole, in order, and nothing else is read."""

import contextlib
import errno
import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import ContractError, InputChanged, InputError, StoreUnreachable
from scorer.intake.ids import read_ids
from scorer.intake.partitions import Partition, Unit, cut, find_keys, is_unchanged, open_partition
from scorer.intake.rows import image_lists, image_table, read_units
from scorer.objectstore import ObjectStore, file_name, join
from tests.conftest import Bucket

STORE = ObjectStore()


def write(folder: Path, name: str, ids: list[str | None], group_rows: int = 100) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({"listing_id": pa.array(ids, pa.string()), "n": np.arange(len(ids)), "unread": ["x"] * len(ids)})
    pq.write_table(table, folder / name, row_group_size=group_rows)


def opened(place: Path, key: str | None = None) -> Partition:
    found = open_partition(str(place), key, STORE)
    assert found is not None
    return found


@given(
    rows=st.integers(1, 300),
    group_rows=st.integers(1, 120),
    unit_rows=st.integers(1, 150),
    skipped=st.sets(st.integers(0, 30)),
)
@settings(max_examples=60, deadline=None)
def test_units_hold_exactly_their_rows_whatever_the_row_groups(
    tmp_path_factory: pytest.TempPathFactory, rows: int, group_rows: int, unit_rows: int, skipped: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("p")
    write(folder, "a.parquet", [f"id{n}" for n in range(rows)], group_rows)
    units = cut(opened(folder), unit_rows, "")
    assert sum(unit.rows for unit in units) == rows
    wanted = [unit for number, unit in enumerate(units) if number not in skipped]
    read = list(read_units(wanted, ["n"], STORE))
    assert [unit for unit, _ in read] == wanted
    for unit, batch in read:
        assert batch.column("n").to_pylist() == list(range(unit.start, unit.stop))
        assert batch.schema.names == ["n"]


@given(group_rows=st.integers(1, 60), unit_rows=st.integers(1, 40), order=st.lists(st.integers(0, 9), max_size=20))
@settings(max_examples=60, deadline=None)
def test_units_in_any_order_come_one_by_one_each_with_its_own_rows(
    tmp_path_factory: pytest.TempPathFactory, group_rows: int, unit_rows: int, order: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("p")
    for name in ("a.parquet", "b.parquet"):
        write(folder, name, [f"id{n}" for n in range(50)], group_rows)
    units = cut(opened(folder), unit_rows, "")
    wanted = [units[number % len(units)] for number in order]
    asked = list[Unit]()

    def stream() -> Iterator[Unit]:
        for unit in wanted:
            asked.append(unit)
            yield unit

    for number, (unit, batch) in enumerate(read_units(stream(), ["n"], STORE)):
        assert asked == wanted[: number + 1], "no unit is asked for before its turn"
        assert unit == wanted[number]
        assert batch.column("n").to_pylist() == list(range(unit.start, unit.stop))
    assert asked == wanted


def test_units_do_not_cross_files_and_files_come_by_name(tmp_path: Path) -> None:
    for name, rows in (("b.parquet", 3), ("a.parquet", 5), ("_skip.parquet", 9), (".hidden.parquet", 9)):
        write(tmp_path, name, ["i"] * rows)
    (tmp_path / "notes.txt").write_text("no data")
    units = cut(opened(tmp_path), 4, "")
    assert [(file_name(unit.file), unit.start, unit.rows) for unit in units] == [
        ("a.parquet", 0, 4),
        ("a.parquet", 4, 1),
        ("b.parquet", 0, 3),
    ]


def test_a_units_identity_depends_on_what_can_change_a_score_and_on_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", ["x", "y"])
    first = cut(opened(tmp_path), 10, "bundle 1")
    assert cut(opened(tmp_path), 10, "bundle 1") == first
    assert cut(opened(tmp_path), 10, "bundle 2")[0].id != first[0].id
    write(tmp_path, "a.parquet", ["x", "z"])
    assert cut(opened(tmp_path), 10, "bundle 1")[0].id != first[0].id


def test_listings_may_be_a_folder_of_partitions_one_partition_or_one_file(tmp_path: Path) -> None:
    day = tmp_path / "region=eu" / "ds=2026-11-24"
    write(day, "a.parquet", ["x"])
    key = "region=eu/ds=2026-11-24"
    assert find_keys(str(tmp_path), STORE) == [key]
    for partition in (opened(tmp_path, key), opened(day), opened(day / "a.parquet"), opened(day, "ds=2026-11-24")):
        assert partition.rows == 1
        assert partition.key in (key, "ds=2026-11-24")
    assert opened(tmp_path, key).base == str(tmp_path)
    assert opened(day / "a.parquet").base == str(day)
    assert open_partition(str(tmp_path), "ds=1999-01-01", STORE) is None
    assert open_partition(str(tmp_path / "none.parquet"), None, STORE) is None


def test_what_a_writer_keeps_in_hidden_folders_is_no_listing(bucket: Bucket, tmp_path: Path) -> None:
    """As in Spark, Hive and Arrow: `_` and `.` hide, and `=` makes a partition all the same."""
    day = "ds=2026-11-24"
    hidden = ("_temporary/0/a.parquet", f"_delta_log/{day}/00.checkpoint.parquet", f".spark-staging-1/{day}/a.parquet")
    write(tmp_path, "a.parquet", ["x"])
    data = (tmp_path / "a.parquet").read_bytes()
    for root in (str(tmp_path / "_raw" / ".new"), f"{bucket.uri}/_raw/.new"):
        for name in (
            f"{day}/a.parquet",
            "_shop=1/ds=2026-11-25/a.parquet",
            *hidden,
            *(f"{day}/{name}" for name in hidden),
        ):
            STORE.put(join(root, name), data)
        assert find_keys(root, STORE) == ["_shop=1/ds=2026-11-25", day]
        for place, key in ((root, day), (join(root, day), None)):
            found = open_partition(place, key, STORE)
            assert found is not None
            assert [file.uri for file in found.files] == [join(root, day, "a.parquet")]
            STORE.put(join(root, day, "_temporary", "1", "b.parquet"), data)
            assert is_unchanged(found, STORE)


def test_a_partition_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    for day in range(1, 6):
        write(tmp_path / f"ds=2026-11-0{day}", "a.parquet", ["x"])
    with pytest.raises(InputError, match=r"holds 5 partitions: ds=2026-11-01, ds=2026-11-02, ds=2026-11-03, \.\.\."):
        open_partition(str(tmp_path), None, STORE)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "a.parquet", ["x"])
    (tmp_path / "b.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"b\.parquet is not readable as Parquet.*Nothing was published"):
        open_partition(str(tmp_path), None, STORE)


class Failing(io.FileIO):
    """A file whose server goes away: each read from the given one on fails with this number."""

    def __init__(self, path: str, number: int, good: int) -> None:
        super().__init__(path)
        self.number, self.good = number, good

    @classmethod
    def buffered(cls, number: int, good: int, uri: str, etag: str | None) -> io.BufferedReader:
        """In the place of ObjectStore.open."""
        return io.BufferedReader(cls(uri, number, good), 512)

    def readinto(self, buffer: Any) -> int | None:
        self.good -= 1
        if self.good < 0:
            raise OSError(self.number, os.strerror(self.number))
        return super().readinto(buffer)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_file_server_that_goes_away_is_no_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write(tmp_path, "a.parquet", [f"id{n}" for n in range(500)])
    units = cut(opened(tmp_path), 100, "")
    steps: list[tuple[int, Callable[[], object]]] = [
        (1, lambda: open_partition(str(tmp_path), None, STORE)),
        (4, lambda: list(read_units(units, ["n"], STORE))),
    ]
    for good, step in ((good, step) for reads, step in steps for good in range(reads)):
        monkeypatch.setattr(ObjectStore, "open", partial(Failing.buffered, number, good))
        with pytest.raises(StoreUnreachable, match=r"a\.parquet could not be read: .*Start the run again") as raised:
            step()
        assert raised.value.exit_code == 75


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_parquet_is_an_input_error_and_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    write(folder, "a.parquet", [f"id{n}" for n in range(50)], 20)
    content = bytearray((folder / "a.parquet").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    (folder / "a.parquet").write_bytes(bytes(content))
    with contextlib.suppress(InputError, ContractError):  # anything else that is raised breaks the rule
        partition = open_partition(str(folder), None, STORE)
        assert partition is not None
        list(read_units(cut(partition, 7, ""), ["listing_id", "n"], STORE))


def test_a_file_replaced_after_planning_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", ["x"])
    partition = opened(tmp_path)
    assert is_unchanged(partition, STORE)
    write(tmp_path, "a.parquet", ["y"])
    assert not is_unchanged(partition, STORE)
    with pytest.raises(InputChanged, match=r"a\.parquet changed"):
        list(read_units(cut(partition, 10, ""), ["n"], STORE))


def test_a_file_added_after_planning_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", ["x"])
    partition = opened(tmp_path)
    write(tmp_path, "b.parquet", ["y"])
    assert not is_unchanged(partition, STORE)


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=60), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_every_repeated_id_is_found_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str | None], group_rows: int
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    write(folder, "a.parquet", ids[: len(ids) // 2], group_rows)
    write(folder, "b.parquet", ids[len(ids) // 2 :], group_rows)
    found = read_ids(opened(folder), STORE)
    assert found.repeated == {text for text in ids if text and ids.count(text) > 1}
    assert found.rows == len(ids)
    write(folder, "a.parquet", ids[::-1], group_rows)
    write(folder, "b.parquet", [], group_rows)
    assert read_ids(opened(folder), STORE).checksum == found.checksum


LISTS = st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "b", "c"])), max_size=5)))


@given(LISTS, st.integers(1, 4), st.sampled_from([pa.list_(pa.string()), pa.large_list(pa.large_string())]))
@settings(max_examples=150, deadline=None)
def test_the_image_table_says_what_the_lists_say(
    lists: list[list[str | None] | None], most: int, kind: pa.DataType
) -> None:
    column = pa.array(lists, kind)
    table = image_table(column, most)
    expected = [[text for text in row or () if text] for row in lists]
    assert image_lists(column) == expected
    assert table.given.tolist() == [len(row) for row in expected]
    assert len(set(table.uris)) == len(table.uris)
    found = [[table.uris[at] for at in row if at >= 0] for row in table.index.tolist()]
    assert found == [row[:most] for row in expected]


def test_a_string_column_is_one_image_a_listing_also_when_sliced_or_dictionary_encoded() -> None:
    texts = pa.array(["x", "a", None, "", "a"]).slice(1)
    for column in (texts, texts.dictionary_encode()):
        table = image_table(column, 8)
        assert (table.uris, table.index.tolist()) == (["a"], [[0], [-1], [-1], [0]])
    sliced = image_table(pa.array([["z"], ["a", "b"], ["b"]]).slice(1), 8)
    assert (sliced.uris, sliced.index.tolist()) == (["a", "b"], [[0, 1], [1, -1]])


@pytest.mark.parametrize("kind", [pa.int64(), pa.list_(pa.int32()), pa.list_(pa.list_(pa.string())), pa.binary()])
def test_another_type_of_image_column_is_refused_with_the_types(kind: pa.DataType) -> None:
    with pytest.raises(ContractError, match=r"'image_uris' is .*; expected list<string>"):
        image_table(pa.nulls(0, kind), 8)
