"""Embeddings by key for one image tower: looked up where they lie, appended by every run, tidied now and then.

`URI/<tower digest>/<time>-<token>.arrow`: files never change and have names that nobody else uses, and the listing is
all that says which there are. So any number of jobs may read and append at the same time. Whoever merges files writes
the merged one first and removes the others then; who had just listed those finds them gone and computes anew.
"""

import secrets
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scorer.errors import InputChanged, StoreUnreachable, Terminal
from scorer.model.embeddings import block, merging
from scorer.model.embeddings.ahead import Ahead
from scorer.model.embeddings.block import Block
from scorer.model.embeddings.cache import LocalCopies
from scorer.model.embeddings.index import Index
from scorer.objectstore import ObjectInfo, ObjectStore, canonical, file_name, join
from scorer.settings import Embeddings, EmbeddingType

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

FLUSH_ROWS = 262_144
"""Fresh embeddings held until they are written: what a crash costs at most."""

FAILURES = (Terminal, StoreUnreachable, InputChanged, OSError)
"""What a store may do to us, and what a signal does not."""

USED = "used"
"""An object beside the files, written by every run: when the embeddings were last wanted, by the store's own clock."""


@dataclass(frozen=True)
class File:
    """One file of the store, mapped into memory."""

    uri: str
    size: int
    blocks: tuple[Block, ...]


