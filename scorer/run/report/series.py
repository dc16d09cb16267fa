"""Many runs on one page: volumes, what was degraded, drift, time and cost, failures, and what changed between them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import quote

from scorer.errors import NothingToDo, SettingsError
from scorer.objectstore import ObjectStore, join, parse
from scorer.pages.words import count, duration, moment
from scorer.run.report.journal import FOLDER, Entry, last
from scorer.run.report.render import render
from scorer.run.report.strips import Strip, counts_of, drift, rates, volumes

EXITS = {
    2: "settings",
    3: "input, contract or bundle",
    4: "gate or audit",
    5: "another run published",
    70: "a bug",
    75: "stopped, or the store out of reach",
}
"""Exit code of a run -> what ended it."""


@dataclass(frozen=True)
class Series:
    """What the page of many runs says; the entries are oldest first.

    Attributes:
        changes: what was another one than in the run before: when, what, from, to.
        failures: what ended or refused runs, how often, and when last.
    """

    entries: tuple[Entry, ...]
    figures: tuple[tuple[str, str], ...]
    strips: tuple[Strip, ...]
    drift: tuple[Strip, ...]
    changes: tuple[tuple[str, str, str, str], ...]
    failures: tuple[tuple[str, int, str], ...]


def series_page(state_uri: str, predictions: str, number_of: int, partition: str | None, store: ObjectStore) -> str:
    """The last runs as one HTML file.

    Args:
        state_uri: of the job.
        predictions: place of the predictions, for the title.
        number_of: runs.
        partition: only this one's; None: all.
        store: where the state is.

    Raises:
        NothingToDo: no run has left an entry.
    """
    entries = last(state_uri, number_of, store, partition)
    if not entries:
        which = f"of {partition} " if partition else ""
        raise NothingToDo(
            f"No run {which}has left an entry in {join(state_uri, FOLDER)}: there is no series to show. Score a"
            " partition first, with page.write as it is by default."
        )
    return render("series.html", series=series(entries), place=predictions, partition=partition, link=link)


def write_series(state_uri: str, predictions: str, number_of: int, partition: str | None, store: ObjectStore) -> str:
    """Draw the last runs and leave the page in the state, in the partition's folder if it is of one.

    Returns:
        Where it lies. Raises as `series_page`.
    """
    page = series_page(state_uri, predictions, number_of, partition, store)
    uri = join(state_uri, *((partition,) if partition else ()), "report.html")
    store.put(uri, page.encode())
    return uri


def series(entries: Sequence[Entry]) -> Series:
    """The series of some runs, oldest first."""
    return Series(
        tuple(entries),
        _figures(entries),
        (volumes(entries), *rates(entries)),
        drift(entries),
        _changes(entries),
        _failures(entries),
    )


def link(uri: str) -> str:
    """Where a browser finds a page; empty for what is not a local file."""
    try:
        return "" if not uri or parse(uri).bucket else f"file://{quote(parse(uri).key)}"
    except SettingsError:  # an entry is JSON from a store: what is no place is no link
        return ""


def _figures(entries: Sequence[Entry]) -> tuple[tuple[str, str], ...]:
    outcomes = Counter(entry.outcome for entry in entries)
    published = [entry for entry in entries if entry.outcome == "published" and entry.counts]
    rows = sum(counts_of(entry).rows_in for entry in published)
    found = [
        ("published", count(outcomes["published"])),
        ("refused", count(outcomes["refused"])),
        ("failed or stopped", count(outcomes["failed"])),
        ("listings published", count(rows)),
        ("time in all", duration(sum(entry.seconds for entry in entries))),
    ]
    costs = [entry.cost for entry in entries if entry.cost is not None]
    if costs:
        found.append(("cost in all", f"{sum(costs):,.2f} {entries[-1].currency}".strip()))
    return tuple(found)


def _changes(entries: Sequence[Entry]) -> tuple[tuple[str, str, str, str], ...]:
    """The newest change first."""
    found = []
    for before, entry in pairwise([entry for entry in entries if entry.bundle]):
        assert before.bundle is not None
        assert entry.bundle is not None
        old, new = before.bundle, entry.bundle
        if old.digest != new.digest:
            names = [f"{bundle.name} {bundle.version} ({bundle.digest[:12]})" for bundle in (old, new)]
            found.append((moment(entry.began), "bundle", names[0], names[1]))
        for package in sorted(before.versions.keys() | entry.versions.keys()):
            was, now = (one.versions.get(package, "not installed") for one in (before, entry))
            if was != now:
                found.append((moment(entry.began), package, was, now))
        if before.cores != entry.cores and before.cores and entry.cores:
            found.append((moment(entry.began), "cores", str(before.cores), str(entry.cores)))
    return tuple(reversed(found))


def _failures(entries: Sequence[Entry]) -> tuple[tuple[str, int, str], ...]:
    """By gate, or by what the exit code means; the most frequent first."""
    found: Counter[str] = Counter()
    latest: dict[str, str] = {}
    for entry in entries:
        for why in _why(entry):
            found[why] += 1
            latest[why] = moment(entry.ended)
    return tuple((why, times, latest[why]) for why, times in found.most_common())


def _why(entry: Entry) -> list[str]:
    if entry.outcome == "published":
        return []
    gates = [f"gate {gate}" for gate, status in entry.gates.items() if status == "fail"]
    return gates or [EXITS.get(entry.exit_code, f"exit code {entry.exit_code}")]
