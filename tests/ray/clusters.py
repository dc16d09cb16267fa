"""One partition over a real Ray cluster of three nodes on loopback, which lose workers, nodes and drivers: `make ray`.

In an environment of its own that borrows ours for the rest, and in a network namespace of its own.
"""

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
import ray
from ray.cluster_utils import Cluster
from ray.exceptions import NodeDiedError, OutOfMemoryError

from scorer.errors import AuditError, ShareDone
from scorer.intake.partitions import Unit
from scorer.objectstore import join
from scorer.output.commit import Ledger
from scorer.run.engines.ray.errand import Handed, Report, job_of_one
from scorer.run.engines.ray.hands import Hands
from scorer.run.score_partition import score_partition
from scorer.run.tools import Tools
from scorer.settings import Job
from scorer.telemetry import Reporter
from tests import images, tiny
from tests.ray import loopback
from tests.tiny import KEY, Market, listing

ROWS, UNITS = 240, 60
WORKERS = 2
SPEED = {"batch_images": 8, "buffered_batches": 1, "fetch_concurrency": 2}
"""Short pipelines, so that a worker holds few of these small units."""

SECONDS = 240
"""For whatever is waited for, on a machine that has better things to do."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without cores, and two nodes of one core."""
    loopback.bring_up()
    assert loopback.is_alone(), "start it as `make ray` does: in a network namespace"
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(WORKERS):
        made.add_node(num_cpus=1)
    yield made
    for node in [*made.list_all_nodes()][::-1]:
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Rows of which one is refused and one degraded, with images that take their time."""
    folder = tmp_path_factory.mktemp("market")
    tiny.make_bundle(str(folder / "bundle"))
    market = Market(str(folder), str(folder / "bundle"))
    photos = images.photographs(7, width=2400, height=1800)
    market.write_images({f"img/{number}.jpg": data for number, data in enumerate(photos)})
    rows = [listing(number) for number in range(ROWS)]
    rows[7], rows[23]["image_uris"] = listing(7, listing_id=None), ["img/none.jpg"]
    market.write(rows)
    return market


@pytest.fixture(scope="module")
def alone(market: Market) -> tuple[pa.Table, pa.Table]:
    """What one process gives."""
    score_partition(job(market, "alone", engine="local"))
    return outcome(market, "alone")


def job(market: Market, place: str, **settings: Any) -> Job:
    """All of one work, each in a place of its own."""
    spread = {"engine": "ray", "ray": {"address": "auto", "workers": WORKERS, "cores": 1}}
    fixed = {"rows_per_unit": ROWS // UNITS, "speed": SPEED, "page": {"write": False}}
    return market.job(**{**spread, **fixed, "predictions": join(market.root, place, "predictions"), **settings})


@pytest.fixture
def wanted(market: Market, cluster: Cluster, request: pytest.FixtureRequest) -> Job:
    """The job of a test, on the cluster."""
    address = {"address": cluster.address, "workers": WORKERS, "cores": 1}
    return job(market, request.node.name, ray=address)


def outcome(market: Market, place: str) -> tuple[pa.Table, pa.Table]:
    found = []
    for what in ("predictions", "predictions.quarantine"):
        table = Market(market.root, market.bundle).read(f"{place}/{what}")
        own = [name for name in ("run_id", "scored_at") if name in table.column_names]
        found.append(table.drop_columns(own).replace_schema_metadata(None))
    return found[0], found[1]


def staged(wanted: Job) -> dict[str, int]:
    """Finished units, and when each was written."""
    found = Path(wanted.state_uri, KEY).glob("*/units/*.predictions.parquet")
    return {path.name: path.stat().st_mtime_ns for path in found}


def begun(wanted: Job) -> Counter[str]:
    """Units that were in somebody's hands when he last wrote that down."""
    found = Counter[str]()
    for path in Path(wanted.state_uri, KEY).glob("*/attempts/*.json"):
        found.update(json.loads(path.read_text())["begun"])
    return found


