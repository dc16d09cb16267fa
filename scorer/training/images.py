"""Every distinct image of the training listings, decoded once, in a file that the operating system pages."""

import hashlib
import json
import math
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scorer.errors import ImageFault, InputChanged, StoreUnreachable
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.isolation import IsolatedDecoder
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.settings import ImageLimits
from scorer.training.state import replace_file

Pixels = npt.NDArray[np.uint8]
Embeddings = npt.NDArray[np.float32]

PIXELS, ACCOUNT = "pixels.uint8", "decoded.json"

_NO_BUNDLE = "No bundle was written; train again."


@dataclass(frozen=True)
class Source:
    """Where images come from and what they may cost."""

    fetcher: Fetcher
    places: ImagePlaces
    limits: ImageLimits
    threads: int


@dataclass(frozen=True)
class ImageCache:
    """Decoded images by slot; several URIs with the same bytes have one slot.

    Attributes:
        pixels: uint8 [slots, S, S, 3], memory-mapped; unused slots are zero.
        slots: URI as written -> slot, for the images that can be used.
        digests: SHA-256 of the bytes by URI as written, also of images that were fetched and could not be decoded.
        faults: how many distinct images cannot be used, by reason.
    """

    pixels: Pixels
    slots: dict[str, int]
    digests: dict[str, str]
    faults: Counter[str]

    def bytes_of(self, uri: str, source: Source) -> bytes:
        """The file that was decoded, fetched again.

        Raises:
            InputChanged: it is gone or another one by now.
            StoreUnreachable: the store does not say.
        """
        try:
            data = source.fetcher.get(source.places.resolve(uri))
        except ImageFault as fault:
            if fault.transient:
                raise StoreUnreachable(
                    f"{uri} could not be fetched a second time, for the bundle ({fault}). No bundle was written; train"
                    " again when the store answers, with a state from where this training was."
                ) from None
            raise InputChanged(f"{uri} went while the model trained on it ({fault}). {_NO_BUNDLE}") from None
        if hashlib.sha256(data).hexdigest() != self.digests[uri]:
            raise InputChanged(f"{uri} was replaced while the model trained on it. {_NO_BUNDLE}")
        return data


def cache_images(
    uris: Sequence[str], spec: PixelSpec, source: Source, folder: Path, kept: Path | None = None
) -> ImageCache:
    """Fetch, hash and decode in parallel; the same bytes are decoded once.

    Args:
        uris: distinct, as written in the listings.
        spec: size, filter, decoding; scoring uses the same.
        source: where from; its threads fetch and decode (both release the GIL).
        folder: where the memory-mapped file goes. It is sparse: slots without an image take no room.
        kept: in its place, a folder that outlives a training that is cut off; what is whole in it is taken as it is.

    Raises:
        StoreUnreachable: the store is down; nothing was written.
    """
    shape = (max(len(uris), 1), spec.size, spec.size, 3)
    if kept is not None and (found := _kept(kept, shape)) is not None:
        return found
    if kept is not None:
        (kept / ACCOUNT).unlink(missing_ok=True)  # before the file is begun anew, or it would vouch for zeros
    pixels = np.memmap((kept or folder) / PIXELS, np.uint8, "w+", shape=shape)
    slots, digests, faults = {}, {}, dict[str, str]()
    owners: dict[str, int] = {}
    lock = threading.Lock()

    def load(place: int) -> None:
        uri = uris[place]
        try:
            data = source.fetcher.get(source.places.resolve(uri))
            digest = digests[uri] = hashlib.sha256(data).hexdigest()
            with lock:
                owner = owners.setdefault(digest, place)
            if owner == place:
                decode_image(data, spec, source.limits, pixels[place], isolated.decode)
        except ImageFault as fault:
            faults[uri] = fault.reason

    with (
        IsolatedDecoder(spec, source.limits, source.threads) as isolated,
        ThreadPoolExecutor(source.threads, "examples") as pool,
    ):
        for _ in pool.map(load, range(len(uris))):
            pass
    for uri, digest in digests.items():
        owner = uris[owners[digest]]
        if owner in faults:
            faults[uri] = faults[owner]
        else:
            slots[uri] = owners[digest]
    # Where nothing can be used, nothing is kept: the next try finds out whether access or files have come meanwhile.
    if kept is not None and slots:
        pixels.flush()  # what the account vouches for is on the disk before it
        account = {"slots": slots, "digests": digests, "faults": Counter(faults.values())}
        replace_file(kept / ACCOUNT, json.dumps(account).encode())
    return ImageCache(pixels, slots, digests, Counter(faults.values()))


def _kept(folder: Path, shape: tuple[int, int, int, int]) -> ImageCache | None:
    """What an earlier try at the same training decoded, if it came to the end of it."""
    path = folder / PIXELS
    if not (folder / ACCOUNT).is_file() or not path.is_file() or path.stat().st_size != math.prod(shape):
        return None
    account = json.loads((folder / ACCOUNT).read_text(encoding="utf-8"))
    pixels = np.memmap(path, np.uint8, "r", shape=shape)
    return ImageCache(pixels, account["slots"], account["digests"], Counter(account["faults"]))
