"""Predictions and quarantine as Parquet objects: staged in the state, then copied to where readers list them."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.objectstore import ObjectStore, join
from scorer.output.manifest import OutputFile
from scorer.output.predictions import widened

ROWS_PER_GROUP = 131_072
"""Rows per row group: some 10 MB here, enough for a scan and small enough to be skipped by statistics."""


@dataclass(frozen=True)
class Destination:
    """Where one kind of output goes: the staging folder, the folder that readers list, columns, lineage, partition."""

    staged: str
    listed: str
    schema: pa.Schema
    lineage: dict[str, str]
    rows_per_file: int
    partition: str = ""


class ParquetSink:
    """Files in a folder a partition. Shown with those of the quarantine; see exposure.py."""

    def ready(self, schema: pa.Schema, partition: str) -> None:
        """See Sink. Any columns fit."""

    def stage(self, tables: Iterable[pa.Table], destination: Destination, store: ObjectStore) -> tuple[OutputFile, ...]:
        """See Sink."""
        return stage(tables, destination, store)


def stage(tables: Iterable[pa.Table], destination: Destination, store: ObjectStore) -> tuple[OutputFile, ...]:
    """Write the tables, in their order, as part-00000.parquet and so on. Always at least one file, if need be empty.

    Memory is one row group; the file is built on the local disk (TMPDIR) and sent as a whole.
    """
    with tempfile.TemporaryDirectory(prefix="scorer-") as folder:
        return tuple(
            _send(_write(part, Path(folder), destination), f"part-{number:05}.parquet", destination, store)
            for number, part in enumerate(_parts(tables, destination))
        )


def _parts(tables: Iterable[pa.Table], destination: Destination) -> Iterator[Iterator[pa.Table]]:
    """Row groups, file by file. Each inner iterator must be used up before the next is taken."""
    groups = _groups(tables, destination.schema)
    first = next(groups, destination.schema.empty_table())
    per_file = max(1, destination.rows_per_file // ROWS_PER_GROUP)
    while first is not None:
        yield _chain(first, groups, per_file - 1)
        first = next(groups, None)


def _chain(first: pa.Table, groups: Iterator[pa.Table], more: int) -> Iterator[pa.Table]:
    yield first
    for _ in range(more):
        group = next(groups, None)
        if group is None:
            return
        yield group


def _groups(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        # An earlier version staged its units without the columns that came later.
        held.append(widened(table.replace_schema_metadata(None), schema))
        rows += table.num_rows
        while rows >= ROWS_PER_GROUP:
            joined = pa.concat_tables(held)
            yield joined.slice(0, ROWS_PER_GROUP)
            held, rows = [joined.slice(ROWS_PER_GROUP)], rows - ROWS_PER_GROUP
    if rows:
        yield pa.concat_tables(held)


def _write(groups: Iterator[pa.Table], folder: Path, destination: Destination) -> tuple[Path, int]:
    path, rows = folder / "part.parquet", 0
    schema = destination.schema.with_metadata(destination.lineage)
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_index=True, write_page_checksum=True) as writer:
        for group in groups:
            writer.write_table(group.replace_schema_metadata(destination.lineage), row_group_size=ROWS_PER_GROUP)
            rows += group.num_rows
    return path, rows


def _send(written: tuple[Path, int], name: str, destination: Destination, store: ObjectStore) -> OutputFile:
    path, rows = written
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    uri = join(destination.staged, name)
    size = store.put_file(uri, path).size
    return OutputFile(uri=uri, listed=join(destination.listed, name), rows=rows, bytes=size, sha256=digest)
