"""One file of the store: rows as they came, in blocks that are used where they lie, each row with its own checksum.

What a run wrote together, the next one asks for together. So rows are not sorted by key, which would scatter those of a
partition over the whole file: a look-up touches the pages of its rows, and those lie side by side.

Arrow IPC, uncompressed, memory-mapped. A file cannot be read whole to be checked (5 GB for ten million embeddings), so
each row carries a checksum over key and values, and a row that is used is checked then. A torn, foreign or damaged file
thus costs time and never a score.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.errors import InputError

FORMAT = "scorer.embeddings.1"

ROWS_PER_BLOCK = 262_144

Halves = npt.NDArray[np.uint64]
"""[n], one half of n keys."""

Values = npt.NDArray[Any]
"""[n, D] of float32 or float16."""


@dataclass(frozen=True)
class Block:
    """Embeddings in the order in which they were kept.

    Attributes:
        high: uint64 [n].
        low: uint64 [n].
        check: uint64 [n], over key and values.
        used: uint32 [n], the last day, since 1970, on which somebody is known to have asked for it.
        values: [n, D].
        file: that these lie in; None: they are in memory.
        offset: of the values, in bytes from the file's beginning.
    """

    high: Halves
    low: Halves
    check: Halves
    used: npt.NDArray[np.uint32]
    values: Values
    file: Path | None = None
    offset: int = 0

    def __len__(self) -> int:
        return len(self.high)

    def take(self, rows: npt.NDArray[np.intp]) -> "Block":
        """Some rows, copied."""
        return Block(self.high[rows], self.low[rows], self.check[rows], self.used[rows], self.values[rows])

    def sound(self) -> npt.NDArray[np.bool_]:
        """Whether each row is as it was written."""
        return np.asarray(self.check == checksums(self.high, self.low, self.values))


def made(high: Halves, low: Halves, values: Values, used: npt.NDArray[np.uint32]) -> Block:
    """Rows with their checksums."""
    return Block(high, low, checksums(high, low, values), used, values)


def checksums(high: Halves, low: Halves, values: Values) -> Halves:
    """A sum of 64-bit words times odd numbers, modulo 2^64: no flipped bit and no row under another's key goes unseen.

    Some 2 GB/s, with numpy alone.
    """
    words = _words(values)
    factors = _factors(words.shape[1] + 2)
    with np.errstate(over="ignore"):
        found = np.einsum("ij,j->i", words, factors[2:]) + high * factors[0] + low * factors[1]
    return np.asarray(found ^ (found >> np.uint64(29)), np.uint64)


def _words(values: Values) -> npt.NDArray[np.uint64]:
    data = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.shape[1] * values.itemsize)
    short = -data.shape[1] % 8
    if short:
        data = np.pad(data, ((0, 0), (0, short)))
    return data.view(np.uint64)


@lru_cache(maxsize=8)
def _factors(number: int) -> npt.NDArray[np.uint64]:
    digests = (hashlib.sha256(f"{FORMAT} {block}".encode()).digest() for block in range(-(-number // 4)))
    return np.frombuffer(b"".join(digests), "<u8")[:number].astype(np.uint64) | np.uint64(1)


def write(blocks: Iterable[Block], path: Path, size: int, stored: str, tower: str) -> int:
    """One file; its rows. `size` is D, `stored` the values' type."""
    schema, rows = _schema(size, stored, tower), 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for block in blocks:
            writer.write_batch(_batch(block, schema))
            rows += len(block)
    return rows


def read(path: Path, size: int, stored: str, tower: str) -> list[Block]:
    """The blocks of a file, memory-mapped: they keep the file open, also when it is deleted.

    Raises:
        InputError: it breaks off, or is no such file.
    """
    try:
        source = pa.memory_map(str(path))
        first = source.read_buffer(1).address if source.size() else 0
        reader = pa.ipc.open_file(source)
        if reader.schema.metadata != _schema(size, stored, tower).metadata:
            raise InputError("it is of another format or image tower")
        if not reader.schema.equals(_schema(size, stored, tower)):
            raise InputError("its columns are not those of the format")
        blocks = [_block(reader.get_batch(number), size, stored) for number in range(reader.num_record_batches)]
        return [replace(block, file=path, offset=block.values.ctypes.data - first) for block in blocks]
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise InputError(f"it is no whole Arrow file: {' '.join(str(error).split())[:200]}") from None


def slices(block: Block) -> Iterator[Block]:
    """A large block in parts of `ROWS_PER_BLOCK`."""
    for start in range(0, len(block), ROWS_PER_BLOCK):
        yield block.take(np.arange(start, min(start + ROWS_PER_BLOCK, len(block))))


def _schema(size: int, stored: str, tower: str) -> pa.Schema:
    kind = {"float32": pa.float32(), "float16": pa.float16()}[stored]
    fields = [
        pa.field("key_high", pa.uint64(), nullable=False),
        pa.field("key_low", pa.uint64(), nullable=False),
        pa.field("check", pa.uint64(), nullable=False),
        pa.field("used", pa.uint32(), nullable=False),
        pa.field("embedding", pa.list_(pa.field("value", kind, nullable=False), size), nullable=False),
    ]
    return pa.schema(fields, {"format": FORMAT, "tower": tower})


def _batch(block: Block, schema: pa.Schema) -> pa.RecordBatch:
    kind = schema.field("embedding").type
    inner = _column(block.values.reshape(-1), kind.value_type)
    columns = [
        _column(block.high, pa.uint64()),
        _column(block.low, pa.uint64()),
        _column(block.check, pa.uint64()),
        _column(block.used, pa.uint32()),
        pa.FixedSizeListArray.from_arrays(inner, type=kind),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Not `pa.array`, which would import pandas."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _block(batch: pa.RecordBatch, size: int, stored: str) -> Block:
    batch.validate()
    columns = [batch.column(position) for position in range(4)]
    high, low, check, used = (_array(column, column.type.to_pandas_dtype()) for column in columns)
    values = _array(batch.column(4).flatten(), np.dtype(stored).type).reshape(-1, size)
    if not len(high) == len(low) == len(check) == len(used) == len(values):
        raise InputError("its columns differ in length")
    return Block(high, low, check, used, values)


def _array(column: pa.Array, kind: Any) -> npt.NDArray[Any]:
    if column.null_count:
        raise InputError("it holds nulls")
    size = np.dtype(kind).itemsize
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * size)
