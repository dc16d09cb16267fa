"""Which run is published. The versions' record is replaced by one conditional PUT; that moment is the publish.

`STATE/<partition>/published.json` lists every version that was ever current and ends with the one that is. Readers of
the record always see one whole version. Readers that list PREDICTIONS/<partition>/ see copies; see exposure.py. The
protocol, and what each kind of reader sees at every moment, is one page: docs/decisions/publish.md.
"""

import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from scorer.errors import NotFound, PreconditionFailed, PublishedByAnother, StagingGone, StoreUnreachable
from scorer.objectstore import ObjectStore, join
from scorer.output.exposure import Exposure, Shown
from scorer.output.manifest import OutputFile, RunManifest
from scorer.output.tables.replacing import show
from scorer.settings import Settings
from scorer.tables import TableName, is_table

TRIES = 10
"""Times that the record is written anew when housekeeping, or a store's 409, came between."""


class Version(Settings):
    """One entry of the record: a version became current."""

    run_id: str
    plan_digest: str
    start: str
    """Which start of the run staged the files; the name of their folder, and in every file's metadata."""
    publisher: str
    """A random token of this entry: tells a lost answer of our own PUT from another's publish."""
    bundle_digest: str
    published_at: datetime
    manifest: str
    """URI of the run manifest."""
    predictions: tuple[OutputFile, ...]
    quarantine: tuple[OutputFile, ...]
    sink: str = "parquet"
    """Where readers find the predictions: as listed files, or in a table."""
    in_table_at: datetime | None = None
    """When the table was seen to show it. None: not yet, or it goes to no table."""
    instead_of: str | None = None
    """A rollback: the run that was current until then. None where a run published."""
    removed_at: datetime | None = None
    """When its Parquet files were removed by `scorer gc`. The manifest stays."""

    @property
    def table(self) -> TableName | None:
        """Whose readers find the predictions, if they are in a table."""
        return TableName.parse(self.sink) if is_table(self.sink) else None


class Condemned(Settings):
    """Staged files of a start that published nothing, about to be removed: that start can publish no more."""

    start: str
    at: datetime


class Published(Settings):
    """The record of a partition's versions, oldest first; the last one is current. It only grows."""

    format: Literal[1] = 1
    partition: str
    versions: tuple[Version, ...] = ()
    condemned: tuple[Condemned, ...] = ()

    @property
    def current(self) -> Version | None:
        """The version that readers see."""
        return self.versions[-1] if self.versions else None

    def standing(self) -> tuple[Version, ...]:
        """The versions that no rollback took away, oldest first, each once; the last one is current."""
        stack: list[Version] = []
        for version in self.versions:
            if version.instead_of is None:
                stack.append(version)
                continue
            below = [position for position, known in enumerate(stack) if known.start == version.start]
            stack = [*(stack[: below[-1]] if below else stack), version]
        return tuple(stack)

    def taken_away(self) -> frozenset[str]:
        """Plans whose outcome was published and then rolled back; nothing was published since."""
        runs = set()
        for version in reversed(self.versions):
            if version.instead_of is None:
                break
            runs.add(version.instead_of)
        digests = {version.plan_digest for version in self.versions if version.run_id in runs}
        return frozenset(digests - {self.current.plan_digest} if self.current else digests)


@dataclass(frozen=True)
class Seen:
    """The record as it was at some moment; a publish insists that the current version still is.

    Attributes:
        record: the versions; empty before the first publish.
        etag: of the record; None before the first publish.
    """

    record: Published
    etag: str | None

    def published(self, plan_digest: str) -> Version | None:
        """The current version, if it is the outcome of this very work (scored again by --force or not)."""
        current = self.record.current
        return current if current is not None and current.plan_digest.startswith(plan_digest) else None

    def was_taken_away(self, plan_digest: str) -> bool:
        """Whether a rollback took the outcome of this very work away."""
        return any(digest.startswith(plan_digest) for digest in self.record.taken_away())


