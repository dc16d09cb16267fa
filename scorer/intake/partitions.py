"""Which files, rows and ETags a partition holds, and the work units it is cut into."""

import contextlib
import errno
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.errors import InputError, NotFound, StoreUnreachable
from scorer.intake.table_files import table_files, table_keys
from scorer.objectstore import ObjectInfo, ObjectStore, canonical, join
from scorer.tables import is_table

FOOTERS_AT_ONCE = 16
"""Parquet footers read in parallel: a partition of 10,000 small files costs minutes otherwise."""

OF_THE_BYTES = frozenset({None, errno.EINVAL, errno.EOVERFLOW})
"""Numbers of an OSError that damaged bytes cause: pyarrow's own have none, a seek to where nothing can be has these."""


@dataclass(frozen=True)
class InputFile:
    """One Parquet file as it was when the run was planned. `row_groups` holds the rows of each row group."""

    uri: str
    etag: str
    size: int
    row_groups: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return sum(self.row_groups)


@dataclass(frozen=True)
class Partition:
    """The files of one partition, by name.

    Attributes:
        key: Hive steps below LISTINGS, `ds=2026-11-24` or `region=eu/ds=2026-11-24`; empty if there are none.
        base: what relative image URIs are resolved against.
        place: the folder, prefix or file that was listed; of a table its name and snapshot, `iceberg:...@123`.
        files: sorted by URI.
        schemas: the Arrow schema of each file.
    """

    key: str
    base: str
    place: str
    files: tuple[InputFile, ...]
    schemas: tuple[pa.Schema, ...]

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    def __str__(self) -> str:
        return self.key or self.place


@dataclass(frozen=True)
class Unit:
    """A row range of one file: what is scored, staged and, after a crash, redone as a whole.

    Attributes:
        id: digest of file, ETag, row range and of what can change a score; never of who does the work.
        file: URI of the input file.
        etag: version of the file.
        start: first row within the file, from 0.
        rows: number of rows.
    """

    id: str
    file: str
    etag: str
    start: int
    rows: int

    @property
    def stop(self) -> int:
        """First row behind the unit."""
        return self.start + self.rows


def find_keys(listings: str, store: ObjectStore) -> list[str]:
    """Every partition key below LISTINGS, sorted: the Hive paths that hold Parquet files. [''] for a bare folder."""
    if is_table(listings):
        return table_keys(listings)
    if listings.endswith(".parquet"):
        return [_own_key(canonical(listings).rpartition("/")[0])]
    root = canonical(listings)
    return sorted({_key_below(root, info.uri) or _own_key(root) for info in _data_below(root, store)})


def open_partition(listings: str, key: str | None, store: ObjectStore) -> Partition | None:
    """The partition that `key` names below LISTINGS; LISTINGS itself where it is one file or one partition.

    Args:
        listings: folder or prefix of partitions, one partition, one Parquet file, or a table.
        key: Hive steps, or None.
        store: where to read.

    Returns:
        None if no Parquet file is there.

    Raises:
        InputError: a file is unreadable, or `key` is needed and missing.
    """
    _insist_on_steps(key)
    if is_table(listings):
        return _of_table(listings, key, store)
    root = canonical(listings)
    if root.endswith(".parquet"):
        with contextlib.suppress(NotFound):
            folder = root.rpartition("/")[0]
            return _opened(key or _own_key(folder), folder, root, [store.head(root)], store)
        return None
    place = join(root, key) if key and not root.endswith("/" + key) else root
    found = _data_below(place, store)
    if not key:
        _insist_on_one(listings, {_key_below(root, info.uri) for info in found})
    return _opened(key or _own_key(root), root, place, found, store) if found else None


def cut(partition: Partition, rows_per_unit: int, scores_depend_on: str) -> tuple[Unit, ...]:
    """Units of up to `rows_per_unit` rows in input order; they never cross a file.

    Args:
        partition: the planned files.
        rows_per_unit: at most so many rows.
        scores_depend_on: digests of bundle and settings; part of every unit's identity.
    """
    units = []
    for file in partition.files:
        for start in range(0, file.rows, rows_per_unit):
            rows = min(rows_per_unit, file.rows - start)
            identity = f"{file.uri}\0{file.etag}\0{start}\0{rows}\0{scores_depend_on}"
            digest = hashlib.sha256(identity.encode()).hexdigest()[:24]
            units.append(Unit(digest, file.uri, file.etag, start, rows))
    return tuple(units)


