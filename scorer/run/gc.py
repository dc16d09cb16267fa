"""Removes what no reader and no run needs any more: old staging, and versions superseded long ago.

What is published and current is never removed, and a start whose files are going to be removed can publish no more: its
name is written into the record first, by the same conditional PUT that a publish needs. So the two cannot cross,
however slow either is and whatever the clocks say. Clocks decide only how early something counts as old.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from scorer.errors import TableDiffers, TableGone
from scorer.objectstore import ObjectInfo, ObjectStore, canonical, file_name, join, trusted
from scorer.output.commit import Ledger, Published
from scorer.output.tables.expiry import Expired, expire
from scorer.run.tools import Tools
from scorer.settings import Housekeeping
from scorer.tables import TableName, is_table

PLAN = re.compile(r"^[0-9a-f]{24}(-[0-9a-f]{8})?$")
PROBE = re.compile(r"^(probe|clock)-[0-9a-f]{16}$")


@dataclass(frozen=True)
class Collected:
    """What was removed, or would be, of one partition.

    Attributes:
        versions: superseded versions whose files went; their manifests stay.
        starts: starts of runs that published nothing.
        plans: plans with their finished units.
        uris: every object, in the order of removal.
        bytes: in these objects.
        litter: half-written files or uploads of killed processes.
    """

    partition: str
    versions: int
    starts: int
    plans: int
    uris: tuple[str, ...]
    bytes: int
    litter: int = 0

    def sentence(self, verb: str) -> str:
        """For people."""
        litter = f", {self.litter} half-written file(s) or upload(s)" if self.litter else ""
        return (
            f"{self.partition or 'the partition'}: {verb}: {self.versions} superseded version(s), {self.starts}"
            f" unpublished start(s), {self.plans} plan(s) with their units{litter}; {len(self.uris):,} objects,"
            f" {self.bytes / 1e6:,.1f} MB."
        )


@dataclass(frozen=True)
class Missing:
    """A table that is not in its catalog any more, or has other columns now.

    Attributes:
        unshown: partitions whose current version it never showed.
        differs: whether it is there, with other columns.
        uris: none.
    """

    table: TableName
    unshown: tuple[str, ...]
    differs: bool = False
    uris: tuple[str, ...] = ()

    def sentence(self, verb: str) -> str:
        """For people."""
        unshown = ", ".join(key or "the partition" for key in self.unshown)
        if self.differs:
            return (
                f"table {self.table}: it has other columns now than the files of {unshown} were made for, so it"
                " does not show them. Give it its columns back, or score with --force."
            )
        return (
            f"table {self.table}: nothing {verb}: it is not in its catalog, so it was dropped or renamed."
            + (f" Published and never shown in it: {unshown}." if unshown else "")
            + " Give it its name back, or score with --force, which makes it again."
        )


@dataclass
class _Folder:
    """The state of one partition as listed."""

    key: str
    starts: dict[str, list[ObjectInfo]] = field(default_factory=dict)
    plans: dict[str, list[ObjectInfo]] = field(default_factory=dict)
    last_write: dict[str, datetime] = field(default_factory=dict)

    def add(self, plan: str, rest: list[str], info: ObjectInfo) -> None:
        """Sort one object below a plan in."""
        self.last_write[plan] = max(info.modified, self.last_write.get(plan, info.modified))
        if rest[0] == "starts":
            self.starts.setdefault(rest[1], []).append(info)
        else:
            self.plans.setdefault(plan, []).append(info)


def collect(wanted: Housekeeping, tools: Tools, dry_run: bool = False) -> Iterator[Collected | Expired | Missing]:
    """Partition after partition, then the tables that show them; each is done when it is yielded.

    A table that is gone holds up nothing else. With `dry_run` nothing is written or removed.
    """
    store = tools.store if dry_run else trusted(tools.store, wanted.state_uri, wanted.single_writer)
    now = datetime.now(UTC) if dry_run else _clock_of(store, wanted.state_uri)
    before = now - wanted.older_than
    folders, probes = _listed(wanted, store)
    superseded: dict[TableName, set[str]] = {}
    missing: dict[tuple[TableName, bool], list[str]] = {}
    for folder in folders:
        ledger = Ledger(join(wanted.state_uri, folder.key) if folder.key else wanted.state_uri, folder.key, store)
        if dry_run:
            yield _chosen(folder, _choice(folder, ledger.read().record, wanted, now), before)
        else:
            if (gone := _gone(ledger)) is not None:
                missing.setdefault(gone, []).append(folder.key)
            yield _collect(folder, ledger, wanted, store, now)
        record = ledger.read().record
        if record.current is not None and record.current.table is not None and record.current.in_table_at is not None:
            earlier = {version.publisher for version in record.versions[:-1]}
            superseded.setdefault(record.current.table, set()).update(earlier)
    for table, tokens in superseded.items():
        try:
            yield expire(table, tokens, before, store, dry_run)
        except TableGone:
            missing.setdefault((table, False), [])
    yield from (Missing(table, tuple(unshown), differs) for (table, differs), unshown in missing.items())
    if not dry_run:
        store.delete(info.uri for info in probes if info.modified < before)
        store.sweep(wanted.state_uri, before)


def _gone(ledger: Ledger) -> tuple[TableName, bool] | None:
    """A run may have died between its publish and its copies, and nobody started it again: they are made up for.

    Returns:
        The table that should show the current version and is not there, or is there and differs.
    """
    try:
        ledger.expose()
    except TableGone as error:
        current = ledger.read().record.current
        table = current.table if current is not None else None
        return None if table is None else (table, isinstance(error, TableDiffers))
    return None


def _collect(folder: _Folder, ledger: Ledger, wanted: Housekeeping, store: ObjectStore, now: datetime) -> Collected:
    before, choice = now - wanted.older_than, _Choice()

    def choose(record: Published) -> tuple[frozenset[str], frozenset[str]]:
        nonlocal choice
        choice = _choice(folder, record, wanted, now)
        return choice.superseded, choice.unpublished

    ledger.condemn(choose)
    collected = _chosen(folder, choice, before)
    store.delete(collected.uris)
    return replace(collected, litter=sum(store.sweep(place, before) for place in _places(ledger.read().record)))


@dataclass(frozen=True)
class _Choice:
    """Starts whose files go: those of superseded versions, and those that published nothing."""

    superseded: frozenset[str] = frozenset()
    unpublished: frozenset[str] = frozenset()


def _choice(folder: _Folder, record: Published, wanted: Housekeeping, now: datetime) -> _Choice:
    before = now - wanted.older_than
    replaced_at: dict[str, datetime] = {}
    for version, following in zip(record.versions, record.versions[1:], strict=False):
        replaced_at.pop(version.start, None)  # into the order of the last time that each was current
        replaced_at[version.start] = following.published_at
    if record.current is not None:
        replaced_at.pop(record.current.start, None)
    by_age = list(replaced_at)
    disposable = by_age[: len(by_age) - wanted.keep_versions] if wanted.keep_versions else by_age
    superseded = {start for start in disposable if replaced_at[start] < before and _data(folder.starts.get(start, []))}
    published = {version.start for version in record.versions}
    unpublished = {
        start
        for start, infos in folder.starts.items()
        if start not in published and all(info.modified < before for info in infos)
    }
    return _Choice(frozenset(superseded), frozenset(unpublished))


def _chosen(folder: _Folder, choice: _Choice, before: datetime) -> Collected:
    """What goes, in the order of removal: a plan's own file last, so that its units never outlive it unnoticed."""
    plans = [plan for plan in folder.plans if folder.last_write[plan] < before]
    going = [
        *(info for start in sorted(choice.superseded) for info in _data(folder.starts[start])),
        *(info for start in sorted(choice.unpublished) for info in folder.starts[start]),
        *(info for plan in plans for info in sorted(folder.plans[plan], key=lambda info: _is_plan(info.uri))),
    ]
    return Collected(
        folder.key,
        len(choice.superseded),
        len(choice.unpublished),
        len(plans),
        tuple(info.uri for info in going),
        sum(info.size for info in going),
    )


