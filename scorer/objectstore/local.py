"""Local files with the manners of an object store: whole objects, ETags, conditional writes, no torn state."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from scorer.errors import Forbidden, InputChanged, NotFound, PreconditionFailed, StoreUnreachable, TooLarge
from scorer.objectstore.litter import TEMPORARY
from scorer.objectstore.places import Blob, ObjectInfo

NO_SUCH_FILE = frozenset(
    {errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.EINVAL, errno.EILSEQ}
)
"""What the system answers to a name that no readable file can have: it speaks of the name, not of the file system."""

TRIED_FIRST = 256
SLOW_S = 50e-6
"""For one file's time and size: a local disk takes 3 µs, a file server half a millisecond."""

ASKED_AT_ONCE = 32
"""Files that a slow file system is asked for at a time."""


class LocalFiles:
    """Objects by absolute path. See ObjectStore for what each call promises."""

    def get(self, path: str, if_match: str | None, max_bytes: int | None) -> Blob:
        """The whole file."""
        with _errors(path):
            # O_NONBLOCK: a pipe that somebody put among the images must not hang the run.
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                found = os.fstat(handle)
                if not stat.S_ISREG(found.st_mode):
                    raise NotFound(f"{path} is not a regular file.")
                if if_match is not None and _etag(found) != if_match:
                    raise PreconditionFailed(f"{path} is not the version that was asked for.")
                if max_bytes is not None and found.st_size > max_bytes:
                    raise TooLarge(f"{path} has {found.st_size:,} bytes, more than the limit of {max_bytes:,}.")
                return Blob(_read_exactly(handle, found.st_size), _etag(found))
            finally:
                os.close(handle)

    def head(self, path: str) -> ObjectInfo:
        """Size, ETag and time."""
        with _errors(path):
            return _info(path, os.stat(path))

    def etags(self, paths: Sequence[str]) -> list[str | None]:
        """Of many files; None where there is none, or none that may be seen.

        3 µs each. Where the first take long, as they do on a network's file system, many are asked for at a time.
        """
        began = time.perf_counter()
        found = [_etag_of(path) for path in paths[:TRIED_FIRST]]
        if time.perf_counter() - began < SLOW_S * TRIED_FIRST:
            return found + [_etag_of(path) for path in paths[TRIED_FIRST:]]
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            return found + list(pool.map(_etag_of, paths[TRIED_FIRST:], chunksize=64))

    def list_all(self, folder: str) -> Iterator[ObjectInfo]:
        """Every file below a folder that is not hidden, behind links too: a folder left out is rows left out."""
        for parent, names, files in os.walk(folder, onerror=_raise_unless_gone, followlinks=True):
            names[:] = [name for name in names if not name.startswith(".") and not _leads_back(parent, name)]
            for name in files:
                if not name.startswith("."):
                    path = os.path.join(parent, name)
                    with _errors(path), contextlib.suppress(FileNotFoundError):  # vanished between walk and stat
                        yield _info(path, os.stat(path))

    def open(self, path: str, etag: str | None) -> BinaryIO:
        """A reader of one version: what is replaced meanwhile stays readable under the open handle."""
        with _errors(path):
            handle = open(path, "rb")  # noqa: SIM115 (the caller closes it)
        if etag is not None and _etag(os.fstat(handle.fileno())) != etag:
            handle.close()
            raise InputChanged(f"{path} changed after the run was planned. Start the run again.")
        return handle

    def put(self, path: str, data: bytes, if_none_match: bool, if_match: str | None) -> str:
        """Written beside its place, flushed to disk, then moved there."""
        with _errors(path), _beside(path) as staged:
            with open(staged, "wb") as handle:
                handle.write(data)
            etag = _etag(os.stat(staged))
            _into_place(staged, path, if_none_match, if_match)
        return etag

    def put_file(self, path: str, source: Path) -> ObjectInfo:
        """Moved, across file systems if need be."""
        with _errors(path), _beside(path) as staged:
            shutil.move(source, staged)
            _into_place(staged, path)
        return self.head(path)

    def copy(self, source: str, path: str, if_none_match: bool, if_match: str | None) -> ObjectInfo:
        """Copied beside its place, then moved there."""
        with _errors(path), _beside(path) as staged:
            shutil.copyfile(source, staged)
            _into_place(staged, path, if_none_match, if_match)
        return self.head(path)

    def delete(self, path: str) -> None:
        """Removed, if it is there."""
        with _errors(path), contextlib.suppress(FileNotFoundError):
            os.unlink(path)


@contextlib.contextmanager
def _errors(path: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{path}: there is no such file.") from None
    except PermissionError:
        raise Forbidden(f"{path}: access denied.") from None
    except OSError as error:
        if error.errno in NO_SUCH_FILE:
            raise NotFound(f"{path}: there can be no such file ({error.strerror}).") from None
        raise StoreUnreachable(f"{path}: {error.strerror or error}.") from None


def _raise_unless_gone(error: OSError) -> None:
    """What `os.walk` would pass over without a word; a folder that is not there holds nothing."""
    with _errors(str(error.filename)), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        raise error


def _leads_back(parent: str, name: str) -> bool:
    """Whether it is a link to a folder that it is in itself: a walk would go round in it."""
    path = os.path.join(parent, name)
    return os.path.islink(path) and f"{os.path.realpath(parent)}/".startswith(f"{os.path.realpath(path)}/")


def _read_exactly(handle: int, size: int) -> bytes:
    """One read of the known size; more only when the kernel gives less (files over 2 GiB)."""
    data = os.read(handle, size)
    while len(data) < size:
        more = os.read(handle, size - len(data))
        if not more:
            break
        data += more
    return data


def _etag(found: os.stat_result) -> str:
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"'


def _etag_of(path: str) -> str | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # whoever reads the file finds out what is wrong, and says so
        return None
    return _etag(found) if stat.S_ISREG(found.st_mode) else None


def _info(path: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(path, found.st_size, _etag(found), datetime.fromtimestamp(found.st_mtime, UTC))


@contextlib.contextmanager
def _beside(path: str) -> Iterator[str]:
    """A hidden neighbour of the path: the last step is a rename within one file system, and no reader lists it."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    staged = os.path.join(folder, f".{name}.{secrets.token_hex(6)}{TEMPORARY}")
    try:
        yield staged
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged)


def _into_place(staged: str, path: str, if_none_match: bool = False, if_match: str | None = None) -> None:
    _flush_to_disk(staged)
    folder, name = os.path.split(path)
    if if_none_match:
        try:
            os.link(staged, path)  # atomic, and fails when there is something
        except FileExistsError:
            raise PreconditionFailed(f"{path} exists already.") from None
    elif if_match is not None:
        with open(os.path.join(folder, f".{name}.lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # between compare and replace; a killed process lets go of it
            if not os.path.exists(path) or _etag(os.stat(path)) != if_match:
                raise PreconditionFailed(f"{path} is not the version that was asked for.")
            os.replace(staged, path)
    else:
        os.replace(staged, path)
    _flush_to_disk(folder)


def _flush_to_disk(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
