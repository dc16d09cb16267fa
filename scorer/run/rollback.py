"""An earlier version current again, by one more entry in the record."""

from scorer.errors import InputError, NotFound, NothingToDo, SettingsError, StoreUnreachable
from scorer.objectstore import ObjectStore, join, trusted
from scorer.output.commit import Ledger, Published, Version
from scorer.run.tools import Tools
from scorer.settings import Housekeeping


def ledger_of(wanted: Housekeeping, store: ObjectStore) -> Ledger:
    """The record of the partition that is meant; of the job's only one where none is named."""
    key = wanted.partition or ""
    return Ledger(join(wanted.state_uri, key) if key else wanted.state_uri, key, store)


def rollback(wanted: Housekeeping, run_id: str | None, tools: Tools) -> Version:
    """Make an earlier version current.

    Args:
        wanted: which partition.
        run_id: the run to bring back; None: the one before the current one that was not itself rolled back.
        tools: store and voice.

    Returns:
        The version that is current now.

    Raises:
        NothingToDo: nothing was ever published.
        SettingsError: no such version, or no earlier one, or its files are removed.
        InputError: a file of that version is missing or has another size.
        PublishedByAnother: a run published meanwhile; nothing was changed.
        StoreUnreachable, Interrupted: that version may be current already; the text says how to go on from there.
    """
    store = trusted(tools.store, wanted.state_uri, wanted.single_writer)
    ledger = ledger_of(wanted, store)
    ledger.expose()
    seen = ledger.read()
    current = seen.record.current
    if current is None:
        raise _never_published(wanted, ledger)
    target = _earlier(seen.record, wanted) if run_id is None else _named(seen.record, run_id, wanted)
    if target.sink != current.sink:
        raise SettingsError(
            f"{_name(wanted)}: run {target.run_id} was published to {target.sink}, the current one to {current.sink}:"
            " neither can take the other's files. Nothing was changed. Score again with the sink that is wanted."
        )
    if target.start != current.start:
        _insist_on_files(target, store)
        go_on = f"To go on, start again with --to {target.run_id}; without it, one version further back may be taken."
        with tools.stop.finishing(f"{ledger.uri} says which version is current.", go_on):
            try:
                ledger.restore(target, seen)
                ledger.expose()
            except StoreUnreachable as error:  # also where the store did it and its answer was lost
                raise type(error)(f"{error} {go_on}") from None
            tools.stop.published = f"Run {target.run_id} is current again."
    text = f"{_name(wanted)}: readers see run {target.run_id} again, instead of run {current.run_id}."
    if target.start == current.start:
        text = f"{_name(wanted)}: run {target.run_id} is current already. Nothing was changed."
    tools.reporter.event("rolled back", text, run_id=target.run_id, instead_of=current.run_id)
    return target


def history(wanted: Housekeeping, store: ObjectStore) -> list[dict[str, str]]:
    """The entries of a record for people, oldest first. Raises NothingToDo if there is none."""
    ledger = ledger_of(wanted, store)
    record = ledger.read().record
    if record.current is None:
        raise _never_published(wanted, ledger)
    standing = {version.start for version in record.standing()}
    lines = []
    for version in record.versions:
        state = "superseded" if version.start in standing else "rolled back"
        if version is record.current:
            state = "current"
        elif version.removed_at is not None:
            state = f"removed {version.removed_at:%Y-%m-%d}"
        lines.append(
            {
                "current since (UTC)": f"{version.published_at:%Y-%m-%d %H:%M:%S}",
                "run": version.run_id,
                "rows": f"{sum(file.rows for file in version.predictions):,}",
                "bundle": version.bundle_digest[:12],
                "by": "rollback" if version.instead_of else "run",
                "state": state,
            }
        )
    return lines


def _earlier(record: Published, wanted: Housekeeping) -> Version:
    below = [version for version in record.standing()[:-1] if version.start != record.versions[-1].start]
    kept = [version for version in below if version.removed_at is None]
    if not kept:
        why = "the files of every earlier one were removed by `scorer gc`" if below else "it is the first one"
        raise SettingsError(f"{_name(wanted)} has no version before the current one: {why}. Nothing was changed.")
    return kept[-1]


def _named(record: Published, run_id: str, wanted: Housekeeping) -> Version:
    found = [version for version in record.versions if version.run_id == run_id]
    kept = [version for version in found if version.removed_at is None]
    if not kept:
        known = dict.fromkeys(version.run_id for version in record.versions if version.removed_at is None)
        why = "has no files any more (`scorer gc` removed them)" if found else "never published there"
        raise SettingsError(
            f"{_name(wanted)}: run {run_id} {why}. Runs to go back to: {', '.join(known)}. Nothing was changed."
        )
    return kept[-1]


def _insist_on_files(version: Version, store: ObjectStore) -> None:
    for file in (*version.predictions, *version.quarantine):
        try:
            size = store.head(file.uri).size
        except NotFound:
            size = -1
        if size != file.bytes:
            what = "is missing" if size < 0 else f"has {size:,} bytes instead of {file.bytes:,}"
            raise InputError(f"{file.uri} of run {version.run_id} {what}. Nothing was changed.")


def _never_published(wanted: Housekeeping, ledger: Ledger) -> NothingToDo:
    return NothingToDo(f"Nothing was ever published for {_name(wanted)}: there is no version in {ledger.uri}.")


def _name(wanted: Housekeeping) -> str:
    return wanted.partition or wanted.predictions
