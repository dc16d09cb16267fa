"""The columns of predictions as those of a table: made from the contract, widened when a bundle has more outputs.

A table that somebody made beforehand is taken as it is, if its columns and its partitioning fit.
"""

import re
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from scorer.contracts import built_in
from scorer.errors import SettingsError, StoreUnreachable
from scorer.tables import TableName, asked, catalog, load, made

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.types import IcebergType

FIELD_ID = b"PARQUET:field_id"
"""Key in a field's metadata that Arrow writes into Parquet as the column's id: by ids Iceberg knows its columns."""

DAY = re.compile(r"\d{4}-\d\d-\d\d")

TRIES = 10
"""Times that columns are added anew when somebody else changed the table meanwhile."""

PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    # Every commit writes a metadata file of its own: those of more than 100 commits ago go by themselves.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
}
"""Of a table that is made here; one that is there keeps its own."""


def fitted(name: TableName, schema: pa.Schema, partition: str) -> "Table":
    """The table, made or widened if need be. New columns are optional: rows that are there read null in them.

    Args:
        name: which table.
        schema: the columns of the predictions.
        partition: Hive steps; their keys are columns of the table, and what it is partitioned by.

    Raises:
        SettingsError: a column or the partitioning does not fit, or the table cannot be made.
        StoreUnreachable: the catalog does not answer, or others change the columns all the time.
    """
    _insist_on_keys_apart(schema, partition)
    catalog(name.catalog)  # says what to install where pyiceberg is not there
    from pyiceberg.exceptions import CommitFailedException

    for _ in range(TRIES):
        table = _opened(name, schema, partition)
        missing = _missing(name, table.schema(), schema)
        _insist_on_partitioning(name, table, partition)
        if not missing:
            return table
        with asked(f"The table {name}"):
            try:
                with table.update_schema() as update:
                    for field in missing:
                        update.add_column(field.name, _iceberg_type(field.type))
            except CommitFailedException:
                continue  # somebody else was faster, perhaps with these very columns
    raise StoreUnreachable(f"The columns of {name} change all the time. Nothing was published. Start again.")


def file_schema(table: "Table", schema: pa.Schema, partition: str) -> pa.Schema:
    """The columns of a data file: those of the predictions, then the partition's keys, with the table's ids."""
    of = table.schema()
    keys = [pa.field(key, _arrow_type(of.find_type(key))) for key in keys_of(partition)]
    return pa.schema([_with_id(field, of) for field in (*schema, *keys)])


def key_values(table: "Table", partition: str) -> dict[str, date | int | str]:
    """The partition's keys, as values of their columns."""
    from pyiceberg.types import DateType, IntegerType, LongType

    found: dict[str, date | int | str] = {}
    for key, text in keys_of(partition).items():
        kind = table.schema().find_type(key)
        try:
            if isinstance(kind, DateType):
                found[key] = date.fromisoformat(text)
            else:
                found[key] = int(text) if isinstance(kind, (IntegerType, LongType)) else text
        except ValueError:
            raise SettingsError(
                f"Partition {partition}: {text!r} is no {kind}, which column {key} of the table is. Nothing was"
                " published there."
            ) from None
    return found


def keys_of(partition: str) -> dict[str, str]:
    """`region=eu/ds=2026-11-24` as key and value."""
    steps = (step.partition("=") for step in partition.split("/") if step)
    return {key: value for key, _, value in steps}


def _opened(name: TableName, schema: pa.Schema, partition: str) -> "Table":
    from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError

    try:
        return load(name)
    except NoSuchTableError:
        pass
    found = catalog(name.catalog)

    def created() -> "Table":
        # Between a look and what follows, another process may have made the very same.
        try:
            if not found.namespace_exists(name.identifier[:-1]):
                found.create_namespace(name.identifier[:-1])
        except NamespaceAlreadyExistsError:
            pass
        try:
            return _created(name, schema, partition)
        except TableAlreadyExistsError:
            return load(name)

    with asked(f"The table {name}"):
        return made(created)


def _created(name: TableName, schema: pa.Schema, partition: str) -> "Table":
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table.sorting import SortField, SortOrder
    from pyiceberg.transforms import IdentityTransform
    from pyiceberg.types import DateType, NestedField, StringType

    keys = keys_of(partition)
    kinds = [(field.name, _iceberg_type(field.type), not field.nullable) for field in schema]
    kinds += [(key, DateType() if DAY.fullmatch(value) else StringType(), False) for key, value in keys.items()]
    fields = [NestedField(number, key, kind, required=must) for number, (key, kind, must) in enumerate(kinds, 1)]
    ids = {field.name: field.field_id for field in fields}
    by_key = [PartitionField(ids[key], 1000 + n, IdentityTransform(), key) for n, key in enumerate(keys)]
    return catalog(name.catalog).create_table(
        name.identifier,
        Schema(*fields),
        partition_spec=PartitionSpec(*by_key),
        # For whoever compacts the table. Our files are in input order, and say of themselves that they are not sorted.
        sort_order=SortOrder(SortField(ids["listing_id"], IdentityTransform())),
        properties={**PROPERTIES, "scorer.contract": f"predictions {built_in('predictions').version}"},
    )


