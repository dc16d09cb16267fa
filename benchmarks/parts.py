"""The parts of a run, each alone with all cores busy: CPU milliseconds an image.

    python -m benchmarks.parts < WANTED.json

One process for one model and one set-up; the JSON on standard input says what to measure (see `Wanted`), and the last
line on standard output is the answer. Every part does what the product does, by the product's own functions, on data
that lies ready.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.tables import listings
from scorer import machine
from scorer.intake.pixels import decode_image
from scorer.model.bundle import Bundle, load_bundle
from scorer.objectstore import ObjectStore
from scorer.settings import ImageLimits, Speed

CORES = len(os.sched_getaffinity(0))
LIMITS = ImageLimits()
ROWS = 4096

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Wanted:
    """What one process measures.

    Attributes:
        parts: names in `PARTS`.
        bundle: the model.
        images: files, or s3:// URIs for `get`.
        batch_images: images a forward pass.
        seconds: each part about as long.
        precision: of the forward pass, as the job's setting.
        server: process id of the S3 server, whose CPU time counts as a part of its own.
    """

    parts: list[str]
    bundle: str
    images: list[str]
    batch_images: int
    seconds: float
    precision: Precision = "float32"
    server: int | None = None


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds and images a second (by the wall clock) of one part; multiplied, how many cores were busy."""

    cpu_ms: float
    per_s: float


def read(wanted: Wanted, bundle: Bundle) -> dict[str, Cost]:
    """A file's bytes, from the page cache, in as few system calls as there are."""

    def one(number: int) -> int:
        handle = os.open(wanted.images[number % len(wanted.images)], os.O_RDONLY)
        try:
            os.read(handle, os.fstat(handle).st_size)
        finally:
            os.close(handle)
        return 1

    return {"read": _busy(one, CORES, wanted.seconds)}


def get(wanted: Wanted, bundle: Bundle) -> dict[str, Cost]:
    """A GET by the product's client; the server's own CPU time apart, since it takes it from the same cores."""
    store, threads = ObjectStore(), 16  # more threads cost more CPU and bring nothing on loopback

    def one(number: int) -> int:
        store.get(wanted.images[number % len(wanted.images)])
        return 1

    one(0)
    server = psutil.Process(wanted.server)
    before = sum(server.cpu_times()[:2])
    client = _busy(one, threads, wanted.seconds)
    served = sum(server.cpu_times()[:2]) - before
    return {"get": client, "get server": Cost(served / (client.per_s * wanted.seconds) * 1e3, client.per_s)}


def decode(wanted: Wanted, bundle: Bundle) -> dict[str, Cost]:
    """Bytes to the model's square: decode and resize are one function."""
    files = [Path(image).read_bytes() for image in wanted.images[:512]]
    squares = [np.empty((bundle.pixels.size, bundle.pixels.size, 3), np.uint8) for _ in range(CORES)]

    def one(number: int, thread: int) -> int:
        decode_image(files[number % len(files)], bundle.pixels, LIMITS, squares[thread])
        return 1

    return {"decode": _busy(one, CORES, wanted.seconds)}


def forward(wanted: Wanted, bundle: Bundle) -> dict[str, Cost]:
    """The image tower, one caller whose batches TensorFlow spreads over the cores."""
    import tensorflow as tf

    tf.config.list_logical_devices()  # begins with a thread a core; the product's own choice comes too late then
    return {"forward": _forward(wanted, bundle, callers=1)}


def forward_by_callers(wanted: Wanted, bundle: Bundle) -> dict[str, Cost]:
    """The image tower as the product calls it: a caller a core and each of its batches on one thread."""
    return {"forward, a caller a core": _forward(wanted, bundle, callers=CORES)}


def head(wanted: Wanted, bundle: Bundle) -> dict[str, Cost]:
    """Features of a unit's rows from Arrow to numbers, then the head of the model. Per row, so here per image."""
    predictor = _predictor(wanted, bundle)
    rows = _rows()
    embeddings = np.random.default_rng(0).random((ROWS, bundle.embedding_size), np.float32)
    index = np.arange(ROWS, dtype=np.int32)[:, None]

    def one(number: int) -> int:
        predictor.heads(bundle.preprocessing.transform(rows)[0], embeddings, index)
        return ROWS

    one(0)
    return {"head": _busy(one, 1, wanted.seconds, others_busy=True)}


