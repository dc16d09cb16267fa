"""Past runs, read from the state: which partitions are published, and the accounts of the latest runs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pydantic import ValidationError

from scorer.errors import NotFound
from scorer.objectstore import ObjectStore, canonical, join
from scorer.output.commit import Ledger, Version
from scorer.output.manifest import RunManifest

Item = TypeVar("Item")
Found = TypeVar("Found")

READERS = 16
"""Records and manifests read at a time: each is one small object."""


def published_keys(state_uri: str, store: ObjectStore) -> list[str]:
    """Keys of every partition that was ever published, the latest publish first. One LIST of small objects.

    The symlink manifests are listed, one a partition, and not the whole state with all its staged units.
    """
    root = canonical(join(state_uri, "symlinks", "predictions"))
    infos = sorted(store.list_all(root), key=lambda info: (info.modified, info.uri), reverse=True)
    return [info.uri.removeprefix(root).strip("/").removesuffix("manifest").strip("/") for info in infos]


def ledger_of(state_uri: str, key: str, store: ObjectStore) -> Ledger:
    """The record of one partition; the job's only one where the key is empty."""
    return Ledger(join(state_uri, key) if key else state_uri, key, store)


def current_versions(state_uri: str, keys: list[str], store: ObjectStore) -> dict[str, Version]:
    """Key -> what readers see of it, in the order of the keys; without those that were never published."""

    def current(key: str) -> Version | None:
        return ledger_of(state_uri, key, store).read().record.current

    found = zip(keys, _at_once(current, keys), strict=True)
    return {key: version for key, version in found if version is not None}


def past_runs(state_uri: str, store: ObjectStore, last: int) -> list[RunManifest]:
    """The manifests of up to `last` runs that published, the latest first; also of versions superseded since.

    Args:
        state_uri: of the job.
        store: where it is.
        last: how many. So many partitions are looked at, the latest published.
    """

    def versions(key: str) -> tuple[Version, ...]:
        return ledger_of(state_uri, key, store).read().record.versions

    found = [version for some in _at_once(versions, published_keys(state_uri, store)[:last]) for version in some]
    own = {version.start: version for version in found if version.instead_of is None}
    latest = sorted(own.values(), key=lambda version: version.published_at, reverse=True)[:last]

    def manifest(version: Version) -> RunManifest | None:
        return read_manifest(version.manifest, store)

    return [run for run in _at_once(manifest, latest) if run is not None]


def read_manifest(uri: str, store: ObjectStore) -> RunManifest | None:
    """One manifest; None if it is gone, or was written by a version of scorer that this one cannot read."""
    try:
        return RunManifest.model_validate_json(store.get(uri).data)
    except (NotFound, ValidationError):
        return None


def _at_once(read: Callable[[Item], Found], items: list[Item]) -> list[Found]:
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(read, items))
