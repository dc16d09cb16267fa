"""Where the embeddings of a store are, by key: one sorted search for all its files."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scorer.model.embeddings.block import Block, Halves


@dataclass(frozen=True)
class Index:
    """Made when a store is opened, since its rows lie as they came and not as their keys are.

    Ten million rows take a second or two, and 12 bytes each.

    Attributes:
        blocks: that hold the rows.
        starts: int64 [blocks], how many rows lie before each.
        high: uint64 [rows], ascending: one half of all keys.
        row: uint32 or int64 [rows], where each of these is: its place among the rows of all blocks.
    """

    blocks: Sequence[Block]
    starts: npt.NDArray[np.int64]
    high: Halves
    row: npt.NDArray[np.uint32] | npt.NDArray[np.int64]

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> "Index":
        """Over all rows of some blocks. Of a key that several have, the first counts."""
        lengths = [len(block) for block in blocks]
        high = np.concatenate([block.high for block in blocks] or [np.zeros(0, np.uint64)])
        order = np.argsort(high, kind="stable")
        starts = np.cumsum([0, *lengths])[:-1].astype(np.int64)
        return cls(blocks, starts, high[order], order.astype(np.uint32) if len(high) < 2**32 else order)

    def look_up(self, keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Where keys, uint64 [n, 2], are: the number of the block, -1 where there is none, and the row within it."""
        where, row = np.full(len(keys), -1, np.int32), np.zeros(len(keys), np.int64)
        if not len(self.high):
            return where, row
        # In their order the search goes through the index once, from one end to the other.
        order = np.argsort(keys[:, 0], kind="stable")
        sought = keys[order, 0]
        at = np.minimum(np.searchsorted(self.high, sought), len(self.high) - 1)
        there = self.high[at] == sought
        places, rows = order[there], self.row[at[there]].astype(np.int64)
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        rows -= self.starts[numbers]
        for number in np.unique(numbers):
            # Two keys of one high half: only the first is found, the other's image is computed again.
            of = numbers == number
            same = self.blocks[number].low[rows[of]] == keys[places[of], 1]
            where[places[of][same]], row[places[of][same]] = number, rows[of][same]
        return where, row
