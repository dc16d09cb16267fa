"""The listings that a page shows: the highest, the lowest and those whose prediction moved most, found in one pass."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer.intake.partitions import Partition, reading
from scorer.intake.rows import ID, IMAGES, image_lists, scan
from scorer.objectstore import ObjectStore
from scorer.output.manifest import OutputFile
from scorer.run.report.flow import Why

ROWS_AT_ONCE = 65536

MOST_COMPARED = 1_000_000
"""Rows, here and in the last run, up to which predictions are joined by id: a second of CPU time and 200 MB."""

TOLERANCE = 1e-5
"""Relative: predictions that differ by less are equal; batches of another size round in another way."""

MOST_COMBINATIONS = 1000
"""Combinations of reasons that are told apart: there are eleven reasons, and few occur together."""


@dataclass(frozen=True)
class Shown:
    """One listing with its prediction, and the one before where it is compared."""

    listing_id: str
    prediction: float
    status: str
    before: float | None = None


@dataclass(frozen=True)
class Survey:
    """What one pass over a run's predictions found.

    Attributes:
        highest: listings with the highest predictions, the highest first.
        lowest: with the lowest, the lowest first.
        changed: those whose prediction moved most since the last run, the largest move first.
        moves: how many listings are in both runs, and by how much their predictions moved at the median; None where
            nothing was compared.
        why_not: why nothing was compared.
        reasons: status -> reasons that occurred together -> rows with exactly these.
    """

    highest: tuple[Shown, ...]
    lowest: tuple[Shown, ...]
    changed: tuple[Shown, ...]
    moves: tuple[int, float] | None
    why_not: str
    reasons: Mapping[str, Mapping[Why, int]]


def survey(files: Sequence[OutputFile], before: Sequence[OutputFile], number: int, store: ObjectStore) -> Survey:
    """Read a run's predictions once, and the last run's where they are few enough.

    Args:
        files: the predictions of this run.
        before: those of the last one; empty if there is none.
        number: listings wanted of each kind.
        store: where both lie.
    """
    compare = bool(before) and max(_rows(files), _rows(before)) <= MOST_COMPARED and number > 0
    highest = lowest = _empty()
    kept: list[pa.Table] = []
    reasons: Counter[tuple[str, Why]] = Counter()
    for table in _tables(files, ("listing_id", "prediction", "status", "reasons"), store):
        _count(table, reasons)
        rows = table.select(_SCHEMA.names).cast(_SCHEMA)
        highest = _first(pa.concat_tables([highest, rows]), "prediction", "descending", number)
        lowest = _first(pa.concat_tables([lowest, rows]), "prediction", "ascending", number)
        if compare:
            kept.append(rows)
    changed, moves, why_not = _empty(), None, _why_not(files, before)
    if compare and kept:
        changed, moves = _moved(pa.concat_tables(kept), before, number, store)
    by_status: dict[str, dict[Why, int]] = {}
    for (status, why), rows_so in reasons.items():
        by_status.setdefault(status, {})[why] = rows_so
    return Survey(_shown(highest), _shown(lowest), _shown(changed), moves, why_not, by_status)


def images_of(ids: Collection[str], partition: Partition, store: ObjectStore) -> dict[str, list[str]]:
    """The image URIs of some listings, as written; reads two columns until all of them are found."""
    wanted, found = pa.array(sorted(ids), pa.string()), dict[str, list[str]]()
    for _, _, batch in scan(partition, [ID, IMAGES], store):
        if len(found) >= len(wanted):
            break
        names = pc.cast(batch.column(ID), pa.string())
        rows = batch.filter(pc.fill_null(pc.is_in(names, value_set=wanted), False))
        if rows.num_rows:
            here = pc.cast(rows.column(ID), pa.string()).to_pylist()
            found.update(zip(here, image_lists(rows.column(IMAGES)), strict=True))
    return found


_SCHEMA = pa.schema({"listing_id": pa.string(), "prediction": pa.float64(), "status": pa.string()})


@cache
def _empty() -> pa.Table:
    """Not made at import: Arrow would import pandas for it, a second more for whoever imports this module."""
    return _SCHEMA.empty_table()


def _rows(files: Sequence[OutputFile]) -> int:
    return sum(file.rows for file in files)


def _why_not(files: Sequence[OutputFile], before: Sequence[OutputFile]) -> str:
    if not before:
        return "There is no earlier run to compare with."
    rows = max(_rows(files), _rows(before))
    return f"{rows:,} rows are not compared one by one; up to {MOST_COMPARED:,} are." if rows > MOST_COMPARED else ""


def _tables(files: Sequence[OutputFile], columns: Sequence[str], store: ObjectStore) -> Iterator[pa.Table]:
    for file in files:
        with reading(file.uri), store.open(file.uri) as handle:
            for batch in pq.ParquetFile(handle).iter_batches(ROWS_AT_ONCE, columns=list(columns)):
                yield pa.Table.from_batches([batch])


def _count(table: pa.Table, reasons: Counter[tuple[str, Why]]) -> None:
    """Add how many rows have exactly which reasons."""
    together = pc.binary_join(table.column("reasons"), " ")  # reasons are a closed list of names without spaces
    marked = pc.binary_join_element_wise(table.column("status"), together, "\t")
    for entry in pc.value_counts(marked).to_pylist():
        status, _, names = entry["values"].partition("\t")
        key = (status, tuple(names.split()))
        if key in reasons or len(reasons) < MOST_COMBINATIONS:
            reasons[key] += entry["counts"]


def _first(table: pa.Table, column: str, order: str, number: int) -> pa.Table:
    """The first rows in an order, without those that have no value."""
    there = table.filter(pc.is_valid(table.column(column)))
    if not number or not there.num_rows:
        return there.slice(0, 0)
    return there.take(pc.select_k_unstable(there, number, [(column, order), ("listing_id", "ascending")]))


def _moved(
    now: pa.Table, before: Sequence[OutputFile], number: int, store: ObjectStore
) -> tuple[pa.Table, tuple[int, float] | None]:
    """The listings of both runs whose predictions differ most."""
    parts = list(_tables(before, ("listing_id", "prediction"), store))
    names = ["listing_id", "before"]
    earlier = pa.concat_tables([part.select(["listing_id", "prediction"]).rename_columns(names) for part in parts])
    both = now.join(
        earlier.cast(pa.schema({"listing_id": pa.string(), "before": pa.float64()})), "listing_id", join_type="inner"
    )
    move = pc.abs(pc.subtract(both.column("prediction"), both.column("before")))
    both = both.append_column("move", move).filter(pc.is_valid(move))
    if not both.num_rows:
        return _empty(), None
    middle = pc.quantile(both.column("move"), 0.5)[0].as_py()
    largest = pc.max_element_wise(pc.abs(both.column("prediction")), pc.abs(both.column("before")))
    moved = both.filter(pc.greater(both.column("move"), pc.multiply(largest, TOLERANCE)))
    return _first(moved, "move", "descending", number), (both.num_rows, float(middle))


def _shown(table: pa.Table) -> tuple[Shown, ...]:
    names = [name for name in ("listing_id", "prediction", "status", "before") if name in table.column_names]
    return tuple(Shown(**row) for row in table.select(names).to_pylist())
