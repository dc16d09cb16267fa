"""A run on a cluster as a handful of queues: workers, the driver's hand, the store. Seconds in, seconds out."""

import heapq
from dataclasses import dataclass, field

import numpy as np

from scorer.output.staging import READ_AHEAD


@dataclass(frozen=True)
class Work:
    """One partition.

    Attributes:
        images: in all.
        images_a_row: of one listing.
        rows_per_unit: listings of a work unit.
    """

    images: int
    images_a_row: int = 4
    rows_per_unit: int = 4096

    @property
    def rows(self) -> int:
        """Listings."""
        return -(-self.images // self.images_a_row)

    @property
    def units(self) -> int:
        """Work units."""
        return -(-self.rows // self.rows_per_unit)


@dataclass(frozen=True)
class Costs:
    """What was measured, in seconds.

    Attributes:
        image_s: of one core, an image.
        spread: standard deviation of a unit's time over its mean.
        start_s: from the driver's start until its workers begin their first units, but for the rows' share.
        hand_s: of the driver, to hand a unit out and hear that it is done.
        plan_s_a_row: of the driver, before the first unit.
        close_s: of the driver, from the last unit to its end, for a run of no size.
        close_s_a_row: more for each row: put together, audited, judged, published.
        close_s_a_unit: more for each unit, from local files.
    """

    image_s: float
    spread: float
    start_s: float
    hand_s: float
    plan_s_a_row: float
    close_s: float
    close_s_a_row: float
    close_s_a_unit: float


@dataclass(frozen=True)
class Store:
    """What an object store allows, and how much is asked of it.

    5,500 GETs, 3,500 PUTs a second and prefix, and 100 ms to the first byte of a small object ("roughly 100-200"):
    Amazon S3 User Guide, "Best practices design patterns: optimizing Amazon S3 performance". The rest are our defaults.
    """

    gets_per_s: float = 5500.0
    puts_per_s: float = 3500.0
    latency_s: float = 0.1
    fetch_concurrency: int = 32
    requests_together: int = 1024

    def requests_of_one(self, workers: int) -> int:
        """As `Job.speed_of_one` divides them."""
        return min(self.fetch_concurrency, max(1, self.requests_together // workers))


@dataclass(frozen=True)
class Node:
    """One machine: a worker with all of its cores, taken to be as fast as they are many.

    The prices are examples: some 0.04 USD a core-hour on demand; 0.40 USD a million GETs and 5 USD a million PUTs in
    S3's cheapest regions (aws.amazon.com/s3/pricing).
    """

    cores: int = 8
    usd_a_core_hour: float = 0.04
    usd_a_million_gets: float = 0.40
    usd_a_million_puts: float = 5.0


PUTS_A_UNIT = 2
"""Its predictions, and that it was begun; refused rows are rare."""


@dataclass(frozen=True)
class Outcome:
    """One run.

    Attributes:
        seconds: from the driver's start to its end.
        usd: of all nodes and of the driver's for all of that time, and of the requests.
        parts: what it was spent on; the parts add up to it. What workers do at the same time counts by their mean.
    """

    seconds: float
    usd: float
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def most(self) -> str:
        """What took most of it."""
        return max(self.parts, key=lambda name: self.parts[name])


@dataclass
class _Queue:
    """Serves one after the other."""

    free: float = 0.0

    def served(self, asked: float, takes: float) -> float:
        """When somebody who asks at a moment has been served."""
        self.free = max(self.free, asked) + takes
        return self.free


def simulate(work: Work, workers: int, costs: Costs, store: Store, node: Node, seed: int = 7) -> Outcome:
    """One run: plan, start-up, units handed out as they are finished, one publish.

    A worker is told its next unit when it begins one, and fetches ahead while it computes: a unit takes the longer of
    the two. All images pass one store that serves so many a second, all units one driver.
    """
    busy = min(workers, work.units)
    images = work.images / work.units
    computing = images * costs.image_s / node.cores
    asking = images * store.latency_s / store.requests_of_one(busy)
    serving = max(images / store.gets_per_s, PUTS_A_UNIT / store.puts_per_s)
    chance = np.random.default_rng(seed)
    factors = chance.gamma(1 / costs.spread**2, costs.spread**2, work.units) if costs.spread else np.ones(work.units)

    driver, served = _Queue(), _Queue()
    ends = [(0.0, number, 0.0) for number in range(busy)]  # free from, worker, asked for the next unit at
    waited = {"the driver's hand": 0.0, "the store": 0.0, "own": 0.0}
    for factor in factors:
        free, number, asked = ends[0]
        begun = max(free, driver.served(asked, costs.hand_s))
        own = max(computing * factor, asking)
        done = max(begun + own, served.served(begun, serving))
        waited["the driver's hand"] += begun - free
        waited["the store" if done > begun + own else "own"] += done - begun  # what bound it counts for all of it
        heapq.heapreplace(ends, (done, number, begun))
    last = max(free for free, _, _ in ends)

    mean = {name: seconds / busy for name, seconds in waited.items()}
    parts = {
        "start-up": costs.start_s,
        "plan and publish": work.rows * (costs.plan_s_a_row + costs.close_s_a_row)
        + work.units * (costs.close_s_a_unit + store.latency_s / READ_AHEAD)
        + costs.close_s,
        "computing" if computing >= asking else "requests in flight": mean["own"],
        "the store": mean["the store"],
        "the driver's hand": mean["the driver's hand"],
        "the last units": last - sum(mean.values()),
    }
    seconds = sum(parts.values())
    core_hours = (workers + 1) * node.cores * seconds / 3600
    requests = work.images * node.usd_a_million_gets + PUTS_A_UNIT * work.units * node.usd_a_million_puts
    return Outcome(seconds, core_hours * node.usd_a_core_hour + requests / 1e6, parts)
