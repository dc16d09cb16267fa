"""Python imports this at start where its folder is on the path: a format whose files do to their decoder what they say.

Real decoders do the same on the day that somebody finds the bytes for it.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable

import numpy as np

from scorer.intake.formats import FORMATS
from scorer.intake.formats.raster import Format, Header, Raster, Wanted

MAGIC = b"TRAP:"


def _swell() -> None:
    kept = []
    while True:
        kept.append(np.empty(8 << 20, np.uint8))  # asked for, not written to: that would take a fifth of its second


def _spin() -> None:
    while True:
        pass


def _open() -> None:
    open(__file__).close()


def _answer_for_others() -> None:
    for number in range(3, 64):
        try:
            os.write(number, b"\1" * 4_096)
        except OSError:
            continue


TRAPS: dict[bytes, Callable[[], object]] = {
    b"nothing": lambda: None,
    b"crash": lambda: ctypes.string_at(0),
    b"abort": os.abort,
    b"leave": lambda: os._exit(0),
    b"spin": _spin,
    b"sleep": lambda: time.sleep(1e6),
    b"swell": _swell,
    b"open a file": _open,
    b"print": lambda: os.write(1, b"\1" * 4_096),
    b"answer for others": _answer_for_others,
    b"kill the process around it": lambda: os.kill(os.getppid(), signal.SIGKILL),
    b"show the environment": lambda: _show(sorted(os.environ)),
    b"show the modules": lambda: _show([name for name in ("tensorflow", "keras") if name in __import__("sys").modules]),
}


def _show(found: list[str]) -> None:
    raise ValueError(" ".join(found))


def _decode(data: bytes, header: Header, wanted: Wanted) -> Raster:
    TRAPS[data.removeprefix(MAGIC)]()
    return Raster(np.full((8, 8, 3), 77, np.uint8), "RGB")


FORMATS["Trap"] = Format(lambda data: data.startswith(MAGIC), lambda data: Header(8, 8), _decode, isolated=True)
