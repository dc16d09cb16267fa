"""How long a run would take, from what past runs took."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scorer.objectstore import join
from scorer.output.manifest import RunManifest
from scorer.run.estimate import cost
from scorer.run.history import past_runs, published_keys
from scorer.run.pace import Pace, fit, pace_of, threads_of
from scorer.settings import Costs, Job, Speed
from tests.run.nights import STORE, manifest, publish


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setattr("scorer.run.pace.gpus", lambda: 0)


def run(seconds_more: float = 0.0, rows: int = 1000, images: int = 1000, **changes: Any) -> RunManifest:
    """A run as `manifest` gives it, with so many rows and images at the same pace."""
    scoring = 30.0 * (0.1 * rows + 0.9 * images) / 1000
    stages = {
        **manifest().stages,
        "scoring": {"wall_s": scoring, "cpu_s": 2 * scoring, "items": rows},
        "head": {"wall_s": 0.0, "cpu_s": 2 * 3.0 * rows / 1000, "items": rows},
        "stage": {"wall_s": rows / 1000, "cpu_s": 1.0, "items": rows},
        "audit": {"wall_s": rows / 1000, "cpu_s": 1.0, "items": rows},
    }
    counts = {"rows_in": rows, "scored": rows, "images_read": images}
    seconds = 8.0 + scoring + 2 * rows / 1000 + seconds_more
    return manifest(stages=stages, counts=counts, seconds=seconds, **changes)


def asked(pace: Pace, rows: int, images: int, left: float = 1.0, threads: int = 2, loaded: bool = False) -> float:
    found = pace.seconds(rows, images, left=left, threads=threads, loaded=loaded)
    assert found is not None
    return found


def test_the_same_work_takes_as_long_again() -> None:
    assert asked(fit([manifest()]), 1000, 1000) == pytest.approx(40.0)


def test_more_images_or_rows_cost_their_own_share_and_the_start_is_paid_once() -> None:
    pace = fit([run(), run(rows=3000, images=2000)])
    assert asked(pace, 10_000, 40_000) == pytest.approx(run(rows=10_000, images=40_000).seconds)
    assert asked(pace, 10_000, 0) == pytest.approx(run(rows=10_000, images=0).seconds)


def test_a_process_that_has_scored_before_does_not_load_tensorflow_again() -> None:
    pace = fit([run()])
    assert asked(pace, 1000, 1000) - asked(pace, 1000, 1000, loaded=True) == pytest.approx(6.0)


def test_runs_of_one_process_do_not_hide_what_loading_takes() -> None:
    warm = run(-6.0).model_copy(update={"stages": {**run().stages, "load TensorFlow": {"wall_s": 0.0, "items": 2}}})
    pace = fit([run(), warm, warm])
    assert asked(pace, 1000, 1000) == pytest.approx(run().seconds)
    assert asked(pace, 1000, 1000, loaded=True) == pytest.approx(warm.seconds)


def test_one_odd_night_does_not_count() -> None:
    slow = run()
    slow.stages["scoring"]["wall_s"] *= 10
    pace = fit([run(), slow, run()])
    assert asked(pace, 1000, 1000) == pytest.approx(run().seconds)


def test_half_a_machine_takes_twice_as_long_for_what_is_scored() -> None:
    pace = fit([run()])
    assert asked(pace, 1000, 1000, threads=1) - asked(pace, 1000, 1000, threads=2) == pytest.approx(30.0)
    narrow = fit([run(settings={"speed": {"decode_threads": 1}})])
    assert asked(narrow, 1000, 1000, threads=1) == pytest.approx(run().seconds)


def test_what_an_earlier_start_has_scored_is_neither_counted_twice_nor_estimated_again() -> None:
    resumed = run(rows=500, images=500)
    resumed = resumed.model_copy(update={"counts": run().counts, "units_done_earlier": 1})
    assert fit([resumed]).image_s == pytest.approx(fit([run()]).image_s)
    pace = fit([run()])
    assert asked(pace, 1000, 1000, left=0.25) == pytest.approx(run().seconds - 0.75 * 30.0)


def test_images_without_precedent_are_not_guessed() -> None:
    pace = fit([run(images=0)])
    assert pace.seconds(1000, 1000, left=1.0, threads=2, loaded=False) is None
    assert asked(pace, 2000, 0) == pytest.approx(run(rows=2000, images=0).seconds)


def test_threads_of_several_runs_share_the_cores() -> None:
    assert [threads_of(Speed(), among) for among in (1, 2, 3)] == [2, 1, 1]
    assert threads_of(Speed(decode_threads=1)) == 1
    assert threads_of(Speed(decode_threads=9)) == 2


def test_money_follows_from_time_and_is_left_out_without_a_price() -> None:
    assert cost(1800.0, Costs(price_per_hour=4.0, currency="EUR")) == "2.00 EUR"
    assert cost(1800.0, Costs(price_per_hour=4.0)) == "2.00"
    assert cost(1800.0, Costs()) == ""


@dataclass(frozen=True)
class Homes:
    """A bundle, as far as past runs know it."""

    digest: str
    name: str = "homes"


def job(folder: Path, **settings: Any) -> Job:
    return Job(listings="l", bundle="b", predictions=join(str(folder), "predictions"), **settings)


def test_past_runs_are_found_without_listing_what_is_staged_latest_first(tmp_path: Path) -> None:
    for number, night in enumerate(("ds=2026-11-02", "ds=2026-11-01", "region=eu/ds=2026-11-03")):
        publish(str(tmp_path), night, {"a": 1.0}, seconds=float(number))
    publish(str(tmp_path), "ds=2026-11-02", {"a": 2.0}, run_id="again", seconds=9.0)
    state = job(tmp_path).state_uri
    assert published_keys(state, STORE)[0] == "ds=2026-11-02"
    assert sorted(published_keys(state, STORE)) == ["ds=2026-11-01", "ds=2026-11-02", "region=eu/ds=2026-11-03"]
    assert [run.seconds for run in past_runs(state, STORE, 3)] == [9.0, 2.0, 1.0]
    assert past_runs(join(state, "nothing"), STORE, 3) == []


def test_only_runs_alike_are_estimated_from_and_it_is_said_which(tmp_path: Path) -> None:
    found, basis = pace_of(job(tmp_path), Homes("d" * 64), STORE)
    assert found is None
    assert basis == "No past run of bundle homes on 2 core(s) to estimate from."
    publish(str(tmp_path), "ds=2026-11-01", {"a": 1.0}, profile={"cores": 64})
    publish(str(tmp_path), "ds=2026-11-02", {"a": 1.0}, settings={"precision": "bfloat16"})
    publish(str(tmp_path), "ds=2026-11-03", {"a": 1.0}, bundle={"uri": "", "name": "cars", "version": "", "digest": ""})
    publish(str(tmp_path), "ds=2026-11-04", {"a": 1.0}, stages={})
    found, basis = pace_of(job(tmp_path), Homes("d" * 64), STORE)
    assert found is None
    assert basis.endswith("to estimate from (4 other run(s): of another bundle, precision or kind of machine).")
    publish(str(tmp_path), "ds=2026-11-05", {"a": 1.0})
    found, basis = pace_of(job(tmp_path), Homes("d" * 64), STORE)
    assert found is not None
    assert basis == "Estimated from 1 past run(s) of this bundle on 2 core(s)."
    basis = pace_of(job(tmp_path), Homes("e" * 64), STORE)[1]
    assert basis == "Estimated from 1 past run(s) of other versions of bundle homes on 2 core(s)."