def _data(infos: list[ObjectInfo]) -> list[ObjectInfo]:
    """The files of a version but for its manifest, which stays: the account of what readers once saw."""
    return [info for info in infos if file_name(info.uri) != "manifest.json"]


def _is_plan(uri: str) -> bool:
    return file_name(uri) == "plan.json"


def _listed(wanted: Housekeeping, store: ObjectStore) -> tuple[list[_Folder], list[ObjectInfo]]:
    """The partitions' folders, sorted, and leftover probes. Whatever else lies in the state is not ours to remove."""
    root = canonical(wanted.state_uri)
    folders: dict[str, _Folder] = {}
    probes = []
    for info in store.list_all(join(root, wanted.partition) if wanted.partition else root):
        steps = info.uri.removeprefix(root).strip("/").split("/")
        depth = next(number for number, step in enumerate([*steps, ""]) if "=" not in step)
        key, rest = "/".join(steps[:depth]), steps[depth:]
        if len(rest) == 1 and PROBE.match(rest[0]):
            probes.append(info)
        elif rest == ["published.json"]:
            folders.setdefault(key, _Folder(key))
        elif len(rest) > 1 and PLAN.match(rest[0]) and (rest[1] != "starts" or len(rest) > 3):
            folders.setdefault(key, _Folder(key)).add(rest[0], rest[1:], info)
    return [folders[key] for key in sorted(folders)], probes


def _places(record: Published) -> list[str]:
    """The folders that readers list."""
    if record.current is None:
        return []
    first = [files[0].listed for files in (record.current.predictions, record.current.quarantine)]
    return [listed.rpartition("/")[0] for listed in first if not is_table(listed)]


def _clock_of(store: ObjectStore, state: str) -> datetime:
    """The time by the store's own clock, which also stamped what lies there. Ours may be off.

    S3 tells it in whole seconds; rounded up, so that an age of 0 means everything.
    """
    scratch = join(state, f"clock-{secrets.token_hex(8)}")
    store.put(scratch, b"")
    try:
        return store.head(scratch).modified + timedelta(seconds=1)
    finally:
        store.delete([scratch])
