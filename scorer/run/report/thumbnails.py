"""Small pictures of listings for a page: fetched within the run's own limits, decoded in another process."""

import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg

from scorer.errors import ImageFault, StoreUnreachable, Transient
from scorer.intake import formats
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.isolation import IsolatedDecoder
from scorer.intake.pixels import PixelSpec
from scorer.objectstore import ObjectStore
from scorer.settings import Job

SIDE = 224
"""Pixels of a picture's longer side: some 10 KB as JPEG, and sharp where a phone has two pixels for one."""

QUALITY = 70

TRIES = 3
"""Images of a listing that are tried before it is shown without one."""

BUDGET = 1_600_000
"""Characters of data URIs on one page, so that it stays below 3 MB."""

SECONDS = 20.0
"""After that no further image is asked for: a run shall not wait for its page."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture, or why there is none.

    Attributes:
        uri: data:image/jpeg; empty if there is none.
        width: pixels; with `height` in the proportions of the file.
        why_not: a reason, or words.
    """

    uri: str = ""
    width: int = SIDE
    height: int = SIDE
    why_not: str = ""


def thumbnails(images: Mapping[str, Sequence[str]], base: str, job: Job, store: ObjectStore) -> dict[str, Thumbnail]:
    """One picture for each listing, the first of its images that can be used.

    Args:
        images: listing -> image URIs as written.
        base: what relative URIs are resolved against.
        job: which places may be read, and what an image may cost.
        store: where they are.
    """
    spec, until, spent = PixelSpec(size=SIDE), time.monotonic() + SECONDS, 0
    places, made = ImagePlaces.of(base, job.sources), dict[str, Thumbnail]()
    with Fetcher(store, job.images, 4) as fetcher, IsolatedDecoder(spec, job.images, 1) as decoder:
        for listing, uris in images.items():
            if time.monotonic() > until or spent > BUDGET:
                made[listing] = Thumbnail(why_not="left out: the page has its size, or took its time")
                continue
            made[listing] = _first(uris[:TRIES], places, fetcher, decoder)
            spent += len(made[listing].uri)
    return made


def _first(uris: Iterable[str], places: ImagePlaces, fetcher: Fetcher, decoder: IsolatedDecoder) -> Thumbnail:
    why_not = "no_images"
    for uri in uris:
        try:
            return _thumbnail(fetcher.get(places.resolve(uri)), decoder)
        except ImageFault as fault:
            why_not = fault.reason
        except (StoreUnreachable, Transient):
            return Thumbnail(why_not="image_unreachable")
    return Thumbnail(why_not=why_not)


def _thumbnail(data: bytes, decoder: IsolatedDecoder) -> Thumbnail:
    square = np.empty((SIDE, SIDE, 3), np.uint8)
    decoder.decode(data, square)
    width, height = _proportions(data)
    picture = cv2.resize(square, (width, height), interpolation=cv2.INTER_AREA)
    encoded = simplejpeg.encode_jpeg(picture, quality=QUALITY, colorspace="RGB")
    return Thumbnail("data:image/jpeg;base64," + base64.b64encode(encoded).decode(), width, height)


def _proportions(data: bytes) -> tuple[int, int]:
    """Of the upright image, its longer side `SIDE`, no side below a quarter of that."""
    header = formats.recognise(data)[1].probe(data)
    width, height = header.width, header.height
    if header.orientation >= 5:
        width, height = height, width
    scale = SIDE / max(width, height)
    return max(SIDE // 4, round(width * scale)), max(SIDE // 4, round(height * scale))
