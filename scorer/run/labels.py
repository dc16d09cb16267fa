"""Labels that arrive late: what became of a listing, known days or months after it was scored. Parquet or CSV."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from scorer.errors import ContractError, InputError, StoreUnreachable
from scorer.intake.partitions import OF_THE_BYTES, is_hidden
from scorer.objectstore import ObjectStore, canonical

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WHOLE = re.compile(r"-?\d+")

ENDINGS = (".parquet", ".csv", ".csv.gz")

US_A_DAY = 86_400_000_000

ALWAYS = np.iinfo(np.int64).max
"""The day of a label without a time: later than any prediction."""


@dataclass(frozen=True)
class Labels:
    """One label a listing.

    Attributes:
        ids: string [n], each once.
        values: float64 [n], finite; for classification the place of the class.
        days: int64 [n], the day on which each became known, counted from 1970-01-01; `ALWAYS` where no time is known.
        segments: column -> string [n], of the columns to report by that the labels hold.
        repeated: labels left out because there is a later one of the same listing.
        unusable: labels left out for want of an id or of a finite value.
    """

    ids: pa.Array
    values: Floats
    days: Ints
    segments: dict[str, pa.Array]
    repeated: int
    unusable: int


def read_labels(
    uri: str,
    target: str,
    store: ObjectStore,
    *,
    id_column: str,
    time: str | None = None,
    by: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> Labels:
    """Read a file, or all of a folder or prefix.

    Args:
        uri: `.parquet`, `.csv` or `.csv.gz`, or a folder of them.
        target: the column with what became of the listing: numbers, or booleans, which count as 0 and 1.
        store: where it is.
        id_column: with the listing's id.
        time: when the label became known; of several for one listing the latest counts. Without it: the last one read.
        by: columns to report by; those that no file holds are left to others.
        classes: of the predictions: the target then holds their names, or for two classes numbers or booleans; a label
            of no class cannot be used.

    Raises:
        InputError: no such file, or it cannot be read.
        ContractError: a column is absent or of a type that makes no sense.
    """
    table = pa.concat_tables(
        (
            _alike(_read(file, id_column, store), file, (id_column, target, time), by, classes)
            for file in _files(uri, store)
        ),
        promote_options="default",
    )
    usable = pc.and_kleene(pc.is_valid(table.column("id")), pc.is_finite(table.column("value")))  # null: not usable
    kept = table.filter(usable).combine_chunks()
    days = _days(kept.column("moment"))
    last = indices(_last_of_each(single(kept.column("id")), kept.column("moment")))
    chosen = kept.take(last).combine_chunks()
    return Labels(
        ids=single(chosen.column("id")),
        values=filled(chosen.column("value"), np.nan),
        days=days[np.from_dlpack(last)],
        segments={name: single(chosen.column(f"by {name}")) for name in by if f"by {name}" in chosen.column_names},
        repeated=kept.num_rows - chosen.num_rows,
        unusable=table.num_rows - kept.num_rows,
    )


def single(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    return column.combine_chunks()


def filled(column: pa.ChunkedArray, missing: float) -> npt.NDArray[Any]:
    """A column of numbers as numpy's, null as `missing`. `to_numpy`, or `fill_null`, would import pandas: a second."""
    array = single(column)
    valid = np.from_dlpack(pc.cast(pc.is_valid(array), pa.uint8())).astype(np.bool_)
    there = np.from_dlpack(array.drop_null())
    values = np.full(len(array), missing, there.dtype)
    values[valid] = there
    return values


