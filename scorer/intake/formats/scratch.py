"""Memory that a decoding thread uses again for every image."""

import math
import threading

import numpy as np

from scorer.intake.formats.raster import Pixels

_MOST_KEPT = 8 * 1024 * 1024
"""Bytes kept per thread and slot: enough for a 2048 x 1365 RGB image. Larger images pay for memory of their own."""


class _Slots(threading.local):
    def __init__(self) -> None:
        self.by_name: dict[str, Pixels] = {}


_slots = _Slots()


def borrow(slot: str, shape: tuple[int, ...]) -> Pixels:
    """Uninitialised uint8 array of the given shape, valid until this thread borrows the same slot again.

    Fresh memory costs page faults for every image: 0.08 ms of the 1.7 ms at 224 pixels.
    """
    size = math.prod(shape)
    if size > _MOST_KEPT:
        return np.empty(shape, np.uint8)
    kept = _slots.by_name.get(slot)
    if kept is None or kept.size < size:
        kept = _slots.by_name[slot] = np.empty(size, np.uint8)
    return kept[:size].reshape(shape)
