"""The plan of a backfill: which partitions it will score, and how long that will take."""

import heapq
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from scorer.errors import SettingsError
from scorer.model.bundle import Bundle
from scorer.objectstore import ObjectStore
from scorer.run.backfill.dates import Range, partitions_within, spans
from scorer.run.backfill.record import begun
from scorer.run.backfill.states import Condition, State, conditions
from scorer.run.check import ready
from scorer.run.estimate import Estimate, size
from scorer.run.history import published_keys
from scorer.run.pace import Pace, pace_of, threads_of
from scorer.settings import Job

Only = Literal["missing", "failed", "stale", "all"]

CHOSEN: dict[Only, frozenset[State]] = {
    "missing": frozenset({"missing", "failed"}),
    "failed": frozenset({"failed"}),
    "stale": frozenset({"stale"}),
    "all": frozenset({"missing", "failed", "stale", "published"}),
}
"""Which partitions each choice scores. Those without listings are only shown."""

NOT_ASKED = (
    "Rows and images that are known from other nights are not taken off: with reuse it takes less;"
    " `scorer score --dry-run` looks them up, night by night."
)
"""Of a backfill most nights would be carried from nights that it has yet to score."""

COUNTERS = 4
"""Partitions whose images are counted at a time: their image columns are read."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        within: the range of partitions.
        only: which of them.
        parallel: runs at a time; each of several has a process of its own.
        reverse: the last one first.
    """

    within: Range
    only: Only = "missing"
    parallel: int = 1
    reverse: bool = False


@dataclass(frozen=True)
class Line:
    """One partition in the plan, or several days without listings.

    Attributes:
        partition: its key.
        state: what there is of it.
        why: in a few words.
        rows: of the listings, or of what is published; None where unknown.
        images: distinct ones to be fetched; None where it is not going to be scored, or cannot be read.
        seconds: that scoring it would take; None without a past run to tell from.
        chosen: whether it is going to be scored.
        again: whether it is scored although this very work is published.
    """

    partition: str
    state: State
    why: str
    rows: int | None = None
    images: int | None = None
    seconds: float | None = None
    chosen: bool = False
    again: bool = False


@dataclass(frozen=True)
class BackfillPlan:
    """What is going to be done, in this order, by this bundle and no other.

    Attributes:
        wanted: what was asked for.
        bundle: as it was when the plan was made.
        lines: every partition of the range, in order.
        basis: what the estimates rest on, or why there are none.
    """

    wanted: Wanted
    bundle: Bundle
    lines: tuple[Line, ...]
    basis: str

    @property
    def chosen(self) -> tuple[Line, ...]:
        """Those that are going to be scored, in the order of their turn."""
        lines = [line for line in self.lines if line.chosen]
        return tuple(reversed(lines) if self.wanted.reverse else lines)

    @property
    def seconds(self) -> float | None:
        """From the first to the last; None without past runs. Partitions that cannot be read fail at once."""
        counted = [line.seconds for line in self.chosen if line.images is not None]
        known = [seconds for seconds in counted if seconds is not None]
        return _makespan(known, self.wanted.parallel) if len(known) == len(counted) else None


def make_plan(job: Job, wanted: Wanted, store: ObjectStore) -> BackfillPlan:
    """Look at every partition of the range. Writes nothing and reads no image.

    Raises:
        SettingsError: settings that contradict each other.
        NothingToDo: no partition lies within the range.
        BundleError, ContractError: what concerns every partition.
    """
    _insist_on_sense(job, wanted)
    bundle, contract = ready(job, store)
    keys, gaps = partitions_within(wanted.within, job.listings, store)
    found = conditions(job, keys, bundle, contract, store)
    pace, basis = pace_of(job, bundle, store)
    basis = basis if job.reuse == "none" else f"{basis} {NOT_ASKED}"
    chosen = [_chosen(one, job, wanted, bundle, store) for one in found]
    wanted = replace(wanted, parallel=max(1, min(wanted.parallel, sum(line.chosen for line in chosen))))
    with ThreadPoolExecutor(COUNTERS) as counters:
        sizes = list(counters.map(lambda one, line: _size(one, line, job, store), found, chosen))
    lines = [_line(one, line, counted) for one, line, counted in zip(found, chosen, sizes, strict=True)]
    lines = _timed(lines, sizes, pace, job, wanted)
    lines += _gaps(gaps, frozenset(published_keys(job.state_uri, store)) if gaps else frozenset())
    return BackfillPlan(wanted, bundle, tuple(sorted(lines, key=lambda line: line.partition)), basis)


