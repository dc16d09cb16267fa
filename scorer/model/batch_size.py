"""How many images a forward pass should take on this machine: measured once, when the plan is made."""

import resource
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from scorer import machine
from scorer.model.predictor import Pixels, Predictor

CANDIDATES = (16, 32, 64, 128, 256)
"""On CPUs these were fastest, and 1,024 took 6 GB for MobileNetV3 at 224 pixels. That model liked 16 best, whose layers
fit into the caches beside what the other cores decode: 3.66 CPU-ms an image of the whole job, and 4.10 with 32.
"""

MEMORY_SHARE = 0.6
"""Of this machine's or container's memory, that a size may lead to; a CPU that runs out of it kills the process."""

CANDIDATES_ON_GPU = (256, 512, 1024, 2048)

ROUNDS = 2

WORTH = 0.95
"""A larger batch must save five percent of the time: it takes more memory, and a unit's tail more padding."""

SECONDS = 1.5
"""For all of it, about: the first batch waits. At 224 pixels two cores have seen batches of 16 to 64 by then."""


def fastest_batch(predictor: Predictor, threads: int = 0) -> int:
    """The size with the least time per image; the smallest of those that are about as fast.

    Measured as the run will go: with as many passes at a time; on CPUs with `threads`, or one a core. Sizes for which
    the memory or `SECONDS` do not suffice are out, and so are all larger ones.
    """
    sizes = CANDIDATES_ON_GPU if "GPU" in predictor.devices[0] else CANDIDATES
    machine.keep_freed_memory()  # as the run will do
    best, best_time = sizes[0], np.inf
    before, most, began = _resident(), MEMORY_SHARE * machine.memory(), time.monotonic()
    for size in sizes:
        started = time.monotonic()
        predictor.batch_images = size
        took = _seconds_per_image(predictor, size, predictor.passes or threads or predictor.callers)
        if predictor.batch_images < size or _resident() > most:
            break
        if took < best_time * WORTH:
            best, best_time = size, took
        now = time.monotonic()
        # Twice the images take about twice the memory and twice the time.
        if 2 * _resident() - before > most or now - began + 2 * (now - started) > SECONDS:
            break
    predictor.batch_images = best
    return best


def _seconds_per_image(predictor: Predictor, size: int, callers: int) -> float:
    """Of the fastest of a few rounds; a first one, not counted, makes the kernels ready for the shape."""
    side = predictor.bundle.pixels.size
    pixels = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), np.uint8)
    rounds, work = [], predictor.embed if predictor.bundle.reusable else partial(_through_the_head, predictor)
    with ThreadPoolExecutor(callers) as threads:
        for _ in range(1 + ROUNDS):
            start = time.perf_counter()
            list(threads.map(work, [pixels] * callers))
            rounds.append((time.perf_counter() - start) / size / callers)
    return min(rounds[1:])


def _through_the_head(predictor: Predictor, pixels: Pixels) -> None:
    """Where the image tower only passes pixels on, the head does all the work."""
    images = min(predictor.bundle.max_images, len(pixels))
    rows = len(pixels) // images
    index = np.arange(rows * images, dtype=np.int32).reshape(rows, images)
    predictor.outputs(
        np.zeros((rows, predictor.bundle.preprocessing.width), np.float32), predictor.embed(pixels), index
    )


def _resident() -> int:
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
