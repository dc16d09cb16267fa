"""Predictions in an Iceberg table: staged in the state as Parquet that knows the table's columns, shown by one commit.

The record stays what publishes; see docs/decisions/tables.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date

import pyarrow as pa

from scorer.errors import SettingsError
from scorer.objectstore import ObjectStore, join, parse
from scorer.output.manifest import OutputFile
from scorer.output.predictions import widened
from scorer.output.sinks import parquet
from scorer.output.tables.layout import file_schema, fitted, key_values
from scorer.tables import TableName


class IcebergSink:
    """One table, for all partitions."""

    def __init__(self, spelled: str) -> None:
        """`spelled` is iceberg:CATALOG.NAMESPACE.TABLE."""
        self._spelled, self._name = spelled, TableName.parse(spelled)

    def ready(self, schema: pa.Schema, partition: str) -> None:
        """Makes the table, or adds the columns that it lacks. See Sink."""
        fitted(self._name, schema, partition)

    def stage(
        self, tables: Iterable[pa.Table], destination: parquet.Destination, store: ObjectStore
    ) -> tuple[OutputFile, ...]:
        """See Sink. The files carry the partition's keys as columns, and the ids that the table gave its columns."""
        partition = destination.partition
        table = fitted(self._name, destination.schema, partition)
        _insist_on_one_store(destination.staged, table.location())
        keys = key_values(table, partition)
        of_table = replace(
            destination,
            schema=file_schema(table, destination.schema, partition),
            listed=join(self._spelled, *([partition] if partition else [])),
        )
        return parquet.stage(_with_keys(tables, destination.schema, of_table.schema, keys), of_table, store)


def _insist_on_one_store(state: str, table: str) -> None:
    if (parse(state).bucket is None) != (parse(table).bucket is None):
        raise SettingsError(
            f"The state and the table must both be in S3, or both be local: {state} and {table}. Nothing was published."
        )


def _with_keys(
    tables: Iterable[pa.Table], columns: pa.Schema, schema: pa.Schema, keys: Mapping[str, date | int | str]
) -> Iterator[pa.Table]:
    for table in tables:
        whole = widened(table.replace_schema_metadata(None), columns)
        for key, value in keys.items():
            constant = pa.scalar(value, schema.field(key).type)
            whole = whole.append_column(schema.field(key), pa.repeat(constant, table.num_rows))
        yield whole
