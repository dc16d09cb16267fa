"""By what an image is known again: a key of 128 bits for the bytes that lie under a URI.

A key that could stand for two images would serve one's embedding as the other's, and URIs come from strangers; so it is
a cryptographic hash (BLAKE2b), 0.5 µs each. What cannot be known without fetching has none, and is fetched.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from scorer.intake.fetch import ImagePlaces
from scorer.objectstore import Blob, ObjectStore

Keys = npt.NDArray[np.uint64]
"""[n, 2], the high and the low half of n keys."""

Policy = Literal["etag", "uri", "content"]

KEY_BYTES = 16


class Identities(NamedTuple):
    """Of n images: their keys, and whether they have one (zeros otherwise): bool [n]."""

    keys: Keys
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Identifier:
    """Tells images by one policy; see `embeddings.identity` of the settings."""

    places: ImagePlaces
    policy: Policy
    store: ObjectStore

    def listed(self, texts: Sequence[str]) -> Identities:
        """Of images as they are now, without fetching any of them.

        Args:
            texts: URIs as written in the listings.

        Raises:
            StoreUnreachable: the store does not answer.
        """
        if self.policy == "content":
            return Identities(np.zeros((len(texts), 2), np.uint64), np.zeros(len(texts), bool))
        uris = self.places.resolve_all(texts)
        if self.policy == "uri":
            return _identities([None if uri is None else _key("uri", uri) for uri in uris])
        etags = iter(self.store.etags([uri for uri in uris if uri is not None]))
        tags = [None if uri is None else next(etags) for uri in uris]
        return _identities([_by_etag(uri, tag) for uri, tag in zip(uris, tags, strict=True)])

    def of(self, uri: str, blob: Blob) -> bytes:
        """The key of bytes that are here, whatever a listing said before. `uri` is canonical."""
        if self.policy == "content":
            return hashlib.sha256(blob.data).digest()[:KEY_BYTES]
        return _key("uri", uri) if self.policy == "uri" else _by_etag(uri, blob.etag) or bytes(KEY_BYTES)


def packed(keys: Sequence[bytes]) -> Keys:
    """Keys of 16 bytes each as an array."""
    return np.frombuffer(b"".join(keys), "<u8").astype(np.uint64, copy=False).reshape(-1, 2)


def _identities(keys: Sequence[bytes | None]) -> Identities:
    known = np.fromiter((key is not None for key in keys), bool, len(keys))
    return Identities(packed([key or bytes(KEY_BYTES) for key in keys]), known)


def _by_etag(uri: str | None, etag: str | None) -> bytes | None:
    """Listings and GETs of some stores differ in quotes; no ETag at all tells nothing."""
    tag = (etag or "").removeprefix("W/").strip('"')
    return _key("etag", f"{uri}\0{tag}") if tag else None


def _key(policy: str, text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES, person=policy.encode()).digest()
