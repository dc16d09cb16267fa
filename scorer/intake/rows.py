"""Parquet to batches of rows: only the columns that are needed, one work unit at a time."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer.errors import ContractError, InputError
from scorer.intake.partitions import Partition, Unit, reading
from scorer.objectstore import ObjectStore

ID = "listing_id"
IMAGES = "image_uris"

ROWS_AT_ONCE = 4096
"""Rows that pyarrow decodes at a time. Bounds the memory even where a file is one giant row group."""

IntArray = np.ndarray[Any, np.dtype[np.int32]]

Located = tuple[int, pa.RecordBatch]
"""First row within the file, and the rows."""


def read_units(
    units: Iterable[Unit], columns: Sequence[str], store: ObjectStore
) -> Iterator[tuple[Unit, pa.RecordBatch]]:
    """The rows of each unit, in the order of the units; a unit is asked for when the one before it was taken.

    Units that ascend within a file are read in one pass over it; any other order opens it anew.

    Raises:
        InputError: a file breaks off or does not decode.
        InputChanged: a file is not the planned version any more.
    """
    with ExitStack() as handle:
        reader: _Reader | None = None
        for unit in units:
            with reading(unit.file):
                if reader is None or not reader.reaches(unit):
                    handle.close()
                    opened = handle.enter_context(store.open(unit.file, unit.etag))
                    reader = _Reader(_parquet(opened), unit, columns)
                rows = reader.read(unit)
            yield unit, rows


def read_table(partition: Partition, store: ObjectStore, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of a partition in memory, for training. Partition keys are not among the columns."""
    tables = []
    for file in partition.files:
        with reading(file.uri), store.open(file.uri, file.etag) as handle:
            tables.append(_parquet(handle).read(columns=None if columns is None else list(columns)))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise ContractError(f"The files of {partition} do not agree on their columns: {error}.") from None


def scan(partition: Partition, columns: Sequence[str], store: ObjectStore) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """Every row of a partition once, as (file, first row within the file, batch)."""
    for file in partition.files:
        at = 0
        with reading(file.uri), store.open(file.uri, file.etag) as handle:
            for batch in _parquet(handle).iter_batches(ROWS_AT_ONCE, columns=list(columns)):
                batch.validate(full=True)
                yield file.uri, at, batch
                at += batch.num_rows


def _parquet(handle: BinaryIO) -> pq.ParquetFile:
    """Pages that carry a checksum are held to it."""
    return pq.ParquetFile(handle, page_checksum_verification=True)


class _Reader:
    """Goes forwards through one file. Row groups that no unit touches are not read."""

    def __init__(self, parquet: pq.ParquetFile, first: Unit, columns: Sequence[str]) -> None:
        """`first` is a unit of the file."""
        self._parquet, self._columns = parquet, list(columns)
        self._file = (first.file, first.etag)
        rows = [parquet.metadata.row_group(group).num_rows for group in range(parquet.metadata.num_row_groups)]
        self._starts = [0, *itertools.accumulate(rows)]
        self._next_group = 0
        self._batches: Iterator[Located] = iter(())
        self._last: Located | None = None

    def reaches(self, unit: Unit) -> bool:
        """Whether the unit lies in this file and not before what was read last."""
        return (unit.file, unit.etag) == self._file and (self._last is None or unit.start >= self._last[0])

    def read(self, unit: Unit) -> pa.RecordBatch:
        """The rows of a unit. Raises InputError."""
        held: list[pa.RecordBatch] = []
        for start, batch in self._from(unit.start):
            first, stop = max(unit.start - start, 0), min(unit.stop - start, batch.num_rows)
            held.append(batch.slice(first, max(stop - first, 0)))
            if unit.stop <= start + batch.num_rows:
                break
        if sum(batch.num_rows for batch in held) != unit.rows:
            raise InputError(
                f"{unit.file} ends before row {unit.stop:,}, which its footer promises. Nothing was published."
            )
        return pa.concat_batches(held) if len(held) > 1 else held[0]

    def _from(self, row: int) -> Iterator[Located]:
        """The batches from the one that holds a row on; the last one taken stays, for the unit that follows."""
        while True:
            if self._last is not None and row < self._last[0] + self._last[1].num_rows:
                yield self._last
                row = self._last[0] + self._last[1].num_rows
            following = self._following(row)
            if following is None:
                return
            self._last = following

    def _following(self, row: int) -> Located | None:
        """The next batch; whole row groups before `row` are passed over."""
        while True:
            if row < self._starts[self._next_group] and (batch := next(self._batches, None)) is not None:
                return batch
            while self._next_group + 1 < len(self._starts) and self._starts[self._next_group + 1] <= row:
                self._next_group += 1
            if self._next_group + 1 == len(self._starts):
                return None
            self._batches = self._group(self._next_group)
            self._next_group += 1

    def _group(self, group: int) -> Iterator[Located]:
        start = self._starts[group]
        for batch in self._parquet.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=self._columns):
            batch.validate(full=True)  # text that is no UTF-8, indices beyond a dictionary: the file is damaged
            yield start, batch
            start += batch.num_rows


