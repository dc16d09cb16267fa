"""The C library's habits with freed memory."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""

NEVER = 2**31 - 1
LARGEST = 32 * 1024 * 1024
"""glibc takes no larger threshold for allocations of their own mapping."""


def keep_freed_memory() -> bool:
    """Let the process keep what it frees for its next batch, instead of handing it back and faulting it in again.

    tf.data's generator op sets the trim threshold to 128 KiB when it is made, so this is called after that. Measured at
    64 pixels: 62 page faults an image became 0.5, system time 0.18 ms an image 0.03; the peak stayed at 1.2 GB.

    Returns:
        Whether the C library took it; others than glibc have no such habit.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, NEVER) and mallopt(M_MMAP_THRESHOLD, LARGEST))
