"""Reads back what was really staged and compares it with what came in, before anything is published."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer.errors import AuditError
from scorer.intake.ids import Hashes, Ids, hashes
from scorer.intake.partitions import reading
from scorer.objectstore import ObjectStore
from scorer.output.manifest import OutputFile, Staged
from scorer.output.tally import Tally


def audit(staged: Staged, tally: Tally, ids: Ids, store: ObjectStore) -> None:
    """Every row read is written once, as what it was counted.

    Raises:
        AuditError: what does not add up, with both figures. The files stay staged.
    """
    if not tally.conserved:
        raise _mismatch("the units' rows", tally.rows_in, tally.predicted + tally.quarantined, staged)
    written = _Written()
    for file in staged.predictions:
        for batch in _batches(file, store):
            written.add_predictions(batch)
    for file in staged.quarantine:
        for batch in _batches(file, store):
            written.add_refused(batch)
    found, expected = written.figures(), _expected(tally, ids)
    for what, figure in expected.items():
        if found[what] != figure:
            raise _mismatch(what, figure, found[what], staged)


def _expected(tally: Tally, ids: Ids) -> dict[str, int]:
    return {
        "rows in": ids.rows,
        "rows scored": tally.scored,
        "rows degraded": tally.degraded,
        "rows failed": tally.failed,
        "rows quarantined": tally.quarantined,
        "null predictions": tally.failed,
        "rows whose prediction is null though not failed, or the other way round": 0,
        "null ids among the predictions": 0,
        "repeated ids among the predictions": 0,
        "the checksum of all ids": ids.checksum,
    }


class _Written:
    """What the staged files hold, batch by batch."""

    def __init__(self) -> None:
        self._status: Counter[str] = Counter()
        self._refused = self._null_scores = self._null_ids = self._wrong_nulls = 0
        self._kept: list[Hashes] = []
        self._out: list[Hashes] = []

    def add_predictions(self, batch: pa.RecordBatch) -> None:
        self._status.update(batch.column("status").to_pylist())
        failed = pc.equal(batch.column("status"), "failed")
        null = pc.is_null(batch.column("prediction"))
        self._wrong_nulls += pc.sum(pc.xor(failed, null)).as_py() or 0
        self._null_scores += pc.sum(null).as_py() or 0
        self._null_ids += batch.column("listing_id").null_count
        self._kept.append(hashes(batch.column("listing_id")))

    def add_refused(self, batch: pa.RecordBatch) -> None:
        self._refused += batch.num_rows
        self._out.append(hashes(batch.column("listing_id")))

    def figures(self) -> dict[str, int]:
        rows = sum(self._status.values())
        kept = np.concatenate([np.empty(0, np.uint64), *self._kept])
        every = np.concatenate([kept, *self._out])
        return {
            "rows in": rows + self._refused,
            "rows scored": self._status["scored"],
            "rows degraded": self._status["degraded"],
            "rows failed": self._status["failed"],
            "rows quarantined": self._refused,
            "null predictions": self._null_scores,
            "rows whose prediction is null though not failed, or the other way round": self._wrong_nulls,
            "null ids among the predictions": self._null_ids,
            "repeated ids among the predictions": len(kept) - len(np.unique(kept)),
            "the checksum of all ids": int(every.sum(dtype=np.uint64)),
        }


def _batches(file: OutputFile, store: ObjectStore) -> Iterator[pa.RecordBatch]:
    with reading(file.uri), store.open(file.uri) as handle:
        parquet = pq.ParquetFile(handle, page_checksum_verification=True)
        wanted = [name for name in ("listing_id", "status", "prediction") if name in parquet.schema_arrow.names]
        yield from parquet.iter_batches(16384, columns=wanted)


def _mismatch(what: str, expected: int, found: int, staged: Staged) -> AuditError:
    return AuditError(
        f"The audit failed: {what} should be {expected:,}, but what was written gives {found:,}."
        f" Nothing was published; the staged files stay at {staged.folder} for inspection."
    )
