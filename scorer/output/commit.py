"""Which run is published. The versions' record is replaced by one conditional PUT; that moment is the publish.

`STATE/<partition>/published.json` lists every published version and names the current one. Readers of the record always
see one whole version. Readers that list PREDICTIONS/<partition>/ see copies, which are made right after the publish and
again by every later start until they carry the current run.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import pyarrow.parquet as pq

from scorer.errors import NotFound, PreconditionFailed, PublishedByAnother
from scorer.intake.partitions import reading
from scorer.objectstore import ObjectStore, file_name, join
from scorer.output.manifest import OutputFile, RunManifest
from scorer.settings import Settings

RUN_ID = b"scorer.run_id"
PART = re.compile(r"^part-\d{5,}\.parquet$")


class Version(Settings):
    """One published version of a partition."""

    run_id: str
    plan_digest: str
    publisher: str
    """A random token of the process that published: tells a lost answer of our own PUT from another's publish."""
    bundle_digest: str
    published_at: datetime
    manifest: str
    """URI of the run manifest."""
    predictions: tuple[OutputFile, ...]
    quarantine: tuple[OutputFile, ...]


class Published(Settings):
    """The record of a partition's versions, oldest first; the last one is current."""

    format: Literal[1] = 1
    partition: str
    versions: tuple[Version, ...] = ()

    @property
    def current(self) -> Version | None:
        """The version that readers see."""
        return self.versions[-1] if self.versions else None


@dataclass(frozen=True)
class Seen:
    """The record as it was at some moment; a publish insists that it still is.

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


class Ledger:
    """The record of one partition, and the copies that listing readers see."""

    def __init__(self, partition_state: str, partition: str, store: ObjectStore) -> None:
        self.uri = join(partition_state, "published.json")
        self._partition, self._store = partition, store

    def read(self) -> Seen:
        """The record as it is now."""
        try:
            blob = self._store.get(self.uri)
        except NotFound:
            return Seen(Published(partition=self._partition), None)
        return Seen(Published.model_validate_json(blob.data), blob.etag)

    def publish(self, manifest: RunManifest, manifest_uri: str, seen: Seen) -> Version:
        """Make this run the current one, if nothing was published since `seen` was read.

        Raises:
            PublishedByAnother: another run was faster. Nothing changed.
        """
        version = Version(
            run_id=manifest.run_id,
            plan_digest=manifest.plan_digest,
            publisher=secrets.token_hex(8),
            bundle_digest=manifest.bundle.digest,
            published_at=datetime.now(UTC),
            manifest=manifest_uri,
            predictions=manifest.predictions,
            quarantine=manifest.quarantine,
        )
        after = seen.record.model_copy(update={"versions": (*seen.record.versions, version)})
        data = after.model_dump_json(indent=1).encode()
        try:
            self._store.put(self.uri, data, if_none_match=seen.etag is None, if_match=seen.etag)
        except PreconditionFailed:
            self._insist_on_ours(version)
        return version

    def expose(self) -> None:
        """Bring the copies that listing readers see to the current version; looks again until they are."""
        while True:
            current = self.read().record.current
            if current is None:
                return
            for files in (current.predictions, current.quarantine):
                self._expose(files, current.run_id)
            after = self.read().record.current
            if after is not None and after.run_id == current.run_id:
                return

    def _insist_on_ours(self, version: Version) -> None:
        """A retried PUT whose first answer was lost fails its own condition; the token tells."""
        current = self.read().record.current
        if current is None or current.publisher != version.publisher:
            who = f"run {current.run_id}" if current else "another run"
            raise PublishedByAnother(
                f"{self._partition or 'The partition'}: {who} published while this run worked. This run changed nothing"
                " that readers see. Start it again with --force if its scores should replace the published ones."
            )

    def _expose(self, files: Sequence[OutputFile], run_id: str) -> None:
        for file in files:
            if _run_of(file.listed, self._store) != run_id:
                self._store.copy(file.uri, file.listed)
        folder = files[0].listed.rpartition("/")[0]
        wanted = {file_name(file.listed) for file in files}
        surplus = [info.uri for info in self._store.list_all(folder) if _is_surplus(folder, info.uri, wanted)]
        self._store.delete(surplus)


def _is_surplus(folder: str, uri: str, wanted: set[str]) -> bool:
    """Parts of an earlier version with more files; nothing that we did not write."""
    name = file_name(uri)
    return uri == join(folder, name) and PART.match(name) is not None and name not in wanted


def _run_of(uri: str, store: ObjectStore) -> str | None:
    """The run that wrote a listed file, or None if there is none that we can read."""
    try:
        with reading(uri), store.open(uri) as handle:
            found = (pq.read_schema(handle).metadata or {}).get(RUN_ID)
    except NotFound:
        return None
    return found.decode() if found else None