def as_text(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    """Values as text to group by; null stays null. Raises ContractError for lists and the like."""
    try:
        return pc.cast(_plain(column), pa.string())
    except pa.ArrowException:
        raise ContractError(f"{where}: column {name} is {column.type}; nothing can be grouped by it.") from None


def _files(uri: str, store: ObjectStore) -> list[str]:
    root = canonical(uri)
    if root.endswith(ENDINGS) and store.exists(root):
        return [root]
    names = [info.uri for info in store.list_all(root)]
    found = [name for name in names if name.endswith(ENDINGS) and not is_hidden(name.removeprefix(root))]
    if not found:
        raise InputError(f"There is no {', '.join(ENDINGS)} file at {uri}. Nothing was evaluated.")
    return found


def _read(uri: str, id_column: str, store: ObjectStore) -> pa.Table:
    with _reading(uri):
        if uri.endswith(".parquet"):
            with store.open(uri) as handle:
                return pq.ParquetFile(handle).read()  # `read_table` would import pandas
        # An id stays text: as a number it would lose its leading zeros.
        options = csv.ConvertOptions(column_types={id_column: pa.string()})
        packed = pa.BufferReader(store.get(uri).data)
        with pa.CompressedInputStream(packed, "gzip") if uri.endswith(".gz") else packed as stream:
            return csv.read_csv(stream, convert_options=options)


@contextmanager
def _reading(uri: str) -> Iterator[None]:
    """Turns whatever pyarrow raises into an InputError that names the file, and what the system says as it is."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        text = " ".join(str(error).split())[:300]
        if isinstance(error, OSError) and error.errno not in OF_THE_BYTES:
            raise StoreUnreachable(f"{uri} could not be read: {text}. Nothing was evaluated. Start again.") from None
        raise InputError(f"{uri} cannot be read: {text} Nothing was evaluated.") from None


def _alike(
    table: pa.Table, uri: str, named: tuple[str, str, str | None], by: Sequence[str], classes: Sequence[str]
) -> pa.Table:
    """One file's columns under our names and types: id, value, moment, and `by NAME`."""
    id_column, target, time = named
    absent = [name for name in (id_column, target, *([time] if time else ())) if name not in table.column_names]
    if absent:
        raise ContractError(
            f"{uri} has no column {', '.join(absent)}. It has: {', '.join(table.column_names)}. Nothing was evaluated."
        )
    moments = _cast(table, time, pa.timestamp("us"), uri) if time else pa.nulls(table.num_rows, pa.timestamp("us"))
    columns: dict[str, Any] = {
        "id": _cast(table, id_column, pa.string(), uri),
        "value": _codes(table, target, classes, uri) if classes else _cast(table, target, pa.float64(), uri),
        "moment": moments,
    }
    held = {f"by {name}": as_text(table.column(name), name, uri) for name in by if name in table.column_names}
    return pa.table({**columns, **held})


def _codes(table: pa.Table, target: str, classes: Sequence[str], uri: str) -> pa.ChunkedArray:
    """The place of each label's class as a number; null where it is of none.

    Numbers are names where some class has a number as its name; else, of two classes, 0 and 1 are their places.
    """
    kind = _plain(table.column(target)).type
    numbered = any(WHOLE.fullmatch(name) for name in classes)
    if pa.types.is_floating(kind) and numbered:
        meant = [float(name) if WHOLE.fullmatch(name) else None for name in classes]
        numbers = _cast(table, target, pa.float64(), uri)
        return pc.cast(pc.index_in(numbers, value_set=pa.array(meant, pa.float64()), skip_nulls=True), pa.float64())
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if len(classes) == 2 and not is_text and (not numbered or tuple(classes) == ("0", "1")):
        numbers = _cast(table, target, pa.float64(), uri)
        return pc.cast(pc.index_in(numbers, value_set=pa.array([0.0, 1.0])), pa.float64())
    texts = as_text(table.column(target), target, uri)
    return pc.cast(pc.index_in(texts, value_set=pa.array(list(classes), pa.string())), pa.float64())


def _cast(table: pa.Table, name: str, kind: pa.DataType, uri: str) -> pa.ChunkedArray:
    column = _plain(table.column(name))
    try:
        if pa.types.is_boolean(column.type) and pa.types.is_floating(kind):
            column = pc.cast(column, pa.uint8())
        return pc.cast(column, kind, safe=False)
    except pa.ArrowException:
        raise ContractError(
            f"{uri}: column {name} is {column.type} and cannot be read as {kind}. Nothing was evaluated."
        ) from None


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without its dictionary, if it had one."""
    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _days(moments: pa.ChunkedArray) -> Ints:
    """The day of each moment, from 1970-01-01."""
    microseconds = filled(pc.cast(moments, pa.int64()), ALWAYS)
    days: Ints = np.where(microseconds == ALWAYS, ALWAYS, microseconds // US_A_DAY)
    return days


def _last_of_each(ids: pa.Array, moments: pa.ChunkedArray) -> Ints:
    """Position of the latest label of each id; of equal or unknown moments the one that was read last."""
    order = np.argsort(filled(pc.cast(moments, pa.int64()), -ALWAYS), kind="stable")
    encoded = ids.dictionary_encode()
    last = np.zeros(len(encoded.dictionary), np.int64)
    last[np.from_dlpack(encoded.indices)[order]] = order  # of repeated indices numpy keeps the last
    return last


def indices(positions: Ints) -> pa.Array:
    """Positions of numpy as Arrow's. `pa.array` would import pandas to ask whether this is a Series: a second more."""
    return pa.Array.from_buffers(pa.int64(), len(positions), [None, pa.py_buffer(positions.tobytes())])