def is_unchanged(partition: Partition, store: ObjectStore) -> bool:
    """Whether a fresh listing shows exactly the planned files in the planned versions.

    A table may go on meanwhile: what counts is that the planned snapshot's files are there as they were.
    """
    try:
        found = listed(partition, store)
    except NotFound:
        return False
    return {(info.uri, info.etag) for info in found} == {(file.uri, file.etag) for file in partition.files}


def listed(partition: Partition, store: ObjectStore) -> list[ObjectInfo]:
    """The partition's data files as they are now. Raises NotFound if its one file, or one of a table's, is gone."""
    if is_table(partition.place):
        return _heads([file.uri for file in partition.files], store)
    if partition.place.endswith(".parquet"):
        return [store.head(partition.place)]
    return _data_below(partition.place, store)


@contextlib.contextmanager
def reading(uri: str) -> Iterator[None]:
    """Turns whatever pyarrow raises on hostile bytes into an InputError that names the file.

    A read that the system itself refused, as a file server's may be, says nothing of the bytes: StoreUnreachable.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        text = " ".join(str(error).split())[:300] or type(error).__name__
        if isinstance(error, OSError) and error.errno not in OF_THE_BYTES:
            raise StoreUnreachable(
                f"{uri} could not be read: {text}. Nothing was published; finished units are kept. Start the run again."
            ) from None
        raise InputError(
            f"{uri} is not readable as Parquet: {text}"
            " Nothing was published. Write the file again, or take it out of the partition."
        ) from None


def _of_table(listings: str, key: str | None, store: ObjectStore) -> Partition | None:
    found = table_files(listings, key)
    if found is None:
        return None
    try:
        infos = _heads([canonical(uri) for uri in found.uris], store)
    except NotFound as error:
        raise InputError(f"{found.place} names a file that is gone: {error} Nothing was read.") from None
    partition = _opened(key or "", found.base, found.place, infos, store)
    for file, schema in zip(partition.files, partition.schemas, strict=True):
        found.insist_on_names(file.uri, schema)
    return partition


def _heads(uris: list[str], store: ObjectStore) -> list[ObjectInfo]:
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        return list(pool.map(store.head, uris))


def _data_below(root: str, store: ObjectStore) -> list[ObjectInfo]:
    """What Spark, Hive and Arrow take for data too: what a writer has not finished, and a table's log, is hidden."""
    found = store.list_all(root)
    return [info for info in found if info.uri.endswith(".parquet") and not is_hidden(info.uri.removeprefix(root))]


def is_hidden(below: str) -> bool:
    """Whether a file is nobody's data, by its place below what was listed; `_key=value` is a partition's step."""
    *folders, name = below.strip("/").split("/")
    return name.startswith(("_", ".")) or any(step.startswith(("_", ".")) and "=" not in step for step in folders)


def _key_below(root: str, uri: str) -> str:
    steps = uri.removeprefix(root).strip("/").split("/")[:-1]
    return "/".join(step for step in steps if "=" in step)


def _own_key(place: str) -> str:
    """The Hive steps at the end of a place that is itself a partition."""
    steps: list[str] = []
    for step in reversed(place.split("/")):
        if "=" not in step:
            break
        steps.insert(0, step)
    return "/".join(steps)


def _insist_on_one(listings: str, inner: set[str]) -> None:
    if inner - {""}:
        some = ", ".join(sorted(inner)[:3]) + (", ..." if len(inner) > 3 else "")
        raise InputError(f"{listings} holds {len(inner)} partitions: {some}. Say which one with --partition.")


def _insist_on_steps(key: str | None) -> None:
    """A key becomes part of paths, of the input and of the output: nothing in it may lead up or out."""
    for step in key.split("/") if key else ():
        name, equals, value = step.partition("=")
        if not (name and equals) or ".." in (name, value) or not step.isprintable() or "\\" in step:
            raise InputError(
                f"{key!r} is no partition key; expected Hive steps, for instance ds=2026-11-24. Nothing was read."
            )


def _opened(key: str, base: str, place: str, found: list[ObjectInfo], store: ObjectStore) -> Partition:
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        footers = list(pool.map(lambda info: _footer(info, store), found))
    return Partition(key, base, place, tuple(file for file, _ in footers), tuple(schema for _, schema in footers))


def _footer(info: ObjectInfo, store: ObjectStore) -> tuple[InputFile, pa.Schema]:
    with reading(info.uri), store.open(info.uri, info.etag) as handle:
        parquet = pq.ParquetFile(handle)
        groups = range(parquet.metadata.num_row_groups)
        rows = tuple(parquet.metadata.row_group(group).num_rows for group in groups)
        schema = parquet.schema_arrow
        _ = schema.names  # a name that is no UTF-8 text is refused here, where the file can be named
        return InputFile(info.uri, info.etag, info.size, rows), schema
