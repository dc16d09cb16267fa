"""The tf.data chain from image URIs to embeddings in batches of fixed size, readable top to bottom."""

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from scorer import machine
from scorer.errors import ImageFault
from scorer.intake.batches import ImageBatch, Memory, Request, requests_ahead, requests_at_once
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.isolation import IsolatedDecoder
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.objectstore import Blob
from scorer.settings import ImageLimits, Speed
from scorer.telemetry import Stages

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]

as_it_stands = tf.autograph.experimental.do_not_convert
"""Autograph would read the source file again, and finds another one where the package was updated under a run."""

ALIGNMENT = 64
"""Bytes. TensorFlow takes an array over without a copy only if it starts at a multiple of this."""


TICKET = tf.TensorSpec([], tf.int64)
"""What travels through the chain: the number of a request, whose bytes stay out of TensorFlow's strings (a copy)."""

FINISHED_AHEAD = 16
"""Batches that wait with their embeddings while whoever consumes them is busy with the end of a unit."""

SPARE_CALLS = 1
"""Batches in hand beyond those that are worked on: a batch that is ready early waits for its turn, its thread need not.
"""


@dataclass
class _Flight:
    """A request on its way: what is being fetched, and what came of it."""

    request: Request
    loads: "list[_Load]"
    embeddings: Floats | None = None
    faults: dict[int, ImageFault] = field(default_factory=dict)
    keys: dict[int, bytes] = field(default_factory=dict)
    recalled: dict[int, Floats] = field(default_factory=dict)


class _Outcome(NamedTuple):
    """What came of an image: its pixels, or its embedding where its bytes are known; and their key, if anybody asks."""

    key: bytes | None
    pixels: Pixels | None
    embedding: Floats | None


class _Remote(NamedTuple):
    """A remote image being fetched: its bytes, or what came of it where it was large and decoded at once."""

    uri: str
    content: "Future[Blob | _Outcome]"


_Load = _Remote | str | ImageFault
"""A remote image; the URI of a local file, read when it is decoded; or a URI that was refused."""


