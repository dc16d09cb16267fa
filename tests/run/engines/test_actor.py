"""A worker of a cluster, without the cluster: units in by the hand, reports out, everything picklable."""

import importlib.util
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scorer.errors import BundleError, InputChanged, SettingsError
from scorer.intake.ids import read_ids
from scorer.run.check import check
from scorer.run.engines import engine_of
from scorer.run.engines.ray import errand as travelling
from scorer.run.engines.ray.actor import Actor
from scorer.run.engines.ray.errand import Errand, Handed, Report
from scorer.run.plan import make_plan
from scorer.run.start import Start
from scorer.run.tools import Tools
from scorer.settings import Job, load
from tests.tiny import Market, listing, local_market


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    return local_market(tmp_path, bundle)


def begun(market: Market, **settings: Any) -> Start:
    job = market.job(rows_per_unit=4, speed={"batch_images": 8}, **settings)
    tools = Tools(market.store)
    checked = check(job, tools.store)
    plan = make_plan("digest", checked, read_ids(checked.partition, tools.store), job, 8)
    return Start(job, tools, checked, plan, plan.created_at)


def travelled(what: Any) -> Any:
    """As Ray hands it to another process: pickled."""
    return pickle.loads(pickle.dumps(what))  # noqa: S301  # bytes that were pickled in this very line


def worker(start: Start, workers: int = 1) -> Actor:
    actor = Actor(travelled(Errand.of(start, workers)), 0, None)
    report = travelled(actor.load())
    assert (report.done, report.error, report.ended) == ((), None, False)
    return actor


def handed(start: Start) -> list[Handed]:
    return [travelled(Handed(unit, False, None)) for unit in start.plan.units]


def test_a_worker_stages_its_units_and_says_what_it_counted(market: Market) -> None:
    start = begun(market)
    actor, units = worker(start), handed(start)
    reports: list[Report] = []
    waiting, in_hand = list(units), 0
    while waiting or in_hand:
        more, waiting = waiting[: 2 - in_hand], waiting[2 - in_hand :]
        reports.append(travelled(actor.exchange(tuple(more))))
        in_hand += len(more) - len(reports[-1].done)
    reports.append(travelled(actor.finish()))
    assert reports[-1].ended
    done = [one for report in reports for one in report.done]
    assert [one.unit.id for one in done] == [unit.unit.id for unit in units]
    assert sum(one.tally.rows_in for one in done) == 20
    assert start.staging.finished() == {unit.unit.id for unit in units}
    for report in reports:
        start.tools.stages.absorb(report.noted)
    figures = start.tools.stages.summary()
    assert figures["write units"]["items"] == 5
    assert figures["scoring"]["cpu_s"] > 0


def test_units_that_were_not_begun_when_it_is_enough_are_left_to_others(market: Market) -> None:
    start = begun(market)
    actor = worker(start)
    actor.enough()
    report = actor.exchange(tuple(handed(start)))
    assert (report.done, report.ended) == ((), True)
    assert start.staging.finished() == frozenset()


def test_what_is_wrong_with_the_input_comes_back_as_it_is(market: Market) -> None:
    start = begun(market)
    actor, units = worker(start), handed(start)
    market.write([listing(number) for number in range(21)])
    report = travelled(actor.exchange((units[0],)))
    assert isinstance(report.error, InputChanged)
    assert report.ended
    assert report.error.exit_code == 75


def test_a_node_with_other_packages_is_refused_by_name(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    errand = travelled(Errand.of(begun(market), 1))
    monkeypatch.setattr(travelling, "installed", lambda: (*errand.installed[1:], "numpy 0.1"))
    report = Actor(errand, 0, None).load()
    assert isinstance(report.error, BundleError)
    assert "numpy 0.1" in str(report.error)


def test_a_node_that_finds_another_bundle_is_refused(market: Market, other: str) -> None:
    errand = Errand.of(begun(market), 1)
    errand = replace(errand, job=errand.job.model_copy(update={"bundle": other}))
    report = Actor(errand, 0, None).load()
    assert isinstance(report.error, BundleError)
    assert "finds the bundle" in str(report.error)


def test_what_travels_to_a_worker_is_small(market: Market) -> None:
    start = begun(market, requests_together=8)
    errand = Errand.of(start, 4)
    assert (errand.plan.units, errand.partition.files) == ((), ())
    assert len(pickle.dumps(errand)) < 20_000
    assert errand.job.speed.fetch_concurrency == 2, "its share of the requests"
    assert errand.job.speed.decode_threads == start.job.ray.cores


def test_without_the_package_the_setting_is_refused_with_what_to_install(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'scorer\[ray\]'"):
        engine_of(market.job(engine="ray"))


def test_a_job_is_spread_one_way(market: Market) -> None:
    with pytest.raises(SettingsError, match="take one of them"):
        load(Job, environ={}, flags={**market.job().model_dump(), "engine": "ray", "shard": "0/2"})
