"""The run that readers saw before this one: what a night is compared with."""

from dataclasses import dataclass

from scorer.objectstore import ObjectStore
from scorer.output.commit import Version
from scorer.output.earlier import neighbours
from scorer.output.manifest import OutputFile, RunManifest
from scorer.run.history import ledger_of, read_manifest


@dataclass(frozen=True)
class LastTime:
    """A published run.

    Attributes:
        partition: its key; often the night before, or this one where it was scored before.
        manifest: its account.
        files: its predictions; empty where `scorer gc` has removed them.
    """

    partition: str
    manifest: RunManifest
    files: tuple[OutputFile, ...]


def last_time(state_uri: str, key: str, start: str, store: ObjectStore) -> LastTime | None:
    """What was published of this partition before this start, else of the latest partition before it.

    Args:
        state_uri: of the job.
        key: of this partition.
        start: token of this start, which does not count.
        store: where the state is.
    """
    for candidate in (key, *neighbours(state_uri, key, store)[:1]):
        record = ledger_of(state_uri, candidate, store).read().record
        others = [version for version in record.standing() if version.start != start]
        if others and (manifest := read_manifest(others[-1].manifest, store)) is not None:
            return LastTime(candidate, manifest, _files(others[-1]))
    return None


def _files(version: Version) -> tuple[OutputFile, ...]:
    return version.predictions if version.removed_at is None else ()
