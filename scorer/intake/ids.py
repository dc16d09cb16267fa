"""The ids of a whole partition, before the first image is fetched: which are repeated, and a checksum of all."""

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scorer.intake.partitions import Partition
from scorer.intake.rows import ID, scan
from scorer.objectstore import ObjectStore

Hashes = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True)
class Ids:
    """What the ids of a partition are.

    Attributes:
        rows: rows in the partition.
        repeated: every id that occurs more than once.
        checksum: sum of the 64-bit hashes of all ids, modulo 2^64; whatever order they come in, what leaves must add up
            to the same.
    """

    rows: int
    repeated: frozenset[str]
    checksum: int


def read_ids(partition: Partition, store: ObjectStore) -> Ids:
    """Reads the id column once, and a second time only if hashes repeat. Memory: 8 bytes a row."""
    found = [hashes(batch.column(0)) for _, _, batch in scan(partition, [ID], store)]
    every = np.concatenate([np.empty(0, np.uint64), *found])
    checksum = int(every.sum(dtype=np.uint64))
    every.sort()
    suspects = np.unique(every[1:][every[1:] == every[:-1]])
    repeated = _confirmed(partition, suspects, store) if len(suspects) else frozenset[str]()
    return Ids(partition.rows, repeated, checksum)


def hashes(column: pa.Array) -> Hashes:
    """The 64-bit hashes of the ids that are neither null nor empty."""
    texts = pc.cast(column, pa.string()).to_pylist()
    return np.fromiter((_hash(text) for text in texts if text), np.uint64)


def _confirmed(partition: Partition, suspects: Hashes, store: ObjectStore) -> frozenset[str]:
    """The ids that are truly repeated: equal hashes are only a hint."""
    counts: Counter[str] = Counter()
    for _, _, batch in scan(partition, [ID], store):
        texts = pc.cast(batch.column(0), pa.string()).drop_null()
        texts = texts.filter(pc.not_equal(texts, ""))
        hit = np.isin(hashes(texts), suspects)
        counts.update(texts.filter(pa.array(hit)).to_pylist())
    return frozenset(text for text, count in counts.items() if count > 1)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
