"""What somebody wants of the images' pipeline, and what comes back. Without TensorFlow, unlike the pipeline."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scorer.errors import ImageFault
from scorer.objectstore import Blob
from scorer.settings import Speed

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Request:
    """Up to one batch of images that somebody wants.

    Attributes:
        owner: who wants them; comes back with the batch.
        first: position of the first among all the owner's images.
        uris: as written in the listings.
        last: whether the owner wants no more.
        isolate: decode in a process of its own, also the formats that are trusted otherwise.
    """

    owner: Any
    first: int
    uris: list[str]
    last: bool
    isolate: bool = False


@dataclass(frozen=True)
class ImageBatch:
    """What became of a request.

    Attributes:
        request: what was asked for.
        embeddings: float32 [len(request.uris), D], meaningless where there is a fault; None if no image can be used.
        faults: position within the request -> why this image cannot be used.
        keys: position -> by what these very bytes are known again; of images without a fault, if anybody asks.
        recalled: positions whose embeddings were known by their bytes.
    """

    request: Request
    embeddings: Floats | None
    faults: dict[int, ImageFault]
    keys: dict[int, bytes] = field(default_factory=dict)
    recalled: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Memory:
    """How images are known again.

    Attributes:
        identify: canonical URI and what came from there -> key.
        recall: key -> its embedding, float32 [D], if there is one; None: what is fetched is not known, or it would not
            have been asked for.
    """

    identify: Callable[[str, Blob], bytes]
    recall: Callable[[bytes], Floats | None] | None = None


def requests_at_once(speed: Speed, batch_images: int) -> int:
    """Requests whose images are asked for together: several of small ones.

    A client and a server that have work for a while take less of the cores than ones that are woken for every few
    images: beside forward passes at 224 pixels a GET took 1.4 CPU-ms, with the server's part, where 64 images were
    asked for together, and 1.5 where 16 were.
    """
    return max(1, 2 * speed.fetch_concurrency // batch_images)


def requests_ahead(speed: Speed, batch_images: int) -> int:
    """Requests whose images are fetched behind the next one: more of small ones, so that no connection idles."""
    return max(speed.buffered_batches, 4 * speed.fetch_concurrency // batch_images)
