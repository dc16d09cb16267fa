"""How many images a forward pass should take on this machine: measured once, when the plan is made."""

import time

import numpy as np

from scorer.model.predictor import Predictor

CANDIDATES = (32, 64, 128, 256)
"""On CPUs 32 to 256 were fastest, and 1,024 took 6 GB for MobileNetV3 at 224 pixels."""

CANDIDATES_ON_GPU = (256, 512, 1024, 2048)

ROUNDS = 3

WORTH = 0.97
"""A larger batch must save three percent of the time: it takes more memory, and a unit's tail more padding."""


def fastest_batch(predictor: Predictor) -> int:
    """The size with the least time per image; the smallest of those that are about as fast.

    Sizes for which the memory does not suffice are out, and so are all larger ones. Takes a second or two.
    """
    sizes = CANDIDATES_ON_GPU if "GPU" in predictor.devices[0] else CANDIDATES
    best, best_time = sizes[0], np.inf
    for size in sizes:
        predictor.batch_images = size
        took = _seconds_per_image(predictor, size)
        if predictor.batch_images < size:
            break
        if took < best_time * WORTH:
            best, best_time = size, took
    predictor.batch_images = best
    return best


def _seconds_per_image(predictor: Predictor, size: int) -> float:
    """Of the fastest of a few rounds; a first one, not counted, makes the kernels ready for the shape."""
    side = predictor.bundle.pixels.size
    pixels = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), np.uint8)
    predictor.embed(pixels)
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        predictor.embed(pixels)
        rounds.append((time.perf_counter() - start) / size)
    return min(rounds)
