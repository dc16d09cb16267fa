"""Embeddings of all training images, computed once by the very graph that goes into the bundle."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from scorer.model import graphs
from scorer.model.freezing import freeze
from scorer.training.images import Embeddings, ImageCache, Pixels
from scorer.training.state import replace_file

Progress = Callable[[str], None]
Mapped = np.memmap[Any, np.dtype[np.float32]]

BATCH = 32
"""Images per pass. The last one is filled up, so that every image is computed by the same kernels."""

MARK = "embedded.json"
TOLD_EVERY = 2048
"""Images between two lines of progress, half a minute at 224 pixels on two cores."""


@dataclass(frozen=True)
class Embedded:
    """An image tower that does not change any more, and what it makes of the training images.

    Attributes:
        graph: frozen, uint8 [B, S, S, 3] -> float32 [B, D].
        values: float32 [slots, D], memory-mapped; zeros in slots without an image.
    """

    graph: bytes = field(repr=False)
    values: Embeddings = field(repr=False)

    @property
    def size(self) -> int:
        """D."""
        return int(self.values.shape[1])


def frozen_tower(tower: keras.Model, size: int) -> bytes:
    """The graph of an image tower: uint8 [B, S, S, 3] "pixels" -> float32 [B, D] "embedding"."""
    return freeze(tower, {"pixels": tf.TensorSpec([None, size, size, 3], tf.uint8)}, outputs=("embedding",))


def embed_images(
    tower: keras.Model, cache: ImageCache, folder: Path, progress: Progress, kept: Path | None = None
) -> Embedded:
    """Freeze the tower and run every decoded image through it.

    Args:
        tower: uint8 [B, S, S, 3] -> float32 [B, D].
        cache: the decoded images.
        folder: for the memory-mapped file.
        progress: gets a line now and then.
        kept: a folder in which embeddings outlive a training that is cut off, so that the next one goes on.
    """
    graph = frozen_tower(tower, cache.pixels.shape[1])
    slots = np.unique(np.fromiter(cache.slots.values(), np.int64, len(cache.slots)))
    values, done = _opened((len(cache.pixels), tower.output_shape[-1]), graph, folder, kept)
    run = graphs.load_graph(graph, "the image tower")
    for start in range(done, len(slots), BATCH):
        chosen = slots[start : start + BATCH]
        values[chosen] = run(pixels=tf.constant(_filled(cache.pixels[chosen])))["embedding"].numpy()[: len(chosen)]
        if start and start % TOLD_EVERY == 0:
            progress(f"{start:,} of {len(slots):,} images embedded.")
            _mark(graph, start, values, kept)
    _mark(graph, len(slots), values, kept)
    return Embedded(graph, values)


def _opened(shape: tuple[int, int], graph: bytes, folder: Path, kept: Path | None) -> tuple[Mapped, int]:
    """The file, and how many images are done in it."""
    if kept is None:
        # Without a name: the space is free again as soon as nobody looks at the embeddings any more.
        with tempfile.TemporaryFile(dir=folder) as file:
            return np.memmap(file, np.float32, "w+", shape=shape), 0
    path, mark = kept / "embeddings.float32", kept / MARK
    done = json.loads(mark.read_text(encoding="utf-8")) if mark.is_file() else {}
    if done.get("graph") == _digest(graph) and path.is_file() and path.stat().st_size == 4 * shape[0] * shape[1]:
        return np.memmap(path, np.float32, "r+", shape=shape), int(done["images"])
    mark.unlink(missing_ok=True)  # before the file is begun anew, or it would vouch for zeros
    return np.memmap(path, np.float32, "w+", shape=shape), 0


def _mark(graph: bytes, images: int, values: Mapped, kept: Path | None) -> None:
    if kept is not None:
        values.flush()  # what it vouches for is on the disk before it
        replace_file(kept / MARK, json.dumps({"graph": _digest(graph), "images": images}).encode())


def _digest(graph: bytes) -> str:
    return hashlib.sha256(graph).hexdigest()


def _filled(pixels: Pixels) -> Pixels:
    missing = BATCH - len(pixels)
    return np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else pixels
