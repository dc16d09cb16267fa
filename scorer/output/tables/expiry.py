"""Takes away what a table no longer needs to remember: old snapshots, their tags, and files that nothing names.

What readers see now is untouched, and of the files only those go that were written here: by their names, and by the
metadata that named them.
"""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from scorer.errors import StoreUnreachable, TableGone
from scorer.objectstore import ObjectStore, canonical
from scorer.output.tables.replacing import tag_of
from scorer.tables import TableName, asked, catalog, load

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

OURS = re.compile(r"/([0-9a-f]{16})-\d{5}\.parquet$")
"""The token of an entry, in a data file's name. It is random: no two partitions have one in common."""

TRIES = 10


@dataclass(frozen=True)
class Expired:
    """What was removed of one table, or would be.

    Attributes:
        snapshots: how many the table no longer remembers.
        uris: every file.
        bytes: in the data files among them.
    """

    table: str
    snapshots: int
    uris: tuple[str, ...]
    bytes: int

    def sentence(self, verb: str) -> str:
        """For people."""
        return (
            f"table {self.table}: {verb}: {self.snapshots} snapshot(s) with their tags; {len(self.uris):,} files,"
            f" {self.bytes / 1e6:,.1f} MB of data."
        )


def expire(
    name: TableName, superseded: Set[str], before: datetime, store: ObjectStore, dry_run: bool = False
) -> Expired:
    """Forget snapshots older than `before`, and remove the files that none of the others needs.

    Args:
        name: which table.
        superseded: tokens of the records' entries that came before the current one, which was in the table already when
            they were read. Only of their copies are any removed.
        before: in UTC; the head of every branch stays whatever its age, and what others have tagged.
        store: where the files lie.
        dry_run: change nothing.

    Raises:
        TableGone: it was dropped or renamed. Nothing was removed.
        StoreUnreachable: the catalog does not answer, or others change the table all the time.
    """
    catalog(name.catalog)  # says what to install where pyiceberg is not there
    from pyiceberg.exceptions import CommitFailedException, NoSuchTableError

    for _ in range(TRIES):
        try:
            table = load(name)
        except NoSuchTableError:
            raise TableGone(f"The table {name} is not in its catalog. Nothing of it was removed.") from None
        going = _going(table, before)
        files = _unneeded(table, going, superseded, store)
        if dry_run:
            return _removed(table, going, files)
        try:
            _forget(table, going)
        except (CommitFailedException, NoSuchTableError):
            continue  # changed or dropped since it was loaded
        store.delete(files.data)
        for uri in files.metadata:
            with asked(f"The table {name}"):
                table.io.delete(uri)
        return _removed(table, going, files)
    raise StoreUnreachable(f"Others change {name} all the time: nothing was expired. Start again.")


@dataclass(frozen=True)
class _Files:
    """To be removed: data files with their sizes, and files of metadata."""

    data: Mapping[str, int]
    metadata: frozenset[str]


def _removed(table: "Table", going: list["Snapshot"], files: _Files) -> Expired:
    uris = (*sorted(files.data), *sorted(files.metadata))
    return Expired(".".join(table.name()), len(going), uris, sum(files.data.values()))


def _going(table: "Table", before: datetime) -> list["Snapshot"]:
    """Old snapshots; a tag of ours holds none of them, heads of branches and tags of others do."""
    held = {ref.snapshot_id for tag, ref in table.metadata.refs.items() if tag not in _our_tags(table)}
    millis = int(before.timestamp() * 1000)
    return [one for one in table.snapshots() if one.timestamp_ms < millis and one.snapshot_id not in held]


def _our_tags(table: "Table") -> set[str]:
    runs = (one.summary.additional_properties.get("scorer.run-id") for one in table.snapshots() if one.summary)
    return {tag_of(run) for run in runs if run}


def _forget(table: "Table", going: list["Snapshot"]) -> None:
    """One commit."""
    from pyiceberg.table.update.snapshot import ExpireSnapshots, ManageSnapshots

    if not going:
        return
    ids = {snapshot.snapshot_id for snapshot in going}
    with asked(f"The table {'.'.join(table.name())}"):
        transaction = table.transaction()
        manage = ManageSnapshots(transaction)
        for tag, ref in table.metadata.refs.items():
            if ref.snapshot_id in ids:
                manage = manage.remove_tag(tag)
        manage.commit()
        ExpireSnapshots(transaction).by_ids(sorted(ids)).commit()
        transaction.commit_transaction()


def _unneeded(table: "Table", going: list["Snapshot"], superseded: Set[str], store: ObjectStore) -> _Files:
    """Data and metadata that only the snapshots that go name, and files that were copied for a commit that never came.

    Those may go although somebody slow might still want to commit them: an entry that followed is in the table, so its
    head is not the one that a commit of theirs insists on. Entries that came after the records were read are not among
    the superseded: their copies may be there before this table, loaded earlier, names them. See the decision on tables.
    """
    ids = {snapshot.snapshot_id for snapshot in going}
    kept = _named(table, [one for one in table.snapshots() if one.snapshot_id not in ids])
    metadata = frozenset(_named(table, going).metadata - kept.metadata)
    data = {}
    for info in store.list_all(canonical(table.location_provider().data_path)):
        found = OURS.search(info.uri)
        if found and found[1] in superseded and info.uri not in kept.data:
            data[info.uri] = info.size
    return _Files(data, metadata)


@dataclass(frozen=True)
class _Names:
    """Everything that some snapshots name; data files by their canonical URIs."""

    data: set[str]
    metadata: set[str]


def _named(table: "Table", snapshots: Iterable["Snapshot"]) -> _Names:
    names = _Names(set(), set())
    with asked(f"The table {'.'.join(table.name())}"):
        for snapshot in snapshots:
            names.metadata.add(snapshot.manifest_list)
            for manifest in snapshot.manifests(table.io):
                if manifest.manifest_path not in names.metadata:
                    names.metadata.add(manifest.manifest_path)
                    entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                    names.data.update(canonical(entry.data_file.file_path) for entry in entries)
    return names
