"""The inside of isolation.py: a small process that decodes each image in a child of its own.

`python -m scorer.intake.sandbox` reads images from its standard input and answers on its standard output. It touches
no byte of an image itself: a child is forked for each (5 ms), so that whatever one image does to its decoder ends
with it, be it a crash, an endless loop, or a takeover. The child holds no credentials, cannot open a file or a socket,
and is ended by the kernel when it has used up its time or memory.
"""

import json
import mmap
import os
import resource
import signal
import struct
import sys
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import TiffImagePlugin  # noqa: F401  # Pillow imports it when it first meets EXIF: too late in a sandbox

from scorer.errors import ImageFault
from scorer.intake.formats import FORMATS
from scorer.intake.formats.raster import Pixels
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.settings import ImageLimits

REQUEST = struct.Struct("<Q")
"""Length of the image file that follows."""

ANSWER = struct.Struct("<BI")
"""What became of it, and the length of what follows: pixels; or reason, NUL and detail; or DEATH."""

DEATH = struct.Struct("<i")
"""The wait status of a child that left no answer."""

PIXELS, FAULT, DIED = 1, 2, 3

MOST_TEXT = 4_096
"""Bytes of a fault's reason and detail."""

WALL_FACTOR = 6
"""By the clock an image may take so many times its processor time: the machine may be busy, or the decoder asleep."""


@dataclass(frozen=True)
class Orders:
    """What the process is told when it starts, as JSON in its one argument."""

    spec: PixelSpec
    limits: ImageLimits

    def to_json(self) -> str:
        """For the command line."""
        return json.dumps({"spec": self.spec.to_dict(), "limits": self.limits.model_dump()})

    @classmethod
    def from_json(cls, text: str) -> "Orders":
        """As `to_json` wrote them."""
        values = json.loads(text)
        return cls(PixelSpec.from_dict(values["spec"]), ImageLimits.model_validate(values["limits"]))


def serve(requests: BinaryIO, answers: BinaryIO, orders: Orders) -> None:
    """Answer one request after the other until there are no more."""
    room = max(3 * orders.spec.size**2, MOST_TEXT)
    shared = mmap.mmap(-1, ANSWER.size + room)  # the child's only way to tell anything
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        data = requests.read(*REQUEST.unpack(head))
        shared[: ANSWER.size] = bytes(ANSWER.size)
        child = os.fork()
        if not child:
            _decode_and_leave(data, shared, orders)
        _, status = os.waitpid(child, 0)
        kind, length = ANSWER.unpack_from(shared)
        if status or not kind:
            answers.write(ANSWER.pack(DIED, DEATH.size) + DEATH.pack(status))
        else:
            answers.write(shared[: ANSWER.size + min(length, room)])
        answers.flush()


def _decode_and_leave(data: bytes, shared: mmap.mmap, orders: Orders) -> None:
    """In the child. Never returns; what it found lies in the shared memory, its head written last."""
    size = orders.spec.size
    try:
        _fence(orders.limits)
        out: Pixels = np.frombuffer(shared, np.uint8, 3 * size**2, ANSWER.size).reshape(size, size, 3)
        decode_image(data, orders.spec, orders.limits, out)
        ANSWER.pack_into(shared, 0, PIXELS, out.size)
    except ImageFault as fault:
        text = f"{fault.reason}\0{fault.detail}".encode(errors="replace")[:MOST_TEXT]
        shared[ANSWER.size : ANSWER.size + len(text)] = text
        ANSWER.pack_into(shared, 0, FAULT, len(text))
    finally:
        os._exit(0)


def _fence(limits: ImageLimits) -> None:
    """Time and memory for one image; no file, no socket, no core dump, and no hold on the answers of other images."""
    seconds = limits.decode_seconds
    memory = _virtual_bytes() + limits.decode_memory_mb * 1024 * 1024
    os.closerange(3, 1024)
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_CPU, seconds, grace=1)
    for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        _limit(kind, 0)
    signal.alarm(WALL_FACTOR * seconds)


def _limit(kind: int, most: int, grace: int = 0) -> None:
    _, hard = resource.getrlimit(kind)
    allowed = [most, most + grace] if hard == resource.RLIM_INFINITY else [min(most, hard), min(most + grace, hard)]
    resource.setrlimit(kind, (allowed[0], allowed[1]))


def _virtual_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * mmap.PAGESIZE


def _private_ends() -> tuple[BinaryIO, BinaryIO]:
    """Both pipes under other numbers; 0, 1 and 2 lead nowhere, so that no library can print into an answer."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def main(arguments: list[str]) -> None:
    """Load every decoder, then serve."""
    requests, answers = _private_ends()
    for fmt in FORMATS.values():
        if fmt.prepare is not None:
            fmt.prepare()
    serve(requests, answers, Orders.from_json(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
