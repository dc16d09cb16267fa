"""Files of a store that are read as a whole, in their order, before single rows of them are asked for."""

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")

PAGES_EACH = 16
"""For each embedding that is sought: a store of no more pages is read as a whole. A disk that gave 1.3 GB/s so gave
0.05 to one reader of single pages and 0.22 to 32."""

MOST = 0.5
"""Of the machine's memory: beyond, what is read ahead drives out what was."""


def read_ahead(files: Collection[tuple[Path, int]], sought: int) -> None:
    """Have the system begin to read files into its cache where that pays, and wait for nothing.

    Args:
        files: with their sizes in bytes.
        sought: about how many rows of them will be taken.
    """
    size = sum(size for _, size in files)
    if size > min(PAGES_EACH * sought * PAGE, MOST * os.sysconf("SC_PHYS_PAGES") * PAGE):
        return
    for path, _ in files:
        with contextlib.suppress(OSError):  # removed meanwhile: what is mapped stays readable
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(handle)
