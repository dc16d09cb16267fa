"""One partition of a table replaced by one version's files, in one commit; by whoever comes, as often as it takes.

Whoever shows may be slow, and overtaken by one who shows a newer version. So the table is looked at first, then it is
asked which version is current, and the commit insists that the table's main branch still is where it was: of what
happened in between, nothing is overwritten. A commit whose answer was lost is found in the table's history by the
token of the record's entry, and not repeated.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.errors import (
    CredentialsRefused,
    PreconditionFailed,
    SettingsError,
    StoreUnreachable,
    TableDiffers,
    TableGone,
)
from scorer.objectstore import ObjectStore
from scorer.output.exposure import Shown
from scorer.output.tables.layout import FIELD_ID, key_values
from scorer.tables import TableName, asked, catalog, load

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

TRIES = 40
LONGEST_WAIT_S = 8.0
"""Between two tries: drawn evenly from 0 to an end that doubles from 0.1 s up to this. A hundred who commit to one
table at once wait for each other: one of them gets through at a time."""

ENTRY, PARTITION = "scorer.entry", "scorer.partition"
"""Snapshot properties: the token of the record's entry, and which partition it replaced."""


def tag_of(run_id: str) -> str:
    """The tag of the snapshot that made a run's predictions current."""
    return f"run-{run_id}"


def show(name: TableName, partition: str, current: Callable[[], Shown | None], store: ObjectStore) -> str | None:
    """Commit until the partition is the version that `current` names at that very moment.

    Returns:
        The token of the entry that is shown; None if there is none, or readers find it somewhere else by now.

    Raises:
        StoreUnreachable: the catalog or the store does not answer, or others are faster every time.
        TableGone: it was dropped or renamed; TableDiffers: it has other columns by now.
        SettingsError: it was altered so that it does not fit any more.
    """
    why = ""
    for attempt in range(TRIES):
        try:
            table = _loaded(name, partition)
            shown = current()
            if shown is None or shown.table != name:
                return None
            if is_shown(table, partition, shown):
                return shown.token
            if _commit(table, partition, shown, _copies(table, partition, shown, store)):
                continue  # and look again: it may have been overtaken
            why = "Others were faster every time."
        except CredentialsRefused:
            raise
        except StoreUnreachable as error:  # of a commit, the answer may be lost: the table's history will tell
            why = str(error)
        time.sleep(random.uniform(0, min(LONGEST_WAIT_S, 0.1 * 2**attempt)))
    raise StoreUnreachable(
        f"{partition or 'The partition'} is published, but the table {name} does not show it yet. {why} The next"
        " start on it brings it up to date."
    )


def is_shown(table: "Table", partition: str, shown: Shown) -> bool:
    """Whether the last of our commits to this partition was that of this entry.

    What others did to the partition since, compaction for instance, is theirs and is left alone. Where the snapshot was
    expired, the names of the files tell.
    """
    from pyiceberg.table.snapshots import ancestors_of

    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        said = snapshot.summary.additional_properties if snapshot.summary else {}
        if said.get(PARTITION) == partition:
            return said.get(ENTRY) == shown.token
    files = live_files(table, partition)
    return bool(files) and all(shown.token in file.file_path for file in files)


def live_files(table: "Table", partition: str) -> list["DataFile"]:
    """The data files of a partition on the main branch.

    Raises:
        SettingsError: one of them holds rows of other partitions, too: of before the table was partitioned.
    """
    from pyiceberg.expressions import AlwaysTrue

    with asked(f"The table {'.'.join(table.name())}"):
        tasks = list(table.scan(row_filter=_filter(key_values(table, partition))).plan_files())
    for task in tasks:
        if not isinstance(task.residual, AlwaysTrue):
            raise SettingsError(
                f"{task.file.file_path} holds rows of partition {partition} and perhaps of others: it was written"
                " before the table was partitioned as it is now. Rewrite it by the table's partitioning first."
            )
    return [task.file for task in tasks]


def file_uri(table: "Table", partition: str, token: str, number: int) -> str:
    """Where the table keeps a file of an entry: the same at every try, and of no other entry."""
    below = f"{partition}/" if partition else ""
    return table.location_provider().new_data_location(f"{below}{token}-{number:05}.parquet")


def _loaded(name: TableName, partition: str) -> "Table":
    catalog(name.catalog)  # says what to install where pyiceberg is not there
    from pyiceberg.exceptions import NoSuchTableError

    try:
        table = load(name)
    except NoSuchTableError:
        raise TableGone(
            f"{partition or 'The partition'} is published, but the table {name} that shall show it is not in its"
            " catalog any more: it was dropped or renamed. The record and the files in the state are as they were. Give"
            " the table its name back; or start the job with --force, which makes it again and scores the partition"
            " into it."
        ) from None
    # pyiceberg's own retries rebase a commit on what others did meanwhile, without asking the record again, and lose
    # the tag. In this process' copy of the properties only: a commit sends changes, not properties.
    table.metadata.properties["commit.retry.num-retries"] = "0"
    return table


