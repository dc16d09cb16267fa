"""Which data files of an Iceberg table hold a partition, as of one snapshot.

The files are read as any Parquet is, by the job's own store. So what only a table's reader could make right is refused
by name: rows that delete files take out, columns that a file calls something else, files of more than one partition.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from scorer.errors import InputError
from scorer.objectstore import parse
from scorer.tables import SCHEME, TableName, asked, catalog, load

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask, Table
    from pyiceberg.table.name_mapping import NameMapping
    from pyiceberg.table.snapshots import Snapshot

FIELD_ID = b"PARQUET:field_id"


@dataclass(frozen=True)
class TableFiles:
    """The data files of one partition.

    Attributes:
        place: the table with the snapshot, as it would be spelled to read the same again.
        base: where the table lies.
        uris: of the data files, sorted.
    """

    place: str
    base: str
    uris: tuple[str, ...]
    schema: "Schema"
    mapping: "NameMapping | None"

    def insist_on_names(self, uri: str, columns: pa.Schema) -> None:
        """Raises InputError if a file means something else by a name than the table does."""
        ids = {field.name: field.field_id for field in self.schema.fields}
        known = {name: entry.field_id for entry in self.mapping or () for name in entry.names}
        for column in columns:
            text = (column.metadata or {}).get(FIELD_ID)
            found = int(text) if text is not None else known.get(column.name)
            named = next((name for name, number in ids.items() if number == found), None)
            if found is None and column.name in ids:
                raise self._refused(uri, f"its column {column.name} has no id, and the table no mapping of names")
            if named not in (None, column.name):
                raise self._refused(uri, f"its column {column.name} is the table's {named}")
            if column.name in ids and found != ids[column.name]:
                raise self._refused(uri, f"its column {column.name} is not the table's of that name, which came later")

    def _refused(self, uri: str, why: str) -> InputError:
        return InputError(
            f"{uri} of {self.place}: {why}. Only a reader of tables would get that right. Nothing was scored."
            " Let your engine rewrite the table's data files, then start again."
        )


def table_files(listings: str, key: str | None) -> TableFiles | None:
    """The files of a partition.

    Args:
        listings: iceberg:CATALOG.NAMESPACE.TABLE, with @SNAPSHOT where an earlier one is meant.
        key: Hive steps, whose keys are columns of the table; None: the table is one partition.

    Returns:
        None if no file holds a row of it.

    Raises:
        InputError: there is no such table or snapshot, or its files cannot be read as they are.
    """
    name, table, snapshot = _opened(listings)
    if snapshot is None:
        return None
    schema = _schema(table, name, snapshot)
    tasks = _tasks(table, name, _filter(schema, key or "", listings))
    if not key:
        _insist_on_one(listings, {_key(table, task.file) for task in tasks})
    for task in tasks:
        _insist_on_whole(task, listings, _is_local(table.location()))
    place = f"{SCHEME}{name.catalog}.{'.'.join(name.identifier)}@{snapshot.snapshot_id}"
    uris = tuple(sorted(_plain(task.file.file_path) for task in tasks))
    return TableFiles(place, _plain(table.location()), uris, schema, table.name_mapping()) if uris else None


def table_keys(listings: str) -> list[str]:
    """Every partition of a table, sorted. [''] where it is one partition. Raises as `table_files`."""
    name, table, snapshot = _opened(listings)
    if snapshot is None:
        return []
    return sorted({_key(table, task.file) for task in _tasks(table, name, None)})


def _opened(listings: str) -> tuple[TableName, "Table", "Snapshot | None"]:
    name = TableName.parse(listings)
    catalog(name.catalog)  # says what to install where pyiceberg is not there
    from pyiceberg.exceptions import NoSuchTableError

    try:
        table = load(name)
    except NoSuchTableError:
        raise InputError(f"There is no table {name}. Nothing was read.") from None
    if name.snapshot is None:
        return name, table, table.current_snapshot()
    found = table.snapshot_by_id(name.snapshot)
    if found is None:
        newest = ", ".join(str(one.snapshot_id) for one in table.snapshots()[-3:]) or "none"
        raise InputError(
            f"The table {name} has no snapshot {name.snapshot}: it never had, or the snapshot was expired. The newest:"
            f" {newest}. Nothing was read."
        )
    return name, table, found


def _schema(table: "Table", name: TableName, snapshot: "Snapshot") -> "Schema":
    """The columns as they are; of a snapshot that is named, as they were."""
    known = table.schemas()
    if name.snapshot is not None and snapshot.schema_id in known:
        return known[snapshot.schema_id]
    return table.schema()


def _tasks(table: "Table", name: TableName, of: "BooleanExpression | None") -> list["FileScanTask"]:
    from pyiceberg.expressions import AlwaysTrue

    with asked(f"The table {name}"):
        try:
            return list(table.scan(row_filter=of or AlwaysTrue(), snapshot_id=name.snapshot).plan_files())
        except ValueError as error:  # what pyiceberg does not read, equality deletes among it
            raise InputError(f"The table {name} cannot be read: {error}. Nothing was scored.") from None


def _filter(schema: "Schema", key: str, listings: str) -> "BooleanExpression":
    from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, EqualTo
    from pyiceberg.types import DateType, IntegerType, LongType, StringType

    equal: Any = EqualTo  # its types are those of a model
    found: BooleanExpression = AlwaysTrue()
    for step in key.split("/") if key else ():
        name, _, text = step.partition("=")
        kind = next((field.field_type for field in schema.fields if field.name == name), None)
        if not isinstance(kind, (DateType, IntegerType, LongType, StringType)):
            what = f"is {kind}; expected text, a date or a whole number" if kind else "is no column of it"
            raise InputError(f"{listings} has no partition {key}: {name} {what}. Nothing was read.")
        try:
            value = text if isinstance(kind, (DateType, StringType)) else int(text)
            if isinstance(kind, DateType):
                date.fromisoformat(text)
        except ValueError:
            raise InputError(f"{listings} has no partition {key}: {text!r} is no {kind}. Nothing was read.") from None
        found = And(found, equal(name, value))
    return found


def _insist_on_whole(task: "FileScanTask", listings: str, local: bool) -> None:
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.manifest import FileFormat

    uri, why = task.file.file_path, None
    if task.delete_files:
        some = ", ".join(sorted(file.file_path for file in task.delete_files)[:3])
        why = f"rows of it are deleted by {some}"
    elif _is_local(uri) and not local:
        # Whoever may commit to a table in S3 may not thereby have files of this machine read.
        why = "it is a file of this machine, and the table lies in S3"
    elif task.file.file_format != FileFormat.PARQUET:
        why = f"it is {task.file.file_format}, not Parquet"
    elif not isinstance(task.residual, AlwaysTrue):
        why = "it may hold rows of other partitions, too: the table is not partitioned by these keys as they are"
    if why:
        raise InputError(
            f"{uri} of {listings}: {why}. Nothing was scored. Let your engine rewrite the table's data files, by the"
            " partition's keys, then start again."
        )


def _insist_on_one(listings: str, keys: Iterable[str]) -> None:
    inner = sorted(set(keys) - {""})
    if inner:
        some = ", ".join(inner[:3]) + (", ..." if len(inner) > 3 else "")
        raise InputError(f"{listings} holds {len(inner)} partitions: {some}. Say which one with --partition.")


def _key(table: "Table", file: "DataFile") -> str:
    """`ds=2026-11-24`; the Hive steps by which a file's rows can be asked for."""
    from pyiceberg.transforms import IdentityTransform

    schema, steps = table.schema(), []
    for position, field in enumerate(table.specs()[file.spec_id].fields):
        if isinstance(field.transform, IdentityTransform):
            kind = schema.find_type(field.source_id)
            text = field.transform.to_human_string(kind, file.partition[position])
            steps.append(f"{schema.find_column_name(field.source_id)}={text}")
    return "/".join(steps)


def _is_local(uri: str) -> bool:
    return parse(_plain(uri)).bucket is None


def _plain(uri: str) -> str:
    """As the store spells it: Hadoop's names for S3 and for local files mean the same objects."""
    for theirs, ours in (("s3a://", "s3://"), ("s3n://", "s3://")):
        if uri.startswith(theirs):
            return ours + uri.removeprefix(theirs)
    return uri.removeprefix("file:") if uri.startswith("file:/") and not uri.startswith("file://") else uri
