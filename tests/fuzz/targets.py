"""What is fuzzed, case by case. A case ends in a verdict; whatever else is raised is a finding."""

import re
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scorer.errors import ImageFault, InputError
from scorer.intake.ids import read_ids
from scorer.intake.isolation import REASONS, IsolatedDecoder
from scorer.intake.partitions import cut, open_partition
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.intake.rows import check_image_column, image_lists, image_table, is_string, read_units
from scorer.objectstore import ObjectStore
from scorer.settings import ImageLimits
from tests import images
from tests.fuzz.mutate import mutated

COLUMNS = ("listing_id", "image_uris", "n")


@dataclass(frozen=True)
class Target:
    """Cases by number, and what is done with one."""

    case: Callable[[int], tuple[str, bytes]]
    """Number -> the name of the sample and its bytes after the damage."""

    run: Callable[[int, bytes], str]
    """The verdict on a case: "used", or the reason or error that refuses it."""


def image_files(stack: ExitStack) -> Target:
    """Damaged images of every kind, decoded as a run does it: plain formats here, others in processes of their own."""
    samples = {name: good.make() for name, good in images.GOOD.items()}
    samples |= {name: broken.make() for name, broken in images.BROKEN.items() if len(broken.make()) < 100_000}
    samples |= {f"photograph {n}": data for n, data in enumerate(images.photographs(2, width=300, height=200))}
    spec = PixelSpec(32)
    limits = [ImageLimits(decode_seconds=10), ImageLimits(decode_seconds=10, truncated="use")]
    isolated = [stack.enter_context(IsolatedDecoder(spec, limit, 1)).decode for limit in limits]

    def run(number: int, data: bytes) -> str:
        out = np.empty((32, 32, 3), np.uint8)
        try:
            decode_image(data, spec, limits[number % 2], out, isolated[number % 2])
        except ImageFault as fault:
            return _verdict(fault)
        return "used"

    return Target(lambda number: mutated(samples, number), run)


def _verdict(fault: ImageFault) -> str:
    if fault.reason not in REASONS or not fault.detail:
        raise ValueError(f"undocumented: {fault}")
    ended = re.search("crashed|longer than|ended", fault.detail)
    return f"{fault.reason} ({fault.detail})" if ended else fault.reason


def parquet_files(stack: ExitStack) -> Target:
    """Damaged Parquet files, most of the damage in the footer, read as a run reads a partition."""
    folder, store = Path(stack.enter_context(tempfile.TemporaryDirectory())), ObjectStore()
    whole = {name: _parquet(table) for name, table in _tables().items()}
    footers = {name: data[-8 - int.from_bytes(data[-8:-4], "little") :] for name, data in whole.items()}

    def case(number: int) -> tuple[str, bytes]:
        name, footer = mutated(footers, number)
        if number % 4 == 0:
            return mutated(whole, number)
        body = whole[name][: -len(footers[name])]
        if number % 4 == 1:
            return name, body + footer
        thrift = footer[:-8]  # with a length that fits again: damage gets as far as the parser
        return name, body + thrift + len(thrift).to_bytes(4, "little") + b"PAR1"

    def run(number: int, data: bytes) -> str:
        (folder / "a.parquet").write_bytes(data)
        try:
            partition = open_partition(str(folder), None, store)
            assert partition is not None
            for schema in partition.schemas:  # as run/check.py does
                if not set(COLUMNS) <= set(schema.names) or not is_string(schema.field("listing_id").type):
                    return "another contract"
                check_image_column(schema.field("image_uris").type)
            read_ids(partition, store)
            for _, rows in read_units(cut(partition, 64, ""), COLUMNS, store):
                image_table(rows.column("image_uris"), 3)
                image_lists(rows.column("image_uris"))
        except InputError as error:
            return type(error).__name__
        return "used"

    return Target(case, run)


def _tables() -> dict[str, pa.Table]:
    rows = 150
    ids = pa.array([f"id{n}" for n in range(rows)])
    lists = pa.array([[f"{n}.jpg"] * (n % 3) for n in range(rows)])
    numbers = {
        "doubles": pa.array(np.linspace(0, 1, rows)),
        "decimals": pa.array(range(rows)).cast(pa.decimal128(24, 3)),
        "timestamps": pa.array(range(rows)).cast(pa.timestamp("us", tz="UTC")),
        "categories": pa.array(["a", "b", None] * (rows // 3)).dictionary_encode(),
        "structs": pa.array([{"x": n, "y": [n]} for n in range(rows)]),
        "nothing": pa.nulls(rows),
    }
    tables = {name: pa.table({"listing_id": ids, "image_uris": lists, "n": column}) for name, column in numbers.items()}
    tables["strings"] = pa.table({"listing_id": ids.cast(pa.large_string()), "image_uris": ids, "n": ids})
    return tables


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=40)
    return bytes(sink.getvalue().to_pybytes())


TARGETS: dict[str, Callable[[ExitStack], Target]] = {"images": image_files, "parquet": parquet_files}