def _insist_on_sense(job: Job, wanted: Wanted) -> None:
    if wanted.only not in CHOSEN:
        raise SettingsError(f"--only {wanted.only!r} is unknown. Known: {', '.join(CHOSEN)}. Nothing was done.")
    if wanted.parallel < 1:
        raise SettingsError(f"--max-parallel {wanted.parallel}: at least 1. Nothing was done.")
    if job.shard:
        raise SettingsError(
            f"shard: {job.shard} is for one partition: shards wait for each other, nights do not. Nothing was done."
            " Let each machine take nights of its own, or start `scorer score --shard` night by night."
        )
    if job.partition:
        raise SettingsError(
            f"partition: {job.partition} names one partition, --from and --to name a range. Nothing was done."
            " Take the setting out, or use `scorer score`."
        )
    if job.force and wanted.only != "all":
        raise SettingsError(
            f"force: true scores again what is published, --only {wanted.only} leaves it alone. Nothing was done."
            " Say --only all, or take force out."
        )
    if job.single_writer and wanted.parallel > 1:
        raise SettingsError(
            f"single_writer: true is your word that one run at a time publishes; --max-parallel {wanted.parallel} would"
            " start several. Nothing was done. Take one of them out."
        )


def _chosen(one: Condition, job: Job, wanted: Wanted, bundle: Bundle, store: ObjectStore) -> Line:
    """The line before anything is counted."""
    line = Line(one.partition, one.state, one.why, chosen=one.state in CHOSEN[wanted.only])
    if wanted.only != "all" or one.published_at is None or not line.chosen:
        return line
    since = begun(job, wanted.within, bundle.digest, store)
    if since is not None and one.published_at >= since:
        return replace(line, why="scored by this backfill before it was interrupted", chosen=False)
    return replace(line, again=one.state == "published")


def _size(one: Condition, line: Line, job: Job, store: ObjectStore) -> Estimate | None:
    if not line.chosen or one.checked is None:
        return None
    own = job.model_copy(update={"partition": one.partition, "force": line.again})
    try:
        return size(own, one.checked, store)
    except Exception:  # its run will say what is wrong, and leave the others alone
        return None


def _line(one: Condition, line: Line, counted: Estimate | None) -> Line:
    if counted is not None:
        return replace(line, rows=counted.rows, images=counted.distinct)
    if one.checked is not None:
        return replace(line, rows=one.checked.partition.rows)
    return replace(line, rows=sum(file.rows for file in one.published.predictions)) if one.published else line


def _timed(
    lines: Sequence[Line], sizes: Sequence[Estimate | None], pace: Pace | None, job: Job, wanted: Wanted
) -> list[Line]:
    """The lines with their seconds. In one process only the first in turn waits for TensorFlow."""
    threads, timed, loaded = threads_of(job.speed, wanted.parallel), list(lines), False
    turns = range(len(lines))
    for turn in reversed(turns) if wanted.reverse else turns:
        counted = sizes[turn]
        if pace is not None and counted is not None:
            timed[turn] = replace(lines[turn], seconds=counted.seconds(pace, threads, loaded))
            loaded = wanted.parallel == 1
    return timed


def _gaps(days: Sequence[str], published: frozenset[str]) -> list[Line]:
    """Days without listings, those that follow each other together; one that was published once says so."""
    lines = [Line(day, "no listings", "published once; its listings are gone") for day in days if day in published]
    for first, last, number in spans(day for day in days if day not in published):
        if number == 1:
            lines.append(Line(first, "no listings", ""))
        else:
            lines.append(Line(f"{first} to {last.rpartition('=')[2]}", "no listings", f"{number} days"))
    return lines


def _makespan(seconds: Sequence[float], parallel: int) -> float:
    """Until the last is done, when each that ends makes room for the next."""
    free = [0.0] * parallel
    for each in seconds:
        heapq.heappush(free, heapq.heappop(free) + each)
    return max(free)
