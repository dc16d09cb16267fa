"""Alternating runs of several contestants, and what follows from them."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.watch import Failed, Sample
from benchmarks.workload import say


@dataclass(frozen=True)
class Entry:
    """A contestant.

    Attributes:
        run: a whole process over so many listings.
        small: n, listings of the small run.
        large: listings of the large one, by default 4n. The difference should take 20 s or more: start-up times differ
            by half a second from run to run.
        dispensable: a failure costs this contestant its place, not the others their figures.
    """

    run: Callable[[int], Sample]
    small: int
    factor: int = 4
    dispensable: bool = False

    @property
    def large(self) -> int:
        """4n."""
        return self.factor * self.small


@dataclass
class Record:
    """Every run of one contestant."""

    small: int
    large: int
    small_runs: list[Sample] = field(default_factory=list)
    large_runs: list[Sample] = field(default_factory=list)
    failure: str = ""

    def last(self) -> str:
        """The latest turn, for people."""
        if self.failure:
            return f"failed, and is left out from now on: {self.failure}"
        small, large = self.small_runs[-1], self.large_runs[-1]
        rate = (self.large - self.small) / (large.wall_s - small.wall_s)
        return (
            f"{self.small:,} in {small.wall_s:.1f} s, {self.large:,} in {large.wall_s:.1f} s: {rate:,.0f} images/s,"
            f" {large.peak_mib:,.0f} MiB; others took {large.others_cpu_s / large.wall_s:.2f} cores"
        )

    def figures(self) -> dict[str, Any]:
        """Medians, and all runs behind them. A rate is the slope of one pair of runs, so that start-up drops out."""
        pairs = list(zip(self.small_runs, self.large_runs, strict=True))
        more = self.large - self.small
        rates = [more / (large.wall_s - small.wall_s) for small, large in pairs]
        cpu_ms = [(large.cpu_s - small.cpu_s) / more * 1e3 for small, large in pairs]
        starts = [small.wall_s - self.small / rate for (small, _), rate in zip(pairs, rates, strict=True)]
        firsts = [run.first_batch_s for run in (*self.small_runs, *self.large_runs) if run.first_batch_s is not None]
        return {
            "images_per_s": statistics.median(rates),
            "cpu_ms_per_image": statistics.median(cpu_ms),
            "start_up_s": statistics.median(starts),
            "first_batch_s": statistics.median(firsts) if firsts else None,
            "whole_run_images_per_s": statistics.median(self.large / large.wall_s for large in self.large_runs),
            "peak_mib": max(large.peak_mib for large in self.large_runs),
            "others_cores": statistics.median(large.others_cpu_s / large.wall_s for large in self.large_runs),
            "images": [self.small, self.large],
            "all_images_per_s": rates,
            "all_cpu_ms_per_image": cpu_ms,
            "runs": [[asdict(small), asdict(large)] for small, large in pairs],
        }


def alternate(
    entries: Mapping[str, Entry], rounds: int, between: Callable[[], None] = lambda: None
) -> dict[str, Record]:
    """Round after round, everyone's turn: what disturbs the machine for a while disturbs all.

    Args:
        entries: by name.
        rounds: how many.
        between: called once a round, for what else belongs into it.
    """
    records = {name: Record(entry.small, entry.large) for name, entry in entries.items()}
    for turn in range(rounds):
        between()
        for name, entry in entries.items():
            if not records[name].failure:
                _take_turn(entry, records[name])
                say(f"round {turn + 1} of {rounds}: {name}: {records[name].last()}")
    return records


def _take_turn(entry: Entry, record: Record) -> None:
    try:
        small, large = entry.run(entry.small), entry.run(entry.large)
    except (Failed, RuntimeError) as error:
        if not entry.dispensable:
            raise
        record.failure = str(error)
        return
    record.small_runs.append(small)
    record.large_runs.append(large)
