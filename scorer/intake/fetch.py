"""An image's URI to its bytes, or a named failure.

A URI is hostile input: it comes from whoever wrote the listing. Only the listings' own place and what the settings add
to it may be read, and no way leads up or out.
"""

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from scorer.errors import (
    CredentialsRefused,
    Forbidden,
    ImageFault,
    NotFound,
    SettingsError,
    StoreUnreachable,
    Terminal,
    TooLarge,
)
from scorer.objectstore import Blob, ObjectStore, canonical, join, parse
from scorer.settings import ImageLimits, ImageSources
from scorer.telemetry import Stages

UNREACHABLE_IN_A_ROW = 8
"""Images in a row that the store fails to deliver, each after its own retries, before the store counts as down."""

MAX_URI = 2048
"""Longest URI, in characters: S3 keys end at 1,024 bytes, file systems at 4,096."""

PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.=@+-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.=@+-]*)*")
"""A relative URI without anything that could mean something else: it is below the base as it stands."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class ImagePlaces:
    """Resolves URIs against the listings' place and refuses what is not allowed.

    Attributes:
        base: folder or prefix of the listings, canonical.
        buckets: S3 buckets that may be read.
        folders: local folders that may be read, or None for all (listings that are local themselves).
    """

    base: str
    buckets: frozenset[str]
    folders: tuple[str, ...] | None

    @classmethod
    def of(cls, base: str, sources: ImageSources) -> "ImagePlaces":
        """Listings in S3: their bucket and no local file. Local listings: any local file, or those that are named."""
        place = parse(base)
        folders = tuple(canonical(folder) for folder in sources.folders)
        if place.bucket is not None:
            return cls(canonical(base), frozenset({place.bucket, *sources.buckets}), folders)
        return cls(canonical(base), frozenset(sources.buckets), (canonical(base), *folders) if folders else None)

    def resolve(self, text: str) -> str:
        """The canonical URI of an image. Raises ImageFault(image_forbidden)."""
        if len(text) > MAX_URI or not text.isprintable():
            raise ImageFault("image_forbidden", f"malformed URI {text[:80]!r}")
        scheme, separator, _ = text.partition("://")
        if separator and scheme not in ("s3", "file"):
            raise ImageFault("image_forbidden", f"scheme {scheme[:20]!r} of {text[:200]!r} is not allowed")
        absolute = separator or text.startswith("/")
        try:
            place = parse(text if absolute else join(self.base, text))
        except SettingsError as error:
            raise ImageFault("image_forbidden", str(error)) from None
        if ".." in text.split("/") or (scheme == "file" and "%2e" in text.lower()):
            raise ImageFault("image_forbidden", f"{text[:200]!r} leads up by '..'")
        self._insist(place.bucket, place.key, text)
        return place.uri

    def resolve_all(self, texts: Sequence[str]) -> list[str | None]:
        """`resolve` for many; None where it would refuse. 0.5 µs for a plain URI, as nearly all are."""
        buckets = [f"s3://{bucket}/" for bucket in self.buckets]
        base = self.base.rstrip("/") + "/"
        return [self._resolved(text, base, buckets) for text in texts]

    def _resolved(self, text: str, base: str, buckets: list[str]) -> str | None:
        if PLAIN.fullmatch(text) and len(text) <= MAX_URI:
            return base + text
        for bucket in buckets:
            if text.startswith(bucket) and PLAIN.fullmatch(text, len(bucket)) and len(text) <= MAX_URI:
                return text
        try:
            return self.resolve(text)
        except ImageFault:
            return None

    def _insist(self, bucket: str | None, path: str, text: str) -> None:
        if bucket is not None:
            if bucket not in self.buckets:
                raise ImageFault("image_forbidden", f"bucket {bucket!r} of {text[:200]!r} is not allowed")
        elif self.folders is not None and not any(path.startswith(folder + "/") for folder in self.folders):
            raise ImageFault("image_forbidden", f"{text[:200]!r} is outside the allowed folders")


class Fetcher:
    """Image bytes by URI, many at a time. Thread-safe; close it, or use it as a context manager."""

    def __init__(self, store: ObjectStore, limits: ImageLimits, concurrency: int) -> None:
        """`concurrency` is the number of requests in flight at the store."""
        self._store = store
        self._limits = limits
        self._pool = ThreadPoolExecutor(concurrency, "fetch")
        self._failed_in_a_row = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop what is queued and end the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def get(self, uri: str) -> bytes:
        """The bytes of one image. Raises as `blob`."""
        return self.blob(uri).data

    def blob(self, uri: str) -> Blob:
        """The bytes of one image, and the ETag that they came with.

        Raises:
            ImageFault: this image cannot be had; others can.
            StoreUnreachable: the store is down, or does not accept our credentials.
        """
        try:
            blob = self._store.get(uri, max_bytes=self._limits.max_bytes)
        except NotFound as error:
            raise ImageFault("image_not_found", str(error)) from None
        except Forbidden as error:
            raise ImageFault("image_forbidden", str(error)) from None
        except TooLarge as error:
            raise ImageFault("image_too_large", str(error)) from None
        except Terminal as error:
            raise ImageFault("image_unreachable", str(error)) from None
        except CredentialsRefused:
            raise
        except StoreUnreachable as error:
            self._count_failure(uri, error)
            raise ImageFault("image_unreachable", str(error), transient=True) from None
        self._failed_in_a_row = 0
        return blob

    def start(self, uri: str, then: Callable[[Blob], Result], stages: Stages) -> "Future[Blob | Result] | None":
        """Begin to fetch a remote image; None for a local file, which whoever decodes it reads at once itself.

        Args:
            uri: canonical.
            then: what to make of a large image at once, so that few large bodies are held at a time.
            stages: told how long the fetch takes.
        """
        if parse(uri).bucket is None:
            return None
        return self._pool.submit(self._fetch, uri, then, stages)

    def _fetch(self, uri: str, then: Callable[[Blob], Result], stages: Stages) -> "Blob | Result":
        with stages("fetch"):
            blob = self.blob(uri)
        return blob if len(blob.data) <= HOLD_BYTES else then(blob)

    def _count_failure(self, uri: str, error: StoreUnreachable) -> None:
        with self._lock:
            self._failed_in_a_row += 1
            failed = self._failed_in_a_row
        if failed >= UNREACHABLE_IN_A_ROW:
            raise StoreUnreachable(
                f"{failed} images in a row could not be fetched, the last one {uri}. {error}"
                " Nothing was published; finished units are kept. Start the run again when the store answers."
            ) from None


HOLD_BYTES = 512 * 1024
"""Larger bodies are decoded in the fetching thread and dropped: 256 images of 20 MiB would take 5 GiB otherwise."""
