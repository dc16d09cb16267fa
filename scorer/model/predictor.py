"""Image tower and head of a bundle, called in batches of fixed shapes, on one device or several."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from scorer import machine
from scorer.errors import BundleError, SettingsError, Terminal
from scorer.model import golden_check
from scorer.model.bundle import Bundle, load_bundle
from scorer.model.content import HEAD, IMAGE_TOWER
from scorer.model.graphs import first_line
from scorer.model.interface import load_head, load_image_tower
from scorer.model.readout import MAIN, Told, effect, ends, read_out
from scorer.objectstore import ObjectStore
from scorer.settings import Precision

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)
Scores = dict[str, npt.NDArray[np.float64]]
Index = npt.NDArray[np.int32]
Segments = Mapping[str, Sequence[str | None]]

LOG = logging.getLogger(__name__)


def one_thread_a_pass() -> None:
    """On CPUs every forward pass stays on one core, and several run at once.

    A pass that is spread over the cores waits for the slowest at each of its layers: MobileNetV3-Small at 224 pixels
    took 2.9 CPU-ms an image so, and 2.5 with a core for each. Without effect once TensorFlow has begun to compute.
    """
    if not tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


def use_float32() -> None:
    """Full float32: GPUs since Ampere would round factors to 10 bits, and cuDNN would choose kernels by the clock."""
    _mix(None)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if _on_gpu():
        tf.config.experimental.enable_op_determinism()


def use_bfloat16() -> None:
    """Convolutions and products in bfloat16 on CPUs that have it (AVX512_BF16, AMX): 0.30 CPU-ms an image, not 0.53."""
    if _on_gpu():
        raise SettingsError("precision bfloat16 is for CPUs; this machine has a GPU: use float16. Nothing was scored.")
    _mix("auto_mixed_precision_onednn_bfloat16")


def use_float16() -> None:
    """Convolutions and products in float16 on the tensor cores of a GPU."""
    if not _on_gpu():
        raise SettingsError("precision float16 is for GPUs and there is none here: use bfloat16. Nothing was scored.")
    _mix("auto_mixed_precision")


def _on_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))


def _mix(option: str | None) -> None:
    """Grappler rewrites a frozen graph as it is, casts of weights folded; the option must stand before it is loaded."""
    known = ("auto_mixed_precision_onednn_bfloat16", "auto_mixed_precision")
    tf.config.optimizer.set_experimental_options({name: name == option for name in known})


PRECISIONS: Mapping[str, Callable[[], None]] = {
    "float32": use_float32,
    "bfloat16": use_bfloat16,
    "float16": use_float16,
}
"""What each precision sets up before the graphs are loaded."""

PASSES_A_GPU = 2
"""Forward passes on one GPU at a time: one computes while the other's pixels travel."""

SMALLEST_TAIL = 32
"""A tail is padded to the next power of two from here on: ten thousand small files would be mostly padding else."""


HEAD_BYTES = 256 << 20
"""Embeddings per forward pass of the head, at most. 1,024 listings of 8 images reach it at 8,192 values an image."""


