"""Reading ahead in a store of embeddings: what the plan finds wanted is on its way from the disk before it is taken."""

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scorer.model.embeddings.block import Block

PAGE = os.sysconf("SC_PAGE_SIZE")

PAGES_EACH = 6
"""For each embedding that is wanted: a block of no more pages is read as a whole, of others single pages, many at the
same time. A disk that gave 1.3 GB/s in order gave 0.22 so, and 0.05 to whoever waits for each page."""

MOST = 0.5
"""Of the machine's memory: beyond, what is read ahead drives out what was."""

Part = tuple[int, int]
"""Where it begins within a file, and its length, in bytes."""


class Ahead:
    """Has the system begin to read into its cache what will be taken, and does not wait for it. Thread-safe."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        """`blocks` are those of the store."""
        self._blocks = blocks
        self._wanted = np.zeros(len(blocks), np.int64)
        self._begun = np.zeros(len(blocks), bool)
        self._single: dict[int, list[npt.NDArray[np.int64]]] = {}
        self._left = int(MOST * os.sysconf("SC_PHYS_PAGES")) * PAGE
        self._lock = threading.Lock()

    def want(self, where: npt.NDArray[np.int32], rows: npt.NDArray[np.int64]) -> None:
        """These rows of these blocks, as an index gives them, will be taken. Whole blocks are begun at once."""
        with self._lock:
            self._wanted += np.bincount(where[where >= 0], minlength=len(self._blocks))
            for number in np.unique(where[where >= 0]).tolist():
                block = self._blocks[number]
                if self._begun[number] or block.file is None:
                    continue
                if block.values.nbytes <= PAGES_EACH * PAGE * self._wanted[number]:
                    self._begun[number] = True
                    self._single.pop(number, None)
                    self._read(block.file, [(block.offset, block.values.nbytes)])
                else:
                    self._single.setdefault(number, []).append(rows[where == number])

    def begin_the_rest(self) -> None:
        """Nothing more is wanted: of the blocks that are not read as a whole, each row that is."""
        with self._lock:
            while self._single:
                number, wanted = self._single.popitem()
                block = self._blocks[number]
                row = block.values.nbytes // len(block)
                assert block.file is not None
                self._read(
                    block.file, [(block.offset + at * row, row) for at in np.unique(np.concatenate(wanted)).tolist()]
                )

    def _read(self, file: Path, parts: Sequence[Part]) -> None:
        cost = sum(max(length, PAGE) for _, length in parts)  # nothing less than a page is read
        if cost > self._left:
            return
        self._left -= cost
        with contextlib.suppress(OSError):  # removed meanwhile: what is mapped stays readable
            handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                for offset, length in parts:
                    os.posix_fadvise(handle, offset, length, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(handle)
