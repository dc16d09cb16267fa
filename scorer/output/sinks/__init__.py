"""One file per sink: stage what units wrote, then show it to readers."""

from collections.abc import Iterable
from typing import Protocol

import pyarrow as pa

from scorer.objectstore import ObjectStore
from scorer.output.manifest import OutputFile
from scorer.output.sinks.iceberg import IcebergSink
from scorer.output.sinks.parquet import Destination, ParquetSink, stage
from scorer.tables import is_table

__all__ = ["Destination", "Sink", "sink", "stage"]


class Sink(Protocol):
    """Where predictions go. Whatever a sink stages is audited before any reader can see it."""

    def ready(self, schema: pa.Schema, partition: str) -> None:
        """Before anything is scored: can these columns go there? Readers notice nothing.

        Raises:
            SettingsError: no, and why.
        """

    def stage(self, tables: Iterable[pa.Table], destination: Destination, store: ObjectStore) -> tuple[OutputFile, ...]:
        """Write the tables in their order; at least one file."""


def sink(spelled: str) -> Sink:
    """The sink that a setting names: `parquet`, or a table. Raises SettingsError."""
    return IcebergSink(spelled) if is_table(spelled) else ParquetSink()
