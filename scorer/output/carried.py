"""Predictions of an earlier run, found again by their fingerprints and put into today's table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer import contracts
from scorer.errors import InputError, NotFound
from scorer.intake.partitions import reading
from scorer.objectstore import ObjectStore
from scorer.output.commit import Version
from scorer.output.fingerprints import Keys, as_keys
from scorer.output.tables.layout import keys_of

CONTEXT = b"scorer.reuse_context"
"""Key in a published file's metadata: digest of all that its rows depend on besides their own input."""

REPEATED = [
    "status",
    "prediction_class",
    "bundle_name",
    "bundle_version",
    "bundle_digest",
    "carried_from_run",
    "run_id",
]
"""Columns of few values: read as numbers into a list of these."""

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EarlierRows:
    """The rows of one published version that may be carried forward.

    Attributes:
        partition: which one.
        run_id: the run that published it.
        table: the predictions without their ids, one chunk; some 100 bytes a row, since what repeats is kept once.
        schema: of today's predictions.
        high: uint64 [m], the fingerprints' high halves, ascending.
        low: uint64 [m], their low halves.
        rows: int64 [m], their rows in `table`.
    """

    partition: str
    run_id: str
    table: pa.Table
    schema: pa.Schema
    high: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]
    rows: Positions

    def find(self, keys: Keys) -> Positions:
        """The row of each fingerprint, -1 where there is none. Of several that are equal, any: they score alike."""
        if not len(self.rows):
            return np.full(len(keys), -1, np.int64)
        at = np.minimum(np.searchsorted(self.high, keys[:, 0]), len(self.high) - 1)
        hit = (self.high[at] == keys[:, 0]) & (self.low[at] == keys[:, 1])
        return np.where(hit, self.rows[at], -1)

    def take(self, positions: Positions, ids: pa.Array, run_id: str) -> pa.Table:
        """Some of them as rows of today's run: with today's ids, and the run that once computed them."""
        table = self.table.take(pa.Array.from_buffers(pa.int64(), len(positions), [None, pa.py_buffer(positions)]))
        texts = [table.column(name).cast(pa.string()) for name in ("carried_from_run", "run_id")]
        origin = pc.coalesce(*texts)
        today = {
            "listing_id": ids.cast(pa.string()),
            "carried_from_run": origin,
            "run_id": pa.repeat(pa.scalar(run_id, pa.string()), len(positions)),
        }
        columns = [today[name] if name in today else table.column(name).cast(kind) for name, kind in self._columns()]
        return pa.table(columns, schema=self.schema)

    def _columns(self) -> list[tuple[str, pa.DataType]]:
        return [(field.name, field.type) for field in self.schema]


def read_rows(partition: str, version: Version, context: str, schema: pa.Schema, store: ObjectStore) -> EarlierRows:
    """The rows of a version that may be carried forward into predictions of this schema.

    Without a fault that a second try could mend: rows that miss an image are computed again every night, so that the
    night's count of faults is that of a run from scratch.

    Raises:
        InputError: it was made from something else than `context`, or cannot be read.
    """
    tables = []
    for file in version.predictions:
        try:
            with reading(file.uri), store.open(file.uri) as handle:
                parquet = pq.ParquetFile(handle, page_checksum_verification=True, read_dictionary=REPEATED)
                if (parquet.schema_arrow.metadata or {}).get(CONTEXT) != context.encode():
                    raise InputError(
                        "it was scored with other settings, another version of scorer or another contract, or before"
                        " `reuse` was set"
                    )
                # Files of a table hold the partition's keys, too.
                if [name for name in parquet.schema_arrow.names if name not in keys_of(partition)] != schema.names:
                    raise InputError("its columns are not today's")
                tables.append(parquet.read(columns=[name for name in schema.names if name != "listing_id"]))
        except NotFound as error:
            raise InputError(f"its files are gone ({error})") from None
    table = pa.concat_tables(tables).replace_schema_metadata(None)
    table = table.unify_dictionaries().combine_chunks()
    keys = as_keys(table.column("input_fingerprint"))
    clean = np.flatnonzero(_clean(table))
    order = clean[np.argsort(keys[clean, 0], kind="stable")].astype(np.int64)
    return EarlierRows(partition, version.run_id, table, schema, keys[order, 0].copy(), keys[order, 1].copy(), order)


def merged(computed: pa.Table, carried: pa.Table, is_carried: npt.NDArray[np.bool_], schema: pa.Schema) -> pa.Table:
    """Two tables as one, in the order of the rows that they are of."""
    place = np.where(is_carried, len(computed) + np.cumsum(is_carried) - 1, np.cumsum(~is_carried) - 1).astype(np.int64)
    both = pa.concat_tables([computed.replace_schema_metadata(None), carried.replace_schema_metadata(None)])
    taken = both.take(pa.Array.from_buffers(pa.int64(), len(place), [None, pa.py_buffer(place)]))
    return taken.combine_chunks().cast(schema)


def _clean(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Rows with a prediction from all images that they name."""
    scored = _flags(
        pc.and_(
            pc.is_valid(table.column("prediction")), pc.not_equal(table.column("status").cast(pa.string()), "failed")
        )
    )
    reasons = table.column("reasons").combine_chunks()
    bad = sorted(reason for reason in contracts.reasons() if reason.startswith("image_"))
    wrong = pc.is_in(pc.list_flatten(reasons), value_set=pa.array(bad, pa.string()))
    rows = np.from_dlpack(pc.list_parent_indices(reasons))[_flags(wrong)]
    scored[rows] = False
    return scored


def _flags(column: Any) -> npt.NDArray[np.bool_]:
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.from_dlpack(pc.fill_null(flat, False).cast(pa.uint8())).astype(bool)
