"""What a training keeps on disk so that one that is killed goes on from there, and ends with the same figures."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from scorer.errors import SettingsError

Arrays = Mapping[str, npt.NDArray[Any]]

MARK = "training.json"
OWN = ("images", "fits", MARK)
"""In the order in which they are removed: as long as something is left, the folder is still that training's."""

SECONDS_BETWEEN = 10.0
"""Between two checkpoints of one fit: a pass over a few hundred listings takes less time than writing one."""


@contextmanager
def alone_in(folder: str | None) -> Iterator[None]:
    """Nobody else trains in that folder meanwhile. Who is killed has let go of it.

    Raises:
        SettingsError: somebody does.
    """
    if folder is None:
        yield
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"Another training is at work in {folder} (state). Nothing was started, and that one is not disturbed."
                " Wait for it, or name a folder of its own."
            ) from None
        except OSError as error:
            # Network file systems that cannot lock a folder: there it is the user's to keep trainings apart.
            if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
                raise
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True)
class State:
    """A folder of this machine for one training, or none: then nothing is kept."""

    folder: Path | None = None

    @classmethod
    def open(cls, folder: str | None, fingerprint: Mapping[str, Any]) -> "State":
        """The folder of that training; what another one left in it is removed.

        Args:
            folder: where, or None.
            fingerprint: plain JSON; all that the result depends on.
        """
        if folder is None:
            return cls()
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        if not cls.is_kept(folder, fingerprint):
            cls(place).clear()
            replace_file(place / MARK, _text(fingerprint).encode())
        return cls(place)

    @staticmethod
    def is_kept(folder: str | None, fingerprint: Mapping[str, Any]) -> bool:
        """Whether that training was begun there and has not cleared up after itself; changes nothing."""
        mark = Path(folder) / MARK if folder is not None else None
        return mark is not None and mark.is_file() and mark.read_text(encoding="utf-8") == _text(fingerprint)

    def images(self) -> Path | None:
        """Folder for decoded images and their embeddings; None where nothing is kept."""
        return self._made("images")

    def checkpoint(self, *names: Any) -> "Checkpoint":
        """Of the fit with these names: numbers, words or rows int64 [m]."""
        folder = self._made("fits")
        parts = (name.tobytes() if isinstance(name, np.ndarray) else str(name).encode() for name in names)
        digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:20]
        return Checkpoint(folder / f"{digest}.npz" if folder else None)

    def clear(self) -> None:
        """Remove what was kept, and nothing else that lies in the folder."""
        for name in OWN if self.folder else ():
            assert self.folder is not None
            shutil.rmtree(self.folder / name, ignore_errors=True)
            if (self.folder / name).is_file():
                (self.folder / name).unlink()

    def _made(self, name: str) -> Path | None:
        if self.folder is None:
            return None
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name


class Checkpoint:
    """Named arrays in one file, replaced as a whole."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._saved = time.monotonic()

    def due(self, last: bool) -> bool:
        """Whether to save now: after the last pass, or when the earlier state has become old."""
        return self._path is not None and (last or time.monotonic() - self._saved >= SECONDS_BETWEEN)

    def save(self, arrays: Arrays) -> None:
        """Keep these instead of earlier ones."""
        if self._path is None:
            return
        partial = self._path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            _into_place(file, self._path)
        self._saved = time.monotonic()

    def load(self) -> dict[str, npt.NDArray[Any]] | None:
        """What was kept, or None."""
        if self._path is None or not self._path.is_file():
            return None
        with np.load(self._path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}


def numbered(name: str, arrays: list[npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """A list as named arrays."""
    return {f"{name}.{place}": values for place, values in enumerate(arrays)}


def listed(name: str, arrays: Arrays) -> list[npt.NDArray[Any]]:
    """And back."""
    count = sum(key.startswith(f"{name}.") for key in arrays)
    return [arrays[f"{name}.{place}"] for place in range(count)]


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that is there as a whole or not at all."""
    with path.with_suffix(".partial").open("wb") as file:
        file.write(data)
        _into_place(file, path)


def _into_place(partial: BinaryIO, path: Path) -> None:
    # Flushed first: of a machine that loses power the new name may survive, and what it names not.
    partial.flush()
    os.fsync(partial.fileno())
    os.replace(partial.name, path)


def _text(fingerprint: Mapping[str, Any]) -> str:
    return json.dumps(fingerprint, sort_keys=True)
