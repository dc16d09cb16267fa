"""Objects by URI, whoever holds them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from scorer.errors import NotFound, SettingsError
from scorer.objectstore import s3_etags
from scorer.objectstore.litter import sweep_files, sweep_uploads
from scorer.objectstore.local import LocalFiles
from scorer.objectstore.places import Blob, ObjectInfo, parse
from scorer.objectstore.retry import Patience
from scorer.objectstore.s3 import S3


class ObjectStore:
    """The same calls for S3 and local files. Thread-safe; picklable (clients are made anew).

    Every method may raise Forbidden, and StoreUnreachable after the client's own retries.
    """

    def __init__(self, concurrency: int = 32, patience: Patience | None = None) -> None:
        """`concurrency` bounds the pooled connections, not the requests: callers bound those."""
        self.concurrency = concurrency
        self.patience = patience or Patience()
        self._files = LocalFiles()

    def __reduce__(self) -> tuple[Any, ...]:
        return (ObjectStore, (self.concurrency,))

    @cached_property
    def _s3(self) -> S3:
        return S3(self.concurrency, self.patience)

    def get(self, uri: str, *, if_match: str | None = None, max_bytes: int | None = None) -> Blob:
        """The whole object. Raises NotFound, TooLarge (over `max_bytes`), PreconditionFailed (not `if_match`)."""
        place = parse(uri)
        if place.bucket is None:
            return self._files.get(place.key, if_match, max_bytes)
        return self._s3.get(place, if_match, max_bytes)

    def head(self, uri: str) -> ObjectInfo:
        """Size, ETag and time of one object. Raises NotFound."""
        place = parse(uri)
        return self._files.head(place.key) if place.bucket is None else self._s3.head(place)

    def exists(self, uri: str) -> bool:
        """Whether there is such an object."""
        try:
            self.head(uri)
        except NotFound:
            return False
        return True

    def list_all(self, prefix: str) -> list[ObjectInfo]:
        """Every object below a folder or prefix, sorted by URI; hidden local files are left out. Empty if none."""
        place = parse(prefix.rstrip("/") + "/")
        found = self._files.list_all(place.key) if place.bucket is None else self._s3.list_all(place)
        return sorted(found, key=lambda info: info.uri)

    def etags(self, uris: Sequence[str]) -> list[str | None]:
        """The ETags of many objects as they are now; None where there is none, or none that may be seen.

        Args:
            uris: canonical. Local files are asked one by one, 3 µs each; S3 by pages of listings where many of the keys
                stand close together, else by a HEAD each.
        """
        found: dict[str, str | None] = dict.fromkeys(uris)
        local = [uri for uri in found if not uri.startswith("s3://")]
        found.update(zip(local, self._files.etags(local), strict=True))
        if len(local) < len(found):
            found |= s3_etags.find(self._s3, [uri for uri in found if uri.startswith("s3://")])
        return [found[uri] for uri in uris]

    def download(self, uri: str, path: Path) -> None:
        """One object of a bucket as a local file. Raises NotFound."""
        self._s3.download(parse(uri), path)

    def open(self, uri: str, etag: str | None = None) -> BinaryIO:
        """A seekable reader, as pyarrow wants it. With `etag` each read insists on that version, or InputChanged."""
        place = parse(uri)
        return self._files.open(place.key, etag) if place.bucket is None else self._s3.open(place, etag)

    def put(self, uri: str, data: bytes, *, if_none_match: bool = False, if_match: str | None = None) -> str:
        """Write one object in one step and return its ETag.

        Args:
            uri: where to.
            data: the whole content.
            if_none_match: only if nothing is there yet.
            if_match: only if what is there has this ETag.

        Raises:
            PreconditionFailed: the condition does not hold; nothing was written.
        """
        place = parse(uri)
        if place.bucket is None:
            return self._files.put(place.key, data, if_none_match, if_match)
        return self._s3.put(place, data, if_none_match, if_match)

    def put_file(self, uri: str, path: Path) -> ObjectInfo:
        """Move a finished local file to its place in one step (multipart on S3). The file itself is consumed."""
        place = parse(uri)
        if place.bucket is None:
            return self._files.put_file(place.key, path)
        return self._s3.put_file(place, path)

    def copy(self, source: str, target: str, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        """Replace `target` by a copy of `source` in one atomic step; both in S3 or both local.

        The conditions on `target` are those of `put`, with one difference: an S3-compatible store may not know them for
        copies, and then copies regardless. Callers look again afterwards.
        """
        origin, place = parse(source), parse(target)
        if (origin.bucket is None) != (place.bucket is None):
            raise SettingsError(f"Cannot copy {source} to {target}: both must be in S3, or both local.")
        if place.bucket is None:
            return self._files.copy(origin.key, place.key, if_none_match, if_match)
        return self._s3.copy(origin, place, if_none_match, if_match)

    def sweep(self, prefix: str, before: datetime) -> int:
        """Remove what writers that were killed left half-written below a folder or prefix; nobody ever saw it.

        Returns:
            How many hidden files, or multipart uploads, were begun before that moment (UTC) and are gone now.
        """
        place = parse(prefix.rstrip("/") + "/")
        return sweep_files(place.key, before) if place.bucket is None else sweep_uploads(self._s3.boto, place, before)

    def delete(self, uris: Iterable[str]) -> None:
        """Remove objects; one that is gone already is fine."""
        for uri in uris:
            place = parse(uri)
            if place.bucket is None:
                self._files.delete(place.key)
            else:
                self._s3.delete(place)