class Ledger:
    """The record of one partition, and the copies that listing readers see."""

    def __init__(self, partition_state: str, partition: str, store: ObjectStore) -> None:
        self.uri = join(partition_state, "published.json")
        self._partition, self._store = partition, store
        root = partition_state.removesuffix(f"/{partition}") if partition else partition_state
        self._exposure = Exposure(join(root, "symlinks"), partition, store)

    def read(self) -> Seen:
        """The record as it is now."""
        try:
            blob = self._store.get(self.uri)
        except NotFound:
            return Seen(Published(partition=self._partition), None)
        return Seen(Published.model_validate_json(blob.data), blob.etag)

    def publish(self, manifest: RunManifest, manifest_uri: str, seen: Seen) -> Version:
        """Make this run the current one, if no other became current since `seen` was read.

        Raises:
            PublishedByAnother: another run was faster. Nothing changed.
            StagingGone: `scorer gc` has removed what this start staged. Nothing changed.
            StoreUnreachable: the record could not be written.
        """
        version = Version(
            run_id=manifest.run_id,
            plan_digest=manifest.plan_digest,
            start=manifest.start,
            publisher=secrets.token_hex(8),
            bundle_digest=manifest.bundle.digest,
            published_at=datetime.now(UTC),
            manifest=manifest_uri,
            predictions=manifest.predictions,
            quarantine=manifest.quarantine,
            sink=manifest.sink,
        )
        return self._append(version, seen)

    def restore(self, version: Version, seen: Seen) -> Version:
        """Make an earlier version current again, by a new entry; the entries before it stay. Raises as `publish`."""
        current = seen.record.current
        entry = version.model_copy(
            update={
                "publisher": secrets.token_hex(8),
                "published_at": datetime.now(UTC),
                "in_table_at": None,
                "instead_of": current.run_id if current else None,
            }
        )
        return self._append(entry, seen)

    def condemn(self, choose: Callable[[Published], tuple[frozenset[str], frozenset[str]]]) -> frozenset[str]:
        """Write down what is about to be removed, before it is: from then on nobody can publish it.

        Args:
            choose: from the record, the starts of superseded versions and those of unpublished starts to remove.

        Returns:
            All of these starts, as chosen from the record that was replaced.
        """
        for _ in self._tries():
            seen = self.read()
            superseded, unpublished = choose(seen.record)
            assert not {version.start for version in seen.record.versions[-1:]} & (superseded | unpublished)
            if not superseded | unpublished:
                return frozenset()
            if self._write(_without(seen.record, superseded, unpublished), seen.etag):
                return superseded | unpublished
        raise self._contended()

    def expose(self) -> None:
        """Bring what readers of listings and tables see to the current version; looks again until nothing is left.

        Raises:
            TableGone: the table was dropped or renamed; whoever lists files sees the current version all the same.
            StoreUnreachable: the store or the catalog does not answer, or others are faster every time.
        """
        self._exposure.bring_to(self._shown)
        current = self.read().record.current
        if current is not None and current.table is not None and current.in_table_at is None:
            self._note_in_table(show(current.table, self._partition, self._shown, self._store))

    def _shown(self) -> Shown | None:
        current = self.read().record.current
        if current is None:
            return None
        return Shown(
            token=current.publisher,
            run_id=current.run_id,
            start=current.start,
            bundle_digest=current.bundle_digest,
            manifest=current.manifest,
            predictions=current.predictions,
            quarantine=current.quarantine,
            table=current.table,
            instead_of=current.instead_of,
        )

    def _note_in_table(self, token: str | None) -> None:
        """So that nobody asks the catalog again. What is not noted is looked up once more, which does no harm."""
        for _ in self._tries():
            seen = self.read()
            versions = tuple(
                version.model_copy(update={"in_table_at": datetime.now(UTC)})
                if version.publisher == token and version.in_table_at is None
                else version
                for version in seen.record.versions
            )
            if versions == seen.record.versions:
                return
            if self._write(seen.record.model_copy(update={"versions": versions}), seen.etag):
                return

    def _append(self, version: Version, seen: Seen) -> Version:
        """Rebased on a record that housekeeping changed; refused when another version became current."""
        before = _token(seen.record)
        for _ in self._tries():
            self._insist_on_files(version, seen.record)
            after = seen.record.model_copy(update={"versions": (*seen.record.versions, version)})
            if self._write(after, seen.etag, version):
                return version
            seen = self.read()
            if _holds(seen.record, version):  # a retried PUT whose first answer was lost fails its own condition
                return version
            if _token(seen.record) != before:
                raise self._faster(seen.record)
        raise self._contended()

    def _write(self, record: Published, etag: str | None, version: Version | None = None) -> bool:
        """One conditional PUT; False if the record is not the one that was read."""
        data = record.model_dump_json(indent=1).encode()
        try:
            self._store.put(self.uri, data, if_none_match=etag is None, if_match=etag)
        except (PreconditionFailed, NotFound):
            return False
        except StoreUnreachable:
            if version is None or not _holds(self.read().record, version):
                raise
        return True

    def _insist_on_files(self, version: Version, record: Published) -> None:
        gone = {condemned.start for condemned in record.condemned}
        gone |= {known.start for known in record.versions if known.removed_at is not None}
        if version.start in gone:
            raise StagingGone(
                f"{self._partition or 'The partition'}: the files of run {version.run_id} were removed by `scorer gc`"
                " before they were published. Nothing that readers see was changed. Start again."
            )

    def _faster(self, record: Published) -> PublishedByAnother:
        who = f"run {record.current.run_id}" if record.current else "another run"
        what = "brought back by a rollback" if record.current and record.current.instead_of else "published"
        return PublishedByAnother(
            f"{self._partition or 'The partition'}: {who} was {what} while this run worked. This run changed nothing"
            " that readers see. Start it again if its outcome should replace the published one; with --force where both"
            " did the same work."
        )

    def _contended(self) -> StoreUnreachable:
        return StoreUnreachable(
            f"{self.uri} was refused {TRIES} times although nobody else published. Nothing was changed. Start again."
        )

    def _tries(self) -> Iterator[int]:
        """Try after try, with growing random pauses between them."""
        for number in range(TRIES):
            if number:
                time.sleep(random.uniform(0, 0.02 * 2**number))
            yield number


def _holds(record: Published, version: Version) -> bool:
    return any(known.publisher == version.publisher for known in record.versions)


def _token(record: Published) -> str | None:
    return record.current.publisher if record.current else None


CONDEMNED_DAYS = 90
"""How long the record remembers that a start's files were removed: longer than any process sleeps."""


def _without(record: Published, superseded: frozenset[str], unpublished: frozenset[str]) -> Published:
    now = datetime.now(UTC)
    versions = tuple(
        version.model_copy(update={"removed_at": version.removed_at or now}) if version.start in superseded else version
        for version in record.versions
    )
    remembered = [old for old in record.condemned if (now - old.at).days < CONDEMNED_DAYS]
    known = {old.start for old in remembered}
    fresh = [Condemned(start=start, at=now) for start in sorted(unpublished - known)]
    return record.model_copy(update={"versions": versions, "condemned": (*remembered, *fresh)})
