"""Rows that cannot be scored at all, each with its reason, so that none is lost."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from scorer.contracts import Column, Contract, built_in
from scorer.output.plain import as_plain

ID = "listing_id"

Verdicts = dict[int, tuple[str, str]]
"""Row within the batch -> (reason, detail)."""


@dataclass(frozen=True)
class Refusals:
    """What decides that a row is refused.

    Attributes:
        repeated: ids that occur more than once in the partition.
        contract: the user's own contract, or None.
    """

    repeated: frozenset[str]
    contract: Contract | None

    def verdicts(self, rows: pa.RecordBatch) -> Verdicts:
        """The refused rows of a batch; the first reason that applies counts."""
        found: Verdicts = {}
        for row, reason, detail in self._all(rows):
            found.setdefault(row, (reason, detail))
        return found

    def _all(self, rows: pa.RecordBatch) -> Iterator[tuple[int, str, str]]:
        ids = pc.cast(rows.column(ID), pa.string())
        missing = pc.or_(pc.is_null(ids), pc.fill_null(pc.equal(ids, ""), True))
        for row in _true(missing):
            yield row, "id_missing", f"{ID} is null or empty"
        if self.repeated:
            for row in _true(pc.is_in(ids, value_set=pa.array(sorted(self.repeated)))):
                yield row, "id_duplicated", f"{ID} occurs more than once in the partition"
        for column in self.contract.columns if self.contract else ():
            if column.name != ID:
                yield from _broken(rows, column)


def kept(rows: pa.RecordBatch, verdicts: Verdicts) -> pa.RecordBatch:
    """The rows that are not refused."""
    if not verdicts:
        return rows
    refused = frozenset(verdicts)
    return rows.filter(pa.array([row not in refused for row in range(rows.num_rows)], pa.bool_()))


def _broken(rows: pa.RecordBatch, column: Column) -> Iterator[tuple[int, str, str]]:
    values = rows.column(column.name)
    mask, rule = column.broken(values)
    for row in _true(mask):
        yield row, "contract_broken", f"{column.name} is {as_plain(values[row])!r}; the contract says {rule}"


def _true(mask: pa.Array) -> list[int]:
    return [int(row) for row in pc.indices_nonzero(mask).to_pylist()]


def table(rows: pa.RecordBatch, verdicts: Verdicts, source: str, start: int, run_id: str) -> pa.Table:
    """The refused rows as the quarantine contract wants them.

    Args:
        rows: the unit's rows.
        verdicts: which of them are refused, and why.
        source: URI of the input file.
        start: number of the batch's first row within the file.
        run_id: the run that refuses them.
    """
    records = []
    for row, (reason, detail) in sorted(verdicts.items()):
        values = {name: as_plain(rows.column(name)[row]) for name in rows.schema.names}
        records.append(
            {
                "listing_id": values[ID],
                "reason": reason,
                "detail": detail,
                "source_file": source,
                "row_number": start + row,
                "row_json": json.dumps(values, default=str, ensure_ascii=False),
                "run_id": run_id,
            }
        )
    return pa.Table.from_pylist(records, schema=built_in("quarantine").arrow_schema())
