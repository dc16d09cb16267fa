"""What readers see who know nothing of the record: copies under fixed names, and symlink manifests.

Whoever exposes may be slow, and overtaken by one who exposes a newer version. So it looks at what is listed first, asks
then which version is current, and replaces only what it has looked at (conditional copies). Where a store ignores
conditions on copies, looking again until nothing is left to do puts right what a slow copy has overwritten, and what a
slow delete, which knows no conditions anywhere, has taken away.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from scorer.errors import InputChanged, InputError, NotFound, PreconditionFailed, StoreUnreachable
from scorer.intake.partitions import reading
from scorer.objectstore import ObjectStore, file_name, join, parse
from scorer.output.manifest import OutputFile
from scorer.tables import TableName

START = b"scorer.start"
"""Key in a published file's metadata: which start of which run staged it."""

PART = re.compile(r"^part-\d{5,}\.parquet$")

PASSES = 30
"""Looks at what is listed before we give up: each is one more version published meanwhile, or a store that lies."""


@dataclass(frozen=True)
class Shown:
    """The version that shall be seen.

    Attributes:
        token: of its entry in the record.
        run_id: which run it is of.
        start: which start staged its files.
        bundle_digest: which bundle scored.
        manifest: URI of the run's manifest.
        predictions: its files.
        quarantine: its files.
        table: whose readers shall see the predictions; None: those who list files.
        instead_of: a rollback: the run that was current until then.
    """

    token: str
    run_id: str
    start: str
    bundle_digest: str
    manifest: str
    predictions: tuple[OutputFile, ...]
    quarantine: tuple[OutputFile, ...]
    table: TableName | None = None
    instead_of: str | None = None

    def kinds(self) -> dict[str, tuple[OutputFile, ...]]:
        """Files by kind of output. Quarantine goes first: who sees new predictions finds the refused rows' reasons."""
        return {"quarantine": self.quarantine, "predictions": self.predictions}

    def listed(self, kind: str) -> tuple[OutputFile, ...]:
        """Those of a kind that readers find by listing: none of predictions that a table shows."""
        return () if kind == "predictions" and self.table else self.kinds()[kind]


@dataclass(frozen=True)
class _Look:
    """A listed object as it was found: its ETag (None: absent) and what it carries."""

    etag: str | None
    carries: str | None


class Exposure:
    """The listed objects of one partition."""

    def __init__(self, symlinks: str, partition: str, store: ObjectStore) -> None:
        """`symlinks` is the folder of the symlink manifests of all partitions."""
        self._symlinks, self._partition, self._store = symlinks, partition, store

    def bring_to(self, current: Callable[[], Shown | None]) -> None:
        """Copy until everything listed is the version that `current` names at that very moment."""
        for _ in range(PASSES):
            if self._is_settled(current):
                return
        raise StoreUnreachable(
            f"{self._partition or 'The partition'} is published, but after {PASSES} tries what readers list is not yet"
            " the current version. The next start on it brings it up to date."
        )

    def _is_settled(self, current: Callable[[], Shown | None]) -> bool:
        """One pass; whether nothing had to be done."""
        shown = current()
        if shown is None:
            return True
        looks = {file.listed: self._look(file.listed) for kind in shown.kinds() for file in shown.listed(kind)}
        links = {kind: self._look_at_link(kind) for kind in shown.kinds()}
        surplus = [uri for kind in shown.kinds() if shown.listed(kind) for uri in self._surplus(shown.listed(kind))]
        if not _is_still(shown, current):
            return False
        try:
            idle = self._act(shown, looks, links)
        except (PreconditionFailed, NotFound):
            return False  # somebody else changed what we had looked at
        for uri in surplus:
            # Asked again for each: it is a part of the version that overtook us, if that one has more files than ours.
            if not _is_still(shown, current):
                return False
            self._store.delete([uri])
        return idle and not surplus

    def _act(self, shown: Shown, looks: dict[str, _Look], links: dict[str, _Look]) -> bool:
        """Links and copies; whether nothing had to be written."""
        idle = True
        for kind, files in shown.kinds().items():
            # The symlink manifest names the version's own files, which never change: it needs no copies.
            idle &= self._write_link(kind, files, links[kind])
            for file in shown.listed(kind):
                look = looks[file.listed]
                if look.carries != shown.start:
                    idle = False
                    self._store.copy(file.uri, file.listed, if_none_match=look.etag is None, if_match=look.etag)
        return idle

    def _look(self, uri: str) -> _Look:
        """ETag first, then the footer of that very version."""
        try:
            etag = self._store.head(uri).etag
        except NotFound:
            return _Look(None, None)
        try:
            with reading(uri), self._store.open(uri, etag) as handle:
                found = (pq.read_schema(handle).metadata or {}).get(START)
        except (NotFound, InputChanged, InputError):  # replaced meanwhile, or not ours: to be replaced by the current
            return _Look(etag, None)
        return _Look(etag, found.decode() if found else None)

    def _link(self, kind: str) -> str:
        return join(self._symlinks, kind, *([self._partition] if self._partition else []), "manifest")

    def _look_at_link(self, kind: str) -> _Look:
        try:
            blob = self._store.get(self._link(kind))
        except NotFound:
            return _Look(None, None)
        return _Look(blob.etag, blob.data.decode(errors="replace"))

    def _write_link(self, kind: str, files: Sequence[OutputFile], look: _Look) -> bool:
        """Whether nothing had to be written. One small object: any number of files changes at once."""
        wanted = "".join(f"{_spelled(file.uri)}\n" for file in files)
        if look.carries == wanted:
            return True
        self._store.put(self._link(kind), wanted.encode(), if_none_match=look.etag is None, if_match=look.etag)
        return False

    def _surplus(self, files: Sequence[OutputFile]) -> list[str]:
        """Parts of an earlier version with more files; nothing that we did not write."""
        folder = files[0].listed.rpartition("/")[0]
        wanted = {file_name(file.listed) for file in files}
        names = {info.uri: file_name(info.uri) for info in self._store.list_all(folder)}
        return [
            uri
            for uri, name in names.items()
            if parse(uri).uri == parse(join(folder, name)).uri and PART.match(name) and name not in wanted
        ]


def _is_still(shown: Shown, current: Callable[[], Shown | None]) -> bool:
    now = current()
    return now is not None and now.token == shown.token


def _spelled(uri: str) -> str:
    """As Hive's SymlinkTextInputFormat wants it: with a scheme."""
    return uri if parse(uri).bucket else f"file://{parse(uri).uri}"