def _missing(name: TableName, there: "Schema", schema: pa.Schema) -> list[pa.Field]:
    """The columns that the table lacks. Raises SettingsError where one that it has does not fit."""
    known = {field.name: field for field in there.fields}
    for field in schema:
        found = known.get(field.name)
        if found is not None and not _takes(found.field_type, field.type):
            raise _misfit(name, f"column {field.name} is {found.field_type}, the predictions' is {field.type}")
        if found is not None and found.required and field.nullable:
            raise _misfit(name, f"column {field.name} is required, the predictions' may be null")
    for found in there.fields:
        if found.required and found.name not in schema.names:
            raise _misfit(name, f"column {found.name} is required, and predictions have none of that name")
    return [field for field in schema if field.name not in known]


def _insist_on_partitioning(name: TableName, table: "Table", partition: str) -> None:
    there, wanted = _identity_keys(table.spec(), table.schema()), sorted(keys_of(partition))
    if there != wanted:
        by = ", ".join(wanted) or "nothing"
        there_by = ", ".join(f"{field.transform} of {field.name}" for field in table.spec().fields) or "nothing"
        raise _misfit(name, f"it is partitioned by {there_by}; partition {partition!r} needs {by}, as it is")


def _identity_keys(spec: "PartitionSpec", schema: "Schema") -> list[str] | None:
    """The columns that a table is partitioned by as they are, sorted; None if by something else."""
    from pyiceberg.transforms import IdentityTransform

    if not all(isinstance(field.transform, IdentityTransform) for field in spec.fields):
        return None
    return sorted(str(schema.find_column_name(field.source_id)) for field in spec.fields)


def _insist_on_keys_apart(schema: pa.Schema, partition: str) -> None:
    if both := sorted(set(keys_of(partition)) & set(schema.names)):
        raise SettingsError(
            f"Partition {partition}: {', '.join(both)} is also a column of the predictions, and a table has one column"
            " of a name. Nothing was scored. Name the partition's key differently."
        )


def _misfit(name: TableName, what: str) -> SettingsError:
    return SettingsError(
        f"The table {name} does not fit: {what}. Nothing was published there. Alter the table, or name another: one"
        " that is not there is made."
    )


def _iceberg_type(kind: pa.DataType) -> "IcebergType":
    from pyiceberg import types

    plain: dict[pa.DataType, IcebergType] = {
        pa.string(): types.StringType(),
        pa.float64(): types.DoubleType(),
        pa.int32(): types.IntegerType(),
        pa.int64(): types.LongType(),
        pa.bool_(): types.BooleanType(),
        pa.timestamp("us", tz="UTC"): types.TimestamptzType(),
    }
    if pa.types.is_list(kind):
        # The id is the table's to give; this one only has to differ from the others.
        return types.ListType(element_id=10_000, element=plain[kind.value_type], element_required=False)
    return plain[kind]


def _takes(there: "IcebergType", kind: pa.DataType) -> bool:
    from pyiceberg.types import ListType

    wanted = _iceberg_type(kind)
    if isinstance(there, ListType) and isinstance(wanted, ListType):
        return there.element_type == wanted.element_type and not there.element_required
    return there == wanted


def _arrow_type(kind: "IcebergType") -> pa.DataType:
    """Of a partition's key. Raises SettingsError for what no Hive step can spell."""
    from pyiceberg import types

    plain: dict[type[Any], pa.DataType] = {
        types.StringType: pa.string(),
        types.DateType: pa.date32(),
        types.IntegerType: pa.int32(),
        types.LongType: pa.int64(),
    }
    if type(kind) not in plain:
        raise SettingsError(f"A table is partitioned by a column of type {kind}. Supported: string, date, int, long.")
    return plain[type(kind)]


def _with_id(field: pa.Field, of: "Schema") -> pa.Field:
    from pyiceberg.types import ListType

    found, kind = of.find_field(field.name), field.type
    if isinstance(found.field_type, ListType):
        element = str(found.field_type.element_id)
        kind = pa.list_(kind.value_field.with_metadata({FIELD_ID: element.encode()}))
    return field.with_type(kind).with_metadata({FIELD_ID: str(found.field_id).encode()})
