"""Partition after partition by the same code as a nightly run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scorer.errors import Interrupted, NothingToDo, ScorerError, SettingsError
from scorer.intake.partitions import find_keys
from scorer.objectstore import join, trusted
from scorer.output.commit import Ledger
from scorer.output.manifest import RunManifest
from scorer.run.score_partition import score_partition
from scorer.run.tools import Tools
from scorer.settings import Job


@dataclass(frozen=True)
class Outcome:
    """What became of one partition: the manifest of its run, or the error that ended it."""

    partition: str
    manifest: RunManifest | None
    error: ScorerError | None


def missing(job: Job, first: str, last: str, tools: Tools) -> tuple[list[str], list[str]]:
    """Partitions between two values of the date key that are not published, and those that are; both in order.

    Args:
        job: its listings are searched, its state says what is published.
        first: lowest value, `2026-11-01` or `ds=2026-11-01`; inclusive.
        last: highest value; inclusive.
        tools: the store.

    Raises:
        SettingsError: the range is empty, or the partitions have no such key.
        NothingToDo: no partition lies between.
    """
    key, low = _key_and_value(first)
    high = _key_and_value(last)[1]
    if low > high:
        raise SettingsError(f"--from {first} is behind --to {last}. Nothing was done.")
    found = find_keys(job.listings, tools.store)
    within = [partition for partition in found if low <= _values(partition).get(key, "") <= high]
    if not within:
        raise NothingToDo(f"No partition of {job.listings} has {key} from {low} to {high}. Nothing was done.")
    published = [partition for partition in within if _is_published(job, partition, tools)]
    return [partition for partition in within if partition not in published], published


def repair(job: Job, published: Sequence[str], tools: Tools) -> None:
    """Bring the copies up to date that runs left behind which died right after their publish."""
    tools = replace(tools, store=trusted(tools.store, job.state_uri, job.single_writer))
    for partition in published:
        _ledger(job, partition, tools).expose()


def backfill(job: Job, partitions: Sequence[str], tools: Tools) -> list[Outcome]:
    """Score each partition; one that fails leaves the others to their turn. A signal ends them all."""
    outcomes = []
    for partition in partitions:
        one = job.model_copy(update={"partition": partition})
        fresh = Tools(tools.store, tools.reporter, stop=tools.stop)
        try:
            outcomes.append(Outcome(partition, score_partition(one, fresh), None))
            if tools.stop.asked:
                raise Interrupted(
                    f"Stopped by {tools.stop.asked} after {partition}, which is done. Start the same command again."
                )
        except Interrupted:
            raise
        except ScorerError as error:
            tools.reporter.event("failed", f"{partition}: {error}", partition=partition, exit_code=error.exit_code)
            outcomes.append(Outcome(partition, None, error))
    return outcomes


def _key_and_value(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    return (key, value) if separator else ("ds", text)


def _values(partition: str) -> dict[str, str]:
    return dict(_key_and_value(step) for step in partition.split("/"))


def _is_published(job: Job, partition: str, tools: Tools) -> bool:
    return _ledger(job, partition, tools).read().record.current is not None


def _ledger(job: Job, partition: str, tools: Tools) -> Ledger:
    return Ledger(join(job.state_uri, partition) if partition else job.state_uri, partition, tools.store)