class Predictor:
    """Scores by one bundle, for one process. Thread-safe.

    The same calls give the same bits on the same machine: shapes are fixed, tails are padded, and it makes no
    difference which device or thread took a batch.

    Attributes:
        batch_images: images per forward pass as it is now; halved when memory did not suffice.
        warnings: what was found out of the ordinary when the golden rows were scored.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        batch_images: int,
        batch_rows: int,
        verify: bool = True,
        devices: Sequence[str] = (),
        precision: Precision = "float32",
    ) -> None:
        """Load the graphs and score the golden rows.

        Args:
            bundle: as loaded.
            batch_images: images per forward pass of the image tower.
            batch_rows: listings per forward pass of the head.
            verify: score the golden rows now.
            devices: TensorFlow's names; by default every GPU, or the CPU where there is none.
            precision: see `PRECISIONS`.

        Raises:
            BundleError: the graphs are unsafe or do not fit bundle.json, or the golden rows score differently here.
            SettingsError: an unknown precision or a batch size below 1.
        """
        if precision not in PRECISIONS or min(batch_images, batch_rows) < 1:
            known = ", ".join(PRECISIONS)
            raise SettingsError(
                f"Precision {precision!r} (known: {known}) or a batch size below 1. Nothing was scored."
            )
        one_thread_a_pass()
        PRECISIONS[precision]()
        self.bundle = bundle
        self.batch_images = batch_images
        self.warnings: tuple[str, ...] = ()
        self._most_rows = bundle.rows_within(HEAD_BYTES, batch_rows)
        self._refused = False
        self._precision = precision
        self._tower = load_image_tower(bundle)
        self._head = load_head(bundle)
        self._devices = tuple(devices) or _all_devices()
        self._gates = [_gate(device) for device in self._devices]
        self._turn = itertools.count()
        self._halving = threading.Lock()
        if verify:
            self.warnings = self._score_golden_rows()

    @property
    def devices(self) -> tuple[str, ...]:
        """One replica each, taken in turn; `embed` spreads what exceeds one batch over all of them."""
        return self._devices

    @property
    def passes(self) -> int:
        """Calls of `embed` that wait for GPUs rather than compute, when all of these are busy."""
        return PASSES_A_GPU * sum("GPU" in device for device in self._devices)

    @property
    def callers(self) -> int:
        """How many threads it takes to keep this machine busy."""
        return self.passes or machine.cores()

    def embed(self, pixels: Pixels) -> Floats:
        """Embeddings of any number of images.

        Args:
            pixels: uint8 [n, S, S, 3]. Whole batches that are C-contiguous and aligned to 64 bytes are not copied.

        Returns:
            float32 [n, D].

        Raises:
            Terminal: not even one image at a time fits into memory.
        """
        size = self.batch_images
        parts = [pixels[start : start + size] for start in range(0, len(pixels), size)]
        found = np.empty((len(pixels), self.bundle.embedding_size), np.float32)
        for start, part in zip(range(0, len(pixels), size), self._spread(parts), strict=True):
            found[start : start + len(part)] = part
        return found

    def heads(self, features: Floats, embeddings: Floats, index: Index) -> Scores:
        """Scores of any number of listings, in the target's unit, or as probabilities.

        Args:
            features: float32 [n, F].
            embeddings: float32 [U, D], of distinct images.
            index: int32 [n, K], which of them each listing has; -1: none.

        Returns:
            float64 [n] for each score of the bundle.
        """
        raw = self.outputs(features, embeddings, index)
        return read_out(self.bundle.readout, self.bundle.targets, raw).scores

    def tell(self, features: Floats, embeddings: Floats, index: Index, segments: Segments | None = None) -> Told:
        """All that readers are told of any number of listings: scores, intervals, classes, the images' effect.

        Args:
            features: float32 [n, F].
            embeddings: float32 [U, D], of distinct images.
            index: int32 [n, K], which of them each listing has; -1: none.
            segments: column -> n values as text, of the columns in `segment_columns`.
        """
        readout, targets = self.bundle.readout, self.bundle.targets
        raw, with_images = self.outputs(features, embeddings, index), np.asarray((index >= 0).any(axis=1), np.bool_)
        told = read_out(readout, targets, raw)
        found = np.where(np.isfinite(told.scores[MAIN]), 0.0, np.nan)
        rows = np.flatnonzero(with_images)
        if len(rows):
            # The head once more, without any image: one column of places, all empty, is all it takes.
            bare = self.outputs(features[rows], embeddings, np.full((len(rows), 1), -1, np.int32))
            found[rows] = effect(readout, told.take(rows), read_out(readout, targets, bare))
        return replace(told, ends=ends(readout, targets, raw, with_images, segments or {}), image_effect=found)

    @property
    def segment_columns(self) -> tuple[str, ...]:
        """Features whose values choose the bands of intervals."""
        return tuple({name.by: None for name in self.bundle.readout.intervals.values() if name.by is not None})

    def outputs(self, features: Floats, embeddings: Floats, index: Index) -> Scores:
        """What the network gives for any number of listings, in its own scale; arguments as for `heads`.

        Returns:
            float64 [n] for each output of the bundle; NaN where the model refuses a listing's numbers.

        Raises:
            Terminal: not even one listing at a time fits into memory.
        """
        found = {name: np.empty(len(features), np.float64) for name in self.bundle.outputs}
        start = 0
        while start < len(features):
            rows = slice(start, start + self._batch_rows)
            for name, values in self._head_part(features[rows], embeddings, index[rows]).items():
                found[name][rows] = values
            start += len(features[rows])
        return found

    @property
    def _batch_rows(self) -> int:
        """Listings per forward pass of the head. Where it is the whole model, its images count as a tower's do."""
        if self.bundle.reusable:
            return self._most_rows
        return max(1, min(self._most_rows, self.batch_images // self.bundle.max_images))

    def _head_part(self, features: Floats, embeddings: Floats, index: Index) -> Scores:
        """At most a batch; in halves if memory ran out meanwhile, or where the model refuses a row's numbers.

        That row alone gets NaN: a category's number beyond a table of embeddings is an error on CPUs.
        """
        size = self._batch_rows
        if len(features) <= size:
            try:
                return self._head_forward(features, embeddings, index, size)
            except tf.errors.ResourceExhaustedError as error:
                self._halve_rows(size, error)
                return self._head_part(features, embeddings, index)
            except tf.errors.InvalidArgumentError as error:
                self._say_refused(error)
                if len(features) == 1:
                    return {name: np.full(1, np.nan) for name in self.bundle.outputs}
        middle = len(features) // 2
        halves = [
            self._head_part(features[rows], embeddings, index[rows]) for rows in (slice(middle), slice(middle, None))
        ]
        return {name: np.concatenate([half[name] for half in halves]) for name in self.bundle.outputs}

    def _head_forward(self, features: Floats, embeddings: Floats, index: Index, size: int) -> Scores:
        inputs = self._head_inputs(features, embeddings, index, size)
        with tf.device(self._devices[0]):
            outputs = self._head(**{name: tf.convert_to_tensor(value) for name, value in inputs.items()})
        return {name: values.numpy()[: len(features)].astype(np.float64) for name, values in outputs.items()}

    def _score_golden_rows(self) -> tuple[str, ...]:
        try:
            warnings = golden_check.check(self.bundle, self.embed, self.heads, self._precision)
        except tf.errors.OpError as error:
            raise BundleError(
                f"The graphs of {self.bundle.uri} fail on the golden rows: {first_line(error)}. Nothing was scored."
                " Score with the version of TensorFlow that saved the bundle, or train it again."
            ) from None
        for warning in warnings:
            LOG.warning(warning)
        return warnings

    def _spread(self, parts: Sequence[Pixels]) -> Iterator[Floats]:
        if len(parts) < 2 or len(self._devices) < 2:
            return map(self._embed_part, parts)
        with ThreadPoolExecutor(len(self._devices)) as replicas:
            return iter(list(replicas.map(self._embed_part, parts)))

    def _embed_part(self, pixels: Pixels) -> Floats:
        """At most a batch; several smaller ones if memory ran out meanwhile."""
        size = self.batch_images
        if len(pixels) > size:
            return np.concatenate([self._embed_part(pixels[at : at + size]) for at in range(0, len(pixels), size)])
        try:
            return self._forward(_padded(pixels, _tail(len(pixels), size)))[: len(pixels)]
        except tf.errors.ResourceExhaustedError as error:
            self._halve(size, error)
        return self._embed_part(pixels)

    def _forward(self, pixels: Pixels) -> Floats:
        turn = next(self._turn) % len(self._devices)
        with self._gates[turn], tf.device(self._devices[turn]):
            outputs = self._tower(pixels=tf.convert_to_tensor(pixels))
            embeddings: Floats = outputs["embedding"].numpy()
        return embeddings

    def _halve(self, size: int, error: Exception) -> None:
        if size == 1:
            raise Terminal(
                f"The image tower of {self.bundle.name} does not fit into memory even for one image at a time"
                f" ({first_line(error)}). Nothing was published. Give the job more memory, or use a smaller model."
            ) from None
        with self._halving:
            if self.batch_images == size:
                self.batch_images = max(1, size // 2)
                LOG.warning(
                    "Memory did not suffice for %d images at a time; going on with %d. No image was lost."
                    " Set speed.batch_images to that to spare the attempt.",
                    size,
                    self.batch_images,
                )

    def _halve_rows(self, size: int, error: Exception) -> None:
        if not self.bundle.reusable and self.batch_images > 1:
            self._halve(self.batch_images, error)
            return
        if size == 1:
            raise Terminal(
                f"The head of {self.bundle.name} does not fit into memory even for one listing at a time"
                f" ({first_line(error)}). Nothing was published. Give the job more memory, or use a smaller model."
            ) from None
        with self._halving:
            if self._most_rows == size:
                self._most_rows = size // 2
                LOG.warning(
                    "Memory did not suffice for the head of %d listings at a time; going on with %d. No row was lost."
                    " Set speed.batch_rows to that to spare the attempt.",
                    size,
                    self._most_rows,
                )

    def _say_refused(self, error: Exception) -> None:
        if not self._refused:
            self._refused = True
            LOG.warning("The model refuses some listings' numbers (%s); these get no score.", first_line(error))

    def _head_inputs(
        self, features: Floats, embeddings: Floats, index: Index, size: int
    ) -> dict[str, npt.NDArray[Any]]:
        """One batch of rows, padded to `size`. K grows to a power of two, so that few shapes are compiled."""
        number, images = index.shape
        width = 1 << max(0, images - 1).bit_length()
        mask = np.zeros((size, width), np.bool_)
        mask[:number, :images] = index >= 0
        gathered = np.zeros((*mask.shape, self.bundle.embedding_size), np.float32)
        gathered[mask] = embeddings[index[index >= 0]]
        return {"features": _padded(features, size), "embeddings": gathered, "mask": mask}


def verify_bundle(uri: str, store: ObjectStore) -> str:
    """Prove that a bundle is intact and works on this machine: digests, graphs, golden rows.

    Returns:
        What was checked, as text for people.

    Raises:
        BundleError: what is wrong with it.
    """
    bundle = load_bundle(uri, store)
    predictor = Predictor(bundle, batch_images=32, batch_rows=max(1, len(bundle.golden)))
    images = {digest for row in bundle.golden for digest in row.pixel_digests}
    lines = [
        f"{bundle.name} {bundle.version} is intact and works here.",
        f"  digests      {len(bundle.digests.files)} files are as they were saved ({bundle.digest})",
        f"  graphs       {IMAGE_TOWER} and {HEAD} hold pure computation on numbers and nothing else",
        f"  golden rows  {len(bundle.golden)} rows with {len(images)} different images score as they did in training",
        *(f"  warning      {warning}" for warning in predictor.warnings),
    ]
    return "\n".join(lines)


def _all_devices() -> tuple[str, ...]:
    gpus = tf.config.list_logical_devices("GPU")
    return tuple(device.name for device in gpus or tf.config.list_logical_devices("CPU")[:1])


def _gate(device: str) -> AbstractContextManager[Any]:
    return threading.Semaphore(PASSES_A_GPU) if "GPU" in device else nullcontext()


def _tail(number: int, size: int) -> int:
    """The fixed shape that so many images are padded to."""
    return min(size, max(SMALLEST_TAIL, 1 << max(0, number - 1).bit_length()))


def _padded(values: npt.NDArray[Value], size: int) -> npt.NDArray[Value]:
    """[n, ...] to [size, ...] with zeros."""
    if len(values) == size:
        return values
    whole = np.zeros((size, *values.shape[1:]), values.dtype)
    whole[: len(values)] = values
    return whole
