"""Images decoded in processes of their own: one that crashes, hangs or swells costs itself and nothing else."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time

import numpy as np

from scorer.errors import ImageFault, Transient
from scorer.intake.formats.raster import Pixels
from scorer.intake.pixels import PixelSpec
from scorer.intake.sandbox import ANSWER, DEATH, DIED, FAULT, PIXELS, REQUEST, WALL_FACTOR, Orders
from scorer.settings import ImageLimits

REASONS = frozenset({"image_too_large", "image_too_many_pixels", "image_corrupt", "image_unsupported"})
"""What decode_image may say of a file. A decoder that was taken over could say anything."""

START_SECONDS = 60.0
"""What a busy machine may add before an answer: the process imports its decoders (0.6 s of processor time)."""

_KEPT_FROM_IT = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR")
_TIME_SIGNALS = frozenset({signal.SIGXCPU, signal.SIGALRM})


class IsolatedDecoder:
    """decode_image in other processes, started when first needed and replaced when they end. Thread-safe.

    Costs about 5 ms an image on top of decoding it. The processes know no credentials of this one.
    """

    def __init__(self, spec: PixelSpec, limits: ImageLimits, workers: int) -> None:
        """`workers` is the largest number of processes, and so of images decoded here at a time."""
        self._orders = Orders(spec, limits)
        self._turns = threading.BoundedSemaphore(workers)
        self._idle: list[_Process] = []
        self._lock = threading.Lock()
        self._era = 0  # a process of an earlier one than the last `close` ends instead of becoming idle

    def __enter__(self) -> "IsolatedDecoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def decode(self, data: bytes, out: Pixels) -> None:
        """Decode one image file as decode_image does.

        Args:
            data: the whole file.
            out: uint8 [size, size, 3], C-contiguous, to write to. After a fault it holds anything.

        Raises:
            ImageFault: what decode_image would say; or that its decoder crashed or took too long (image_corrupt), or
                that memory did not suffice (image_too_many_pixels).
            Transient: no process can be started, which says nothing about the image.
        """
        with self._turns:
            try:
                self._decode(data, out)
            except EOFError:  # not the decoder ended but the process around it, of which an earlier image knows more
                try:
                    self._decode(data, out)
                except EOFError:
                    raise ImageFault("image_corrupt", "the process that decodes it was ended twice") from None

    def close(self) -> None:
        """End the processes. Those that are busy end after their image; a later `decode` starts new ones."""
        with self._lock:
            self._era += 1
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()

    def _decode(self, data: bytes, out: Pixels) -> None:
        with self._lock:
            era, process = self._era, self._idle.pop() if self._idle else None
        process = process or _Process(self._orders)
        keep = False
        try:
            process.decode(data, out)
            keep = True
        except ImageFault:
            keep = process.usable
            raise
        finally:
            with self._lock:
                keep = keep and era == self._era
                if keep:
                    self._idle.append(process)
            if not keep:
                process.end()


class _Process:
    """One sandbox, seen from outside."""

    def __init__(self, orders: Orders) -> None:
        self._seconds = orders.limits.decode_seconds
        self._patience = START_SECONDS + WALL_FACTOR * self._seconds
        self.usable = True
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "scorer.intake.sandbox", orders.to_json()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for us to answer
            )
        except OSError as error:
            raise Transient(
                f"No process can be started to decode an image in: {error}. Nothing was published; finished units are"
                " kept. Start the run again when the machine has room."
            ) from None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._to, self._from = self._child.stdin.fileno(), self._child.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)

    def decode(self, data: bytes, out: Pixels) -> None:
        """Raises ImageFault, and EOFError when the process is gone."""
        until = time.monotonic() + self._patience
        self._send(REQUEST.pack(len(data)), until)
        self._send(data, until)
        kind, length = ANSWER.unpack(self._receive(ANSWER.size, until))
        answer = self._receive(length, until)
        if kind == PIXELS and length == out.size:
            out[...] = np.frombuffer(answer, np.uint8).reshape(out.shape)
        elif kind == DIED and length == DEATH.size:
            raise _death(DEATH.unpack(answer)[0], self._seconds)
        else:
            raise _fault(answer if kind == FAULT else b"")

    def end(self) -> None:
        """Without waiting for whatever it does: nothing it holds is of value."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self._child.pid, signal.SIGKILL)  # the child that decodes belongs to its group
        self._child.wait()

    def _send(self, data: bytes, until: float) -> None:
        rest = memoryview(data)
        while rest:
            self._wait(self._to, select.POLLOUT, until)
            try:
                rest = rest[os.write(self._to, rest) :]
            except BrokenPipeError:
                raise EOFError from None

    def _receive(self, length: int, until: float) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            self._wait(self._from, select.POLLIN, until)
            part = os.read(self._from, length - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    def _wait(self, pipe: int, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            self.usable = False
            raise ImageFault("image_corrupt", f"no answer about it within {self._patience:.0f} s")


def _environment() -> dict[str, str]:
    """What the process needs to start; no credentials. One thread and one heap each, for decoding runs in parallel."""
    kept = {name: os.environ[name] for name in _KEPT_FROM_IT if name in os.environ}
    paths = os.pathsep.join(path for path in sys.path if path)
    return {**kept, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


def _death(status: int, seconds: int) -> ImageFault:
    if not os.WIFSIGNALED(status):
        return ImageFault("image_corrupt", f"its decoder ended without a word (exit code {os.WEXITSTATUS(status)})")
    number = os.WTERMSIG(status)
    if number in _TIME_SIGNALS:
        return ImageFault("image_corrupt", f"decoding took longer than {seconds} s; the limit is images.decode_seconds")
    return ImageFault("image_corrupt", f"its decoder crashed ({signal.Signals(number).name})")


def _fault(text: bytes) -> ImageFault:
    reason, _, detail = text.decode(errors="replace").partition("\0")
    if reason not in REASONS:
        return ImageFault("image_corrupt", "its decoder gave an answer that makes no sense")
    return ImageFault(reason, detail)