class EmbeddingStore:
    """Known embeddings of one image tower. Nothing that goes wrong here is an error: what is not known is computed.

    `recall` and `take` may be called from several threads.
    """

    def __init__(
        self,
        uri: str,
        tower: str,
        size: int,
        settings: Embeddings,
        store: ObjectStore,
        warn: Callable[[str], None],
    ) -> None:
        """An empty one; `open` maps what is there.

        Args:
            uri: of the whole store.
            tower: digest of the image tower and of all else that an embedding depends on.
            size: D.
            settings: stored type, limits, local cache.
            store: where it is.
            warn: is told what does not work.
        """
        self.folder = join(canonical(uri), tower)
        self._uri, self._tower, self._size = canonical(uri), tower, size
        self._settings, self._store, self._warn = settings, store, warn
        self._stored: EmbeddingType = settings.dtype
        self._files: list[File] = []
        self._index, self._ahead = Index.of([]), Ahead([])
        self._fresh: list[tuple[Keys, Floats]] = []
        self._asked: list[Keys] = []
        self._written = 0
        self._broken = False

    @property
    def rounds(self) -> bool:
        """Whether embeddings lose digits in it."""
        return self._stored == "float16"

    @property
    def rows(self) -> int:
        """Embeddings that were there when it was opened."""
        return len(self._index.high)

    def open(self) -> None:
        """Map the files that are there now; those that are not whole, or not ours, are ignored with a warning."""
        try:
            listed = self._store.list_all(self._uri)
        except FAILURES as error:
            self._warn(f"The embedding store cannot be listed ({error}). Every image is computed.")
            return
        own = [info for info in listed if info.uri.startswith(f"{self.folder}/") and info.uri.endswith(".arrow")]
        own.sort(key=lambda info: file_name(info.uri))  # what came together stays together when files are merged
        copies = LocalCopies(self._uri, self._tower, self._settings.cache, self._store)
        for info in own:
            self._map(info, copies)
        copies.forget_all_but(file_name(info.uri) for info in own)
        blocks = [rows for file in self._files for rows in file.blocks]
        self._index, self._ahead = Index.of(blocks), Ahead(blocks)
        others = {info.uri.removeprefix(f"{self._uri}/").partition("/")[0] for info in listed} - {self._tower}
        if others and not own:
            self._warn(
                f"The embedding store {self._uri} knows {len(others)} image tower(s) and none of them is this one"
                " (another model, other pixels, decoders or precision): nothing of it is used; its own are added."
            )

    def knows(self, keys: Keys) -> Mask:
        """Which of these keys are in the store, by their keys alone; `take` looks closer. They count as used today.

        For whoever looks all through first: the system begins to read what will be taken, whole blocks at once, single
        rows of others before the first of them is taken.
        """
        self._asked.append(keys)
        where, rows = self._index.look_up(keys)
        self._ahead.want(where, rows)
        return np.asarray(where >= 0)

    def take(self, keys: Keys) -> tuple[Mask, Floats]:
        """Which of these keys have an embedding that is as it was written, and these: float32 [n, D], else zeros."""
        self._ahead.begin_the_rest()
        known = np.zeros(len(keys), bool)
        values = np.zeros((len(keys), self._size), np.float32)
        there = self._fill(self._index, np.arange(len(keys)), keys, known, values)
        damaged = there[~known[there]]
        for rows in self._index.blocks if len(damaged) else ():  # another file may have it, too
            self._fill(Index.of([rows]), damaged[~known[damaged]], keys, known, values)
        if len(damaged):
            self._warn(f"{len(damaged):,} embeddings of the store {self.folder} are damaged and are not used.")
        return known, values

    def _fill(
        self, index: Index, wanted: npt.NDArray[np.intp], keys: Keys, known: Mask, values: Floats
    ) -> npt.NDArray[np.intp]:
        """Take some keys from some blocks into their places; those that are there at all, sound or not."""
        where, rows = index.look_up(keys[wanted])
        for number in np.unique(where[where >= 0]):
            hit = where == number
            found, places = index.blocks[number].take(rows[hit]), wanted[hit]
            sound = found.sound()
            known[places[sound]] = True
            values[places[sound]] = found.values if sound.all() else found.values[sound]
        return wanted[where >= 0]

    def recall(self, key: bytes) -> Floats | None:
        """The embedding of one key of 16 bytes, if there is one."""
        known, values = self.take(np.frombuffer(key, "<u8").astype(np.uint64).reshape(1, 2))
        return values[0] if known[0] else None

    def rounded(self, embeddings: Floats) -> Floats:
        """Embeddings as they will be when they come from the store; those that it cannot hold, as they are."""
        if self._stored == "float32":
            return embeddings
        with np.errstate(over="ignore"):
            stored = embeddings.astype(np.float16).astype(np.float32)
        fits = np.isfinite(stored).all(axis=1, keepdims=True)
        return np.where(fits, stored, embeddings)

    def keep(self, keys: Keys, embeddings: Floats) -> None:
        """Add embeddings, which are written in files of some size; those that are not finite are not kept."""
        if self._broken or not len(keys):
            return
        self._fresh.append((keys, embeddings))
        if sum(len(some) for some, _ in self._fresh) >= FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what was added since. A store that cannot be written is said once; the run goes on."""
        fresh, self._fresh = self._fresh, []
        if self._broken or not fresh:
            return
        keys, values = np.concatenate([some for some, _ in fresh]), np.concatenate([some for _, some in fresh])
        with np.errstate(over="ignore"):
            stored = values.astype(self._stored)
        first = np.sort(np.unique(keys, axis=0, return_index=True)[1])  # as they came
        keys, stored = keys[first], stored[first]
        fits = np.isfinite(stored).all(axis=1)
        keys, stored = keys[fits], stored[fits]
        if len(keys):
            used = np.full(len(keys), _today(), np.uint32)
            made = block.made(keys[:, 0].copy(), keys[:, 1].copy(), stored, used)
            self._write(block.slices(made), since=f"{time.time_ns():016x}")

    def close(self) -> None:
        """Write what is left, merge files where they are many, and let go what nobody uses."""
        try:
            self.flush()
            self._store.put(join(self.folder, USED), b"")
            self._tidy()
            merging.drop_unused_towers(self._uri, self._tower, self._settings.keep_days, self._store)
        except FAILURES as error:
            self._give_up(error)

    def _map(self, info: ObjectInfo, copies: LocalCopies) -> None:
        try:
            path = copies.path(info)
            blocks = block.read(path, self._size, self._stored, self._tower)
        except FAILURES as error:
            self._warn(f"{info.uri} of the embedding store is not used: {error}. What it held is computed anew.")
        else:
            self._files.append(File(info.uri, info.size, tuple(blocks)))

    def _write(self, blocks: Iterable[Block], since: str) -> bool:
        """`since`: when its oldest embeddings came, in nanoseconds, hexadecimal; what came first is listed first."""
        try:
            with tempfile.TemporaryDirectory(prefix="scorer-") as folder:
                path = Path(folder) / "embeddings.arrow"
                block.write(blocks, path, self._size, self._stored, self._tower)
                size = path.stat().st_size
                self._store.put_file(join(self.folder, f"{since}-{secrets.token_hex(16)}.arrow"), path)
        except FAILURES as error:
            self._give_up(error)
            return False
        self._written += size
        return True

    def _give_up(self, error: Exception) -> None:
        if not self._broken:
            self._broken = True
            self._warn(
                f"The embedding store cannot be written ({error}). The run goes on; the next one computes again."
            )

    def _tidy(self) -> None:
        """Merge the files that were mapped when this run began; its own wait for the next one."""
        limit = int(self._settings.max_gb * 1e9) - self._written
        chosen = merging.chosen([file.size for file in self._files], limit)
        files = [self._files[number] for number in sorted(chosen)]  # the older first, as they were mapped
        if not files or self._broken:
            return
        asked = np.concatenate(self._asked) if self._asked else np.zeros((0, 2), np.uint64)
        blocks = [rows for file in files for rows in file.blocks]
        too_much = sum(file.size for file in self._files) > limit
        since = file_name(files[0].uri).partition("-")[0]
        if self._write(merging.merged(blocks, asked, _today(), limit if too_much else None), since):
            self._store.delete(file.uri for file in files)


class NothingKept(EmbeddingStore):
    """For an image tower that only passes pixels on: they are as dear to keep as images, and must not be rounded."""

    @property
    def rounds(self) -> bool:
        """Never."""
        return False

    def open(self) -> None:
        """There is nothing."""

    def close(self) -> None:
        """There is nothing."""

    def rounded(self, embeddings: Floats) -> Floats:
        """As they are."""
        return embeddings

    def keep(self, keys: Keys, embeddings: Floats) -> None:
        """Let them go."""


def _today() -> int:
    """Days since 1970. Ours, not the store's: it only orders what goes first."""
    return (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