def write(wanted: Wanted, bundle: Bundle) -> dict[str, Cost]:
    """A unit's scores to the rows of the contract, and these to Parquet on disk."""
    from scorer.output import predictions

    rows, count = _rows(), np.ones(ROWS, np.int32)
    scores = {name: np.random.default_rng(0).normal(size=ROWS) for name in bundle.outputs}
    origin = predictions.Origin("run", bundle.name, bundle.version, bundle.digest)
    reasons = {"no_images": np.zeros(ROWS, bool)}
    with TemporaryDirectory() as folder:

        def one(number: int) -> int:
            scored = predictions.ScoredRows(rows, scores, reasons, count, count)
            pq.write_table(predictions.table(scored, origin), f"{folder}/{number % 8}.parquet", compression="zstd")
            return ROWS

        one(0)
        return {"write": _busy(one, 1, wanted.seconds, others_busy=True)}


PARTS: dict[str, Callable[[Wanted, Bundle], Mapping[str, Cost]]] = {
    "read": read,
    "get": get,
    "decode": decode,
    "forward": forward,
    "forward_by_callers": forward_by_callers,
    "head": head,
    "write": write,
}


def _predictor(wanted: Wanted, bundle: Bundle) -> Any:
    from scorer.model.predictor import Predictor

    return Predictor(
        bundle,
        batch_images=wanted.batch_images,
        batch_rows=Speed().batch_rows,
        verify=False,
        precision=wanted.precision,
    )


def _forward(wanted: Wanted, bundle: Bundle, callers: int) -> Cost:
    predictor = _predictor(wanted, bundle)
    batch = _batch(wanted, bundle)

    def one(number: int) -> int:
        predictor.embed(batch)
        return len(batch)

    machine.keep_freed_memory()
    one(0)
    return _busy(one, callers, wanted.seconds)


def _batch(wanted: Wanted, bundle: Bundle) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Real pixels, aligned as the pipeline's buffers are: TensorFlow takes them without a copy."""
    shape = (wanted.batch_images, bundle.pixels.size, bundle.pixels.size, 3)
    raw = np.empty(int(np.prod(shape)) + 64, np.uint8)
    start = -raw.ctypes.data % 64
    batch = raw[start : start + raw.size - 64].reshape(shape)
    for place, image in zip(range(len(batch)), wanted.images, strict=False):
        decode_image(Path(image).read_bytes(), bundle.pixels, LIMITS, batch[place])
    return batch


def _rows() -> pa.RecordBatch:
    table = listings([f"images/{number:06}.jpg" for number in range(ROWS)], ROWS).drop_columns(["image"])
    return table.combine_chunks().to_batches()[0]


def _busy(one: Callable[..., int], threads: int, seconds: float, *, others_busy: bool = False) -> Cost:
    """Call `one` over and over in so many threads.

    Args:
        one: (number) or (number, thread) -> how many images that was.
        threads: how many call it.
        seconds: about so long.
        others_busy: keep the other cores busy by processes of no interest: a core beside an idle one is faster.
    """
    takes_thread = one.__code__.co_argcount == 2
    done, deadline = [0] * threads, time.perf_counter() + seconds

    def loop(thread: int) -> None:
        number = thread
        while time.perf_counter() < deadline:
            done[thread] += one(number, thread) if takes_thread else one(number)
            number += threads

    with _occupied(CORES - 1 if others_busy else 0):
        wall, cpu = time.perf_counter(), time.process_time()
        deadline = wall + seconds
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(loop, range(threads)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(cpu / sum(done) * 1e3, sum(done) / wall)


@contextmanager
def _occupied(cores: int) -> Iterator[None]:
    import subprocess

    idle = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for process in idle:
            process.kill()
            process.wait()


def main() -> None:
    """Measure and print."""
    wanted = Wanted(**json.load(sys.stdin))
    bundle = load_bundle(wanted.bundle, ObjectStore())
    found: dict[str, Cost] = {}
    for name in wanted.parts:
        found |= PARTS[name](wanted, bundle)
    print(json.dumps({name: vars(cost) for name, cost in found.items()}))


if __name__ == "__main__":
    main()