class ImagePipeline:
    """Fetches, decodes, resizes and embeds ahead of whoever consumes the batches. One `run` at a time.

    A batch stays with one thread from its first file to its embeddings: every core has work of its own and none waits
    for the others within a layer (docs/decisions/pipeline.md).

    Args:
        fetcher: for remote images.
        places: which URIs may be read.
        spec: the square.
        limits: on each image.
        speed: threads, and requests that are fetched ahead.
        stages: timers.
        batch_images: the buffers' length; requests are no longer.
        embed: uint8 [n, size, size, 3] -> float32 [n, D]; called from several threads. The pixels are its own until it
            returns, C-contiguous and aligned to 64 bytes.
        passes: calls of `embed` that keep no core of this machine busy: batches in hand besides one a core.
        memory: how images are known again; None: nobody asks.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        places: ImagePlaces,
        spec: PixelSpec,
        limits: ImageLimits,
        speed: Speed,
        stages: Stages,
        batch_images: int,
        embed: Callable[[Pixels], Floats],
        passes: int = 0,
        memory: Memory | None = None,
    ) -> None:
        self._fetcher, self._places = fetcher, places
        self._spec, self._limits, self._stages = spec, limits, stages
        self._batch_images, self._embed, self._memory = batch_images, embed, memory
        threads = speed.decode_threads or machine.cores()
        self._calls = threads + passes + SPARE_CALLS
        self._ahead, self._at_once = requests_ahead(speed, batch_images), requests_at_once(speed, batch_images)
        self._isolated = IsolatedDecoder(spec, limits, threads)
        self._flights: dict[int, _Flight] = {}
        self._buffers: queue.SimpleQueue[Pixels] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._stopped = threading.Event()

    def run(self, requests: Iterator[Request]) -> Generator[ImageBatch, None, None]:
        """Batches in the order of the requests. What `requests` raises is raised here."""
        self._failure = None
        self._stopped.clear()
        dataset = (
            tf.data.Dataset.from_generator(lambda: self._fetched(requests), output_signature=TICKET)
            .prefetch(self._ahead)  # a unit is read and looked up while the one before is still being decoded
            .map(as_it_stands(self._embedded), num_parallel_calls=self._calls, deterministic=True)
            .prefetch(FINISHED_AHEAD)
            .with_options(_options(self._calls))
        )
        try:
            for ticket in self._stages.waiting("wait for batches", dataset):
                flight = self._flights.pop(int(ticket))
                self._raise_failure()  # before a batch that a failure left incomplete
                self._stages.gauge("batches under way", len(self._flights))
                recalled = frozenset(flight.recalled)
                yield ImageBatch(flight.request, flight.embeddings, flight.faults, flight.keys, recalled)
        finally:
            self._stopped.set()
            self._isolated.close()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _fetched(self, requests: Iterator[Request]) -> Iterator[int]:
        """Tickets of requests whose remote images have arrived; a few further requests are under way behind them."""
        ahead: deque[int] = deque()
        machine.keep_freed_memory()
        try:
            for ticket, request in zip(itertools.count(), requests, strict=False):
                if self._stopped.is_set():
                    return
                self._flights[ticket] = _Flight(request, [self._load(uri, request.isolate) for uri in request.uris])
                ahead.append(ticket)
                if len(ahead) > self._ahead:
                    for _ in range(self._at_once):
                        yield self._arrived(ahead.popleft())
            while ahead:
                yield self._arrived(ahead.popleft())
        except BaseException as error:
            self._failure = error

    def _load(self, uri: str, isolate: bool) -> _Load:
        try:
            place = self._places.resolve(uri)
            content = self._fetcher.start(place, partial(self._outcome, isolate, place), self._stages)
            return place if content is None else _Remote(place, content)
        except ImageFault as fault:
            return fault

    def _arrived(self, ticket: int) -> int:
        with self._stages("wait for images", 0):
            # The last first, which all others precede: every time that this thread wakes up a forward pass makes way.
            for load in reversed(self._flights[ticket].loads):
                if isinstance(load, _Remote):
                    error = load.content.exception()
                    if error is not None and not isinstance(error, ImageFault):
                        raise error
        return ticket

    def _embedded(self, ticket: tf.Tensor) -> tf.Tensor:
        done = tf.numpy_function(self._work, [ticket], tf.int64)
        done.set_shape([])
        return done

    def _work(self, ticket: int) -> np.int64:
        """Runs in TensorFlow's threads; reading, decoding, resizing and the forward pass release the GIL."""
        flight = self._flights[int(ticket)]
        number = len(flight.loads)
        pixels = self._buffer()
        try:
            with self._stages("decode", number):
                self._decode(flight, pixels)
            missing = number - len(flight.recalled)
            if number > len(flight.faults) and not self._stopped.is_set():
                with self._stages("image tower", missing):
                    flight.embeddings = self._embedded_or_recalled(flight, pixels, number)
        except BaseException as error:
            self._failure = self._failure or error
            self._stopped.set()
        finally:
            flight.loads = []
            self._buffers.put(pixels)
        return np.int64(ticket)

    def _embedded_or_recalled(self, flight: _Flight, pixels: Pixels, number: int) -> Floats:
        if not flight.recalled:
            return self._embed(pixels[:number])
        fresh = [position for position in range(number) if position not in flight.recalled]
        some = next(iter(flight.recalled.values()))
        found = np.zeros((number, len(some)), np.float32)
        if len(flight.faults) < len(fresh):
            found[fresh] = self._embed(pixels[: len(fresh)])
        for position, embedding in flight.recalled.items():
            found[position] = embedding
        return found

    def _decode(self, flight: _Flight, pixels: Pixels) -> None:
        """Pixels of the images in their order, close together: those that are recalled leave no gap."""
        before = time.perf_counter()
        for position, load in enumerate(flight.loads):
            out = pixels[position - len(flight.recalled)]
            try:
                self._into(out, load, flight, position)
            except ImageFault as fault:
                flight.faults[position] = fault
                out[...] = 0
            now = time.perf_counter()
            self._stages.item("decode", flight.request.uris[position], now - before)
            before = now

    def _into(self, out: Pixels, load: _Load, flight: _Flight, position: int) -> None:
        if isinstance(load, ImageFault):
            raise load
        uri, found = (load, self._fetcher.blob(load)) if isinstance(load, str) else (load.uri, load.content.result())
        came = self._outcome(flight.request.isolate, uri, found, out) if isinstance(found, Blob) else found
        if came.embedding is not None:
            flight.recalled[position] = came.embedding
        elif came.pixels is not None and came.pixels is not out:
            out[...] = came.pixels
        if came.key is not None:
            flight.keys[position] = came.key

    def _outcome(self, isolate: bool, uri: str, blob: Blob, out: Pixels | None = None) -> _Outcome:
        """What is known by its bytes is not decoded. Without `out` the pixels get a square of their own."""
        key = self._memory.identify(uri, blob) if self._memory else None
        recall = self._memory.recall if self._memory else None
        embedding = recall(key) if recall and key is not None else None
        if embedding is not None:
            return _Outcome(key, None, embedding)
        if out is None:
            out = np.empty((self._spec.size, self._spec.size, 3), np.uint8)
        return _Outcome(key, self._decode_file(isolate, blob.data, out), None)

    def _decode_file(self, isolate: bool, data: bytes, out: Pixels) -> Pixels:
        if isolate:
            self._isolated.decode(data, out)
            return out
        return decode_image(data, self._spec, self._limits, out, self._isolated.decode)

    def _buffer(self) -> Pixels:
        """A used buffer, or a new one: page faults of fresh memory cost 0.08 ms an image at 64 pixels."""
        try:
            return self._buffers.get_nowait()
        except queue.Empty:
            shape = (self._batch_images, self._spec.size, self._spec.size, 3)
            raw = np.empty(int(np.prod(shape)) + ALIGNMENT, np.uint8)
            start = -raw.ctypes.data % ALIGNMENT
            return raw[start : start + raw.size - ALIGNMENT].reshape(shape)


def _options(calls: int) -> tf.data.Options:
    options = tf.data.Options()
    # Threads of its own: these wait for forward passes, which run in TensorFlow's common ones.
    options.threading.private_threadpool_size = calls + 1  # and the generator
    options.autotune.enabled = False  # with it, ending an iterator stalled up to 5 s in about half of the tries
    options.deterministic = True
    return options
