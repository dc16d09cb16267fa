"""Files of a store in S3 as local ones: each is copied once, then found again. Local stores are read where they are."""

import contextlib
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from scorer.errors import InputError
from scorer.objectstore import ObjectInfo, ObjectStore, file_name, parse

KEPT_S = 24 * 3600.0
"""For so long a copy stays that is in no listing."""


class LocalCopies:
    """The copies of one image tower's files. Names are never used twice, so a copy of the right size is the file."""

    def __init__(self, uri: str, tower: str, cache: str | None, store: ObjectStore) -> None:
        self._store = store
        self._remote = parse(uri).bucket is not None
        place = hashlib.sha256(uri.encode()).hexdigest()[:16]
        self._folder = Path(cache or _own_folder()) / place / tower

    def path(self, info: ObjectInfo) -> Path:
        """Where the file lies locally; copied if it is not there yet. Raises NotFound, InputError."""
        if not self._remote:
            return Path(info.uri)
        path = self._folder / file_name(info.uri)
        if not (path.is_file() and path.stat().st_size == info.size):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside = self._folder / f".{path.name}.{secrets.token_hex(6)}"
            try:
                self._store.download(info.uri, beside)
                if beside.stat().st_size != info.size:
                    raise InputError(f"{beside.stat().st_size:,} bytes came instead of {info.size:,}")
                os.replace(beside, path)
            finally:
                beside.unlink(missing_ok=True)
        return path

    def forget_all_but(self, names: Iterable[str]) -> None:
        """Remove the copies of files that are not in the store any more, but for those that came lately.

        What is not in our listing may be in that of another process, which is just copying it.
        """
        if not self._remote or not self._folder.is_dir():
            return
        kept = set(names)
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):  # another process was faster
                if path.name not in kept and time.time() - path.stat().st_mtime > KEPT_S:
                    path.unlink()


def _own_folder() -> str:
    """Below TMPDIR, of this user alone."""
    folder = os.path.join(tempfile.gettempdir(), f"scorer-embeddings-{os.getuid()}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if os.stat(folder).st_uid != os.getuid():
        raise InputError(f"{folder} belongs to somebody else: name another place in embeddings.cache")
    return folder
