"""The simulator of growth keeps to the limits it was given, and its time adds up."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks import growth
from benchmarks.accounts import Account
from benchmarks.cluster import BARE, LOCAL, ONE, RESULT, TINY, TINY_UNIT, TWO, UNIT
from benchmarks.simulation import Costs, Node, Outcome, Store, Work, simulate

COSTS = Costs(
    image_s=2e-3, spread=0.1, start_s=20.0, hand_s=2e-3, plan_s_a_row=1e-6, close_s=2.0, close_s_a_row=2e-6,
    close_s_a_unit=5e-3,
)  # fmt: skip
WORK, NODE = Work(4_000_000), Node(cores=8)
FREE = Store(gets_per_s=float("inf"), puts_per_s=float("inf"), latency_s=0.0)
MANY = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@pytest.mark.parametrize("workers", MANY)
def test_no_run_is_faster_than_its_cores_its_requests_or_its_prefixes_allow(workers: int) -> None:
    store = Store()
    seconds = simulate(WORK, workers, COSTS, store, NODE).seconds

    # The spread has a mean of one over many units, not over these.
    assert seconds >= 0.97 * WORK.images * COSTS.image_s / (workers * NODE.cores)
    assert seconds >= WORK.images / store.gets_per_s
    assert seconds >= WORK.images * store.latency_s / store.requests_together
    assert seconds >= WORK.units * COSTS.hand_s


@pytest.mark.parametrize("workers", MANY)
@pytest.mark.parametrize("store", [Store(), FREE], ids=["S3", "no limits"])
def test_the_parts_add_up_and_none_of_them_is_negative(workers: int, store: Store) -> None:
    found = simulate(WORK, workers, COSTS, store, NODE)

    assert sum(found.parts.values()) == pytest.approx(found.seconds)
    assert min(found.parts.values()) >= -1e-9


@pytest.mark.parametrize("seed", range(5))
def test_more_nodes_are_never_slower(seed: int) -> None:
    for store in (FREE, Store()):
        seconds = [simulate(WORK, workers, COSTS, store, NODE, seed).seconds for workers in MANY]

        assert all(more <= few + 1e-6 for few, more in pairwise(seconds))


def test_one_worker_takes_unit_after_unit() -> None:
    even = replace(COSTS, spread=0.0, hand_s=0.0)
    work = Work(40 * 4096, images_a_row=1)

    found = simulate(work, 1, even, FREE, Node(cores=1))

    assert found.parts["computing"] == pytest.approx(work.images * even.image_s)
    assert found.parts["the last units"] == pytest.approx(0.0)


def test_the_driver_hands_out_one_unit_after_the_other() -> None:
    work = Work(40_000_000)
    found = simulate(work, 64, replace(COSTS, hand_s=5.0), FREE, NODE)

    assert found.seconds >= work.units * 5.0
    assert found.most == "the driver's hand"


def test_what_binds_is_named_and_goes_when_its_setting_is_moved() -> None:
    few_requests = Store(gets_per_s=1e9, requests_together=64)
    one_prefix = Store(fetch_concurrency=4096, requests_together=1 << 20)
    work = Work(100_000_000)

    assert simulate(work, 64, COSTS, few_requests, NODE).most == "requests in flight"
    assert simulate(work, 64, COSTS, one_prefix, NODE).most == "the store"
    freed = simulate(work, 64, COSTS, replace(one_prefix, gets_per_s=64 * 5500), NODE)
    assert freed.most == "computing"
    assert freed.seconds < simulate(work, 64, COSTS, one_prefix, NODE).seconds / 5


def test_all_nodes_are_paid_for_the_whole_run_and_every_request_once() -> None:
    found = simulate(WORK, 9, COSTS, FREE, Node(8, usd_a_core_hour=1.0, usd_a_million_gets=3.0, usd_a_million_puts=0.0))

    assert found.usd == pytest.approx(10 * 8 * found.seconds / 3600 + 4 * 3.0)


def test_the_knee_is_where_twice_the_nodes_are_not_worth_it_and_names_what_does_not_shrink() -> None:
    by_nodes = {
        nodes: Outcome(100 / nodes + 12 + 5, 0.0, {"computing": 100 / nodes, "start-up": 12.0, "the last units": 5.0})
        for nodes in (1, 2, 4, 8, 16)
    }

    assert growth.knee(by_nodes) == (4, "start-up")


def ran(rows: int, workers: int, costs: Costs, rows_per_unit: int = UNIT) -> Account:
    """As a run with these costs would be written down, of even units."""
    units = rows // rows_per_unit
    unit_s = rows_per_unit * costs.image_s
    staged = tuple(costs.start_s + unit_s * (1 + number // workers) for number in range(units))
    published = staged[-1] + costs.close_s + rows * costs.close_s_a_row + units * costs.close_s_a_unit
    driver = units * (costs.hand_s + costs.close_s_a_unit)
    return Account(rows, published, rows * costs.plan_s_a_row, staged, published, published, {}, driver)


def test_what_it_is_fitted_to_gives_the_costs_back_and_other_runs_are_predicted() -> None:
    costs = replace(COSTS, spread=0.01, plan_s_a_row=0.0, close_s_a_unit=0.0)
    slower = replace(costs, image_s=1.2 * costs.image_s)
    per_row = replace(costs, image_s=1e-6, plan_s_a_row=1e-6)
    accounts = {
        ONE: [ran(8 * UNIT, 1, costs), ran(32 * UNIT, 1, costs)],
        TWO: [ran(8 * UNIT, 2, slower), ran(32 * UNIT, 2, slower)],
        LOCAL: [ran(8 * UNIT, 1, replace(slower, image_s=slower.image_s / 2)), ran(32 * UNIT, 1, costs)],
        TINY: [ran(rows, 1, per_row, TINY_UNIT) for rows in (1024, 4096)],
        BARE: [ran(rows, 1, per_row, 4096) for rows in (4096 * 61, 4096 * 244)],
    }

    found = growth.calibrate(accounts)

    assert found.image_s == pytest.approx(costs.image_s)
    assert found.start_s == pytest.approx(costs.start_s, rel=0.01)
    assert (found.plan_s_a_row, found.close_s_a_row) == pytest.approx((1e-6, costs.close_s_a_row))
    assert found.hand_s == pytest.approx(costs.hand_s, rel=0.01)
    together = growth.crowded(found, accounts, cores=2)
    assert together.image_s == pytest.approx(slower.image_s)
    checked = growth.check(accounts, found, together)
    assert len(checked) == 3, "never a run that it was fitted to"
    assert all(abs(one["off"]) < 0.02 for one in checked.values())


def test_the_runs_that_were_measured_are_predicted_within_15_percent() -> None:
    measured = json.loads(RESULT.read_text())
    accounts = growth.runs_of(measured)
    alone = growth.calibrate(accounts)

    checked = growth.check(accounts, alone, growth.crowded(alone, accounts, measured["machine"]["cores"]))

    assert len(checked) == 3
    assert {name: one["off"] for name, one in checked.items() if abs(one["off"]) > 0.15} == {}