def held(wanted: Job) -> int:
    """Units in the hands of one worker, at most: these are small."""
    hands, one = Hands.of(job_of_one(wanted, WORKERS).speed, 8), Handed(Unit("", "", "", 0, ROWS // UNITS), False, None)
    found = next(number for number in itertools.count(1) if hands.full([one] * number))
    assert WORKERS * found < UNITS / 2, "else there is nothing left to go wrong"
    return found


def versions(wanted: Job) -> int:
    return len(Ledger(join(wanted.state_uri, KEY), KEY, Tools().store).read().record.versions)


def until(true: Callable[[], Any]) -> Any:
    """Wait for something; what it gives."""
    end = time.monotonic() + SECONDS
    while not (found := true()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


def when_units_are_staged(wanted: Job, then: Callable[[], None]) -> threading.Thread:
    """Something happens as soon as the first units are finished, while others are in hand."""

    def wait() -> None:
        until(lambda: len(staged(wanted)) >= 3)
        then()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def workers() -> list[psutil.Process]:
    """Processes of actors that have loaded a bundle or are about to."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "ray::Actor" in " ".join(process.info["cmdline"] or ())
    ]


def driver(wanted: Job, folder: Path) -> "subprocess.Popen[bytes]":
    """`scorer score` as a process of its own."""
    file = folder / "job.json"  # YAML's older cousin
    file.write_text(wanted.model_dump_json())
    command = [sys.executable, "-m", "jobs.score", "--job", str(file)]
    with (folder / "said").open("ab") as said:
        return subprocess.Popen(command, stdout=said, stderr=said)


def test_one_process_a_cluster_and_three_shards_give_the_same_rows(
    wanted: Job, market: Market, alone: tuple[pa.Table, pa.Table]
) -> None:
    manifest = score_partition(wanted)
    assert outcome(market, "test_one_process_a_cluster_and_three_shards_give_the_same_rows") == alone
    assert (manifest.counts.rows_in, manifest.counts.degraded, manifest.counts.quarantined) == (ROWS, 1, 1)
    assert (manifest.units, manifest.units_done_earlier) == (UNITS, 0)
    assert (manifest.profile.cores, manifest.profile.images) == (WORKERS, manifest.counts.images_read)
    assert manifest.profile.cpu_ms_per_image > 0
    assert manifest.stages["write units"]["items"] == UNITS, "the workers' timers are the run's"
    for number in range(3):
        try:
            score_partition(job(market, "shards", engine="local", shard=f"{number}/3"))
        except ShareDone:
            assert number < 2
    assert outcome(market, "shards") == alone


def test_no_more_workers_are_asked_for_than_there_are_units(wanted: Job, market: Market) -> None:
    manifest = score_partition(wanted.model_copy(update={"rows_per_unit": ROWS}))
    assert (manifest.units, manifest.profile.cores) == (1, 1)


def test_a_worker_that_is_killed_is_replaced_and_its_units_go_to_others(
    wanted: Job, market: Market, alone: tuple[pa.Table, pa.Table]
) -> None:
    killed = when_units_are_staged(wanted, lambda: workers()[0].kill())
    manifest = score_partition(wanted)
    killed.join()
    assert outcome(market, Path(wanted.predictions).parent.name) == alone
    assert manifest.stages["write units"]["items"] == UNITS
    assert len(begun(wanted)) <= 3 * held(wanted), "of each worker, what it had in hand"


def when_workers_have_done_something(monkeypatch: pytest.MonkeyPatch, *moments: Callable[[Report], Report]) -> None:
    """The first reports with a unit in them come as these give them; whatever they raise, Ray raises."""
    get, left = ray.get, [*moments]

    def altered(ref: Any) -> Any:
        found = get(ref)
        return left.pop(0)(found) if left and isinstance(found, Report) and found.done else found

    monkeypatch.setattr(ray, "get", altered)


def test_workers_that_the_memory_monitor_ends_or_whose_node_dies_are_replaced_like_any_other(
    wanted: Job, market: Market, alone: tuple[pa.Table, pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(_: Report) -> Report:
        raise OutOfMemoryError("1 worker(s) were killed due to the node running low on memory.\nUsed: all of it.")

    def no_node(_: Report) -> Report:
        raise NodeDiedError("The node died.\nIts address: 127.0.0.1.")

    when_workers_have_done_something(monkeypatch, no_memory, no_node)
    said = io.StringIO()
    score_partition(wanted, Tools(reporter=Reporter(said, people=False)))
    for why in ("1 worker(s) were killed due to the node running low on memory.", "The node died."):
        assert f"A worker was lost ({why})" in said.getvalue()
    assert outcome(market, Path(wanted.predictions).parent.name) == alone


@pytest.mark.parametrize("batch_images", [8, "auto"])
def test_where_the_nodes_memory_suffices_for_no_worker_the_run_ends_with_75_and_says_so(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_images: int | str
) -> None:
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")  # of the machine: any process is too much
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    monkeypatch.setenv("RAY_task_oom_retries", "0")
    local = {"address": "local", "workers": 1, "cores": 1}
    process = driver(
        job(market, f"scarce-{batch_images}", ray=local, speed={**SPEED, "batch_images": batch_images}), tmp_path
    )
    code, said = process.wait(SECONDS), (tmp_path / "said").read_text()
    assert (code, "low on memory" in said, "docs/clusters.md" in said) == (75, True, True), said


def test_a_node_that_is_lost_is_done_without(
    wanted: Job, market: Market, alone: tuple[pa.Table, pa.Table], cluster: Cluster
) -> None:
    node = cluster.worker_nodes[0] if isinstance(cluster.worker_nodes, list) else next(iter(cluster.worker_nodes))
    lost = when_units_are_staged(wanted, lambda: node.kill_raylet(check_alive=False))
    manifest = score_partition(wanted)
    lost.join()
    cluster.add_node(num_cpus=1)
    assert outcome(market, Path(wanted.predictions).parent.name) == alone
    assert manifest.counts.rows_in == ROWS
    assert versions(wanted) == 1


def test_a_driver_that_is_killed_and_started_again_does_no_finished_unit_twice(
    wanted: Job, market: Market, alone: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    first = driver(wanted, tmp_path)
    until(lambda: len(staged(wanted)) >= 3)
    first.kill()
    assert first.wait(SECONDS) == -signal.SIGKILL
    until(lambda: not workers())  # Ray ends what belonged to it
    before, in_hand = staged(wanted), begun(wanted)
    assert 3 <= len(before) < UNITS
    second = driver(wanted, tmp_path)
    assert second.wait(SECONDS) == 0, (tmp_path / "said").read_text()
    after = staged(wanted)
    assert {name: after[name] for name in before} == before, "finished units are left alone"
    assert len(after) == UNITS
    assert sum(in_hand.values()) <= held(wanted) * WORKERS, "units that were begun in vain"
    assert outcome(market, Path(wanted.predictions).parent.name) == alone
    assert versions(wanted) == 1


def test_a_driver_that_is_asked_to_stop_lets_what_was_begun_be_finished(
    wanted: Job, market: Market, alone: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    first = driver(wanted, tmp_path)
    until(lambda: len(staged(wanted)) >= 3)
    first.terminate()
    assert first.wait(SECONDS) == 75, (tmp_path / "said").read_text()
    finished = {name.partition(".")[0] for name in staged(wanted)}
    assert set(begun(wanted)) <= finished, "nothing counts as an attempt that failed"
    assert len(finished) < UNITS
    until(lambda: not workers())
    second = driver(wanted, tmp_path)
    assert second.wait(SECONDS) == 0, (tmp_path / "said").read_text()
    assert outcome(market, Path(wanted.predictions).parent.name) == alone


def test_what_a_worker_found_wrong_is_heard_although_somebody_asked_to_stop_in_the_middle_of_its_report(
    wanted: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = Tools()

    def stopped(report: Report) -> Report:
        tools.stop.asked = "SIGTERM"
        return replace(report, error=AuditError("What was taken over is not what is computed."), ended=True)

    when_workers_have_done_something(monkeypatch, stopped)
    with pytest.raises(AuditError, match="is not what is computed"):
        score_partition(wanted, tools)
    assert not staged(wanted), "what else was taken over may be wrong, too"


def test_nobody_is_left_behind() -> None:
    until(lambda: not workers())
    assert not ray.is_initialized()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