@dataclass(frozen=True)
class ImageTable:
    """The images of some rows: each distinct URI once.

    Attributes:
        uris: the distinct URIs as written, in order of appearance.
        index: int32 [rows, K], position in `uris` of each row's images in order, -1 where a row has fewer; K >= 1.
        given: int32 [rows], images that each row names, also those beyond K.
    """

    uris: list[str]
    index: IntArray
    given: IntArray


def image_table(column: pa.Array, max_images: int) -> ImageTable:
    """The first `max_images` images of each row of a list<string> or string column; empty entries do not count."""
    row, text = _flattened(column)
    filled = pc.and_kleene(pc.is_valid(text), pc.binary_length(text).cast(pa.bool_()))
    row, text = row[_numbers(filled.cast(pa.uint8())).astype(bool)], text.filter(filled)
    given = np.bincount(row, minlength=len(column)).astype(np.int32)
    position = np.arange(len(row)) - np.repeat(np.cumsum(given) - given, given)
    within = position < max_images
    encoded = text.filter(mask(within)).dictionary_encode()
    width = max(1, int(np.minimum(given, max_images).max(initial=0)))
    index = np.full((len(column), width), -1, np.int32)
    index[row[within], position[within]] = _numbers(encoded.indices)
    return ImageTable(encoded.dictionary.to_pylist(), index, given)


def _numbers(column: pa.Array) -> np.ndarray[Any, np.dtype[Any]]:
    """Numbers without nulls, not copied. `to_numpy` would import pandas."""
    return np.from_dlpack(column)


def mask(flags: np.ndarray[Any, np.dtype[np.bool_]]) -> pa.BooleanArray:
    """Booleans of numpy as Arrow's. `pa.array` would import pandas to ask whether this is a Series: a second more."""
    bits = pa.py_buffer(np.packbits(flags, bitorder="little").tobytes())
    return pa.BooleanArray.from_buffers(pa.bool_(), len(flags), [None, bits])


def image_lists(column: pa.Array | pa.ChunkedArray) -> list[list[str]]:
    """The image URIs of each row as lists, empty entries left out."""
    check_image_column(column.type)
    values = column.to_pylist()
    return [[text for text in ([row] if isinstance(row, str) else row or ()) if text] for row in values]


def check_image_column(kind: pa.DataType) -> None:
    """Raises ContractError unless the column holds lists of strings, or strings."""
    inner = kind.value_type if _is_list(kind) else kind
    if pa.types.is_dictionary(inner):
        inner = inner.value_type
    if not (is_string(inner) or pa.types.is_null(inner)):
        raise ContractError(
            f"Column {IMAGES!r} is {kind}; expected list<string>, or string where a listing has one image."
            " Nothing was scored."
        )


def is_string(kind: pa.DataType) -> bool:
    """Whether Arrow holds these values as text of any width."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _flattened(column: pa.Array) -> tuple[np.ndarray[Any, np.dtype[np.int64]], pa.Array]:
    """Row number and text of every entry."""
    check_image_column(column.type)
    if not _is_list(column.type):
        return np.arange(len(column)), pc.cast(column, pa.string())
    row = _numbers(pc.list_parent_indices(column)).astype(np.int64)
    return row, pc.cast(pc.list_flatten(column), pa.string())


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