def _filter(values: dict[str, date | int | str]) -> "BooleanExpression":
    from pyiceberg.expressions import AlwaysTrue, And, EqualTo

    # The class takes a term and a value by their places; mypy sees the constructor that pydantic would give it.
    equal: Callable[[str, date | int | str], BooleanExpression] = EqualTo  # type: ignore[assignment]
    found: BooleanExpression = AlwaysTrue()
    for key, value in values.items():
        found = And(found, equal(key, value))
    return found


def _copies(table: "Table", partition: str, shown: Shown, store: ObjectStore) -> list[str]:
    """The version's files where the table keeps its own, byte by byte as they were audited; no reader knows them yet.

    Copies, because the two have different owners: `scorer gc` and rollback own the staged ones, and whoever expires the
    table's snapshots owns those.
    """
    uris = []
    for number, file in enumerate(shown.predictions):
        if file.rows:
            _insist_on_its_columns(table, partition, file.uri, store)
            uri = file_uri(table, partition, shown.token, number)
            with suppress(PreconditionFailed):  # an earlier try got as far
                store.copy(file.uri, uri, if_none_match=True)
            found = store.head(uri).size
            if found != file.bytes:
                raise StoreUnreachable(f"{uri} has {found:,} bytes instead of {file.bytes:,}.")
            uris.append(uri)
    return uris


def _insist_on_its_columns(table: "Table", partition: str, uri: str, store: ObjectStore) -> None:
    """Iceberg finds a column by its id, whatever its name: in another table these ids may be those of other columns."""
    of = table.schema()
    with store.open(uri) as handle:
        for name, number in _ids(pq.read_schema(handle)):
            there = of.find_column_name(number)
            if there != name:
                raise TableDiffers(
                    f"{partition or 'The partition'} is published, but the table {'.'.join(table.name())} has other"
                    f" columns than its files were made for: column {number} is {there or 'none'}, in the files {name}."
                    " It was made again, or columns were renamed or dropped. It could show values in the wrong columns,"
                    " so nothing was added to it; the record and the files in the state are as they were. Give it its"
                    " columns back; or start the job with --force, which scores the partition into it as it is now."
                )


def _ids(schema: pa.Schema) -> Iterator[tuple[str, int]]:
    """Name and id of each column that has an id, and of what its lists hold."""
    for field in schema:
        within = [(f"{field.name}.element", field.type.value_field)] if pa.types.is_list(field.type) else []
        for name, one in ((field.name, field), *within):
            if FIELD_ID in (one.metadata or {}):
                yield name, int(one.metadata[FIELD_ID])


def _commit(table: "Table", partition: str, shown: Shown, uris: list[str]) -> bool:
    """One snapshot that takes the partition's files out and puts the version's in, and a tag on it.

    Returns:
        False if somebody else has changed or dropped the table since it was loaded; then nothing happened.
    """
    from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
    from pyiceberg.io.pyarrow import parquet_file_to_data_file
    from pyiceberg.table.update.snapshot import ManageSnapshots

    with asked(f"The table {'.'.join(table.name())}"):
        transaction = table.transaction()
        replacing = transaction.update_snapshot(snapshot_properties=_account(partition, shown)).overwrite()
        for file in live_files(table, partition):
            replacing.delete_data_file(file)
        for uri in uris:
            replacing.append_data_file(parquet_file_to_data_file(table.io, table.metadata, uri))
        replacing.commit()
        ManageSnapshots(transaction).create_tag(replacing.snapshot_id, tag_of(shown.run_id)).commit()
        try:
            transaction.commit_transaction()
        except (CommitFailedException, NoSuchTableError, ValidationException):
            return False
    return True


def _account(partition: str, shown: Shown) -> dict[str, str]:
    """What the table's history says of this commit."""
    found = {
        PARTITION: partition,
        ENTRY: shown.token,
        "scorer.run-id": shown.run_id,
        "scorer.start": shown.start,
        "scorer.bundle": shown.bundle_digest,
        "scorer.rows": str(sum(file.rows for file in shown.predictions)),
        "scorer.quarantined": str(sum(file.rows for file in shown.quarantine)),
        "scorer.manifest": shown.manifest,
    }
    return found | ({"scorer.instead-of": shown.instead_of} if shown.instead_of else {})
