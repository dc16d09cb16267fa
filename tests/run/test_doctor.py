"""scorer doctor: what would fail at night is found by day, and nothing is left behind."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scorer.objectstore import ObjectStore, join
from scorer.objectstore.retry import Patience
from scorer.run.doctor import Finding, examine, machine
from scorer.run.tools import Tools
from scorer.settings import Job
from scorer.telemetry import Reporter
from tests.collectors import collector, nobody
from tests.conftest import Bucket, FaultyBucket
from tests.s3_proxy import Fault
from tests.tiny import KEY, Market, listing, local_market

EVERY_CHECK = ["versions", "cores", "memory", "gpu", "disk", "extras"]
PLACES = ["state", "predictions", "quarantine"]


def findings(job: Job, *, quick: bool = True) -> dict[str, Finding]:
    """By check, in their order."""
    tools = Tools(ObjectStore(8, Patience(attempts=2, first_wait_s=0.01)), Reporter(io.StringIO(), people=True))
    return {finding.check: finding for finding in examine(job, tools, quick=quick)}


def failures(found: dict[str, Finding]) -> list[str]:
    return [finding.check for finding in found.values() if finding.verdict == "fail"]


def everything_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    """On local files."""
    return local_market(tmp_path, bundle)


def in_bucket(bucket: Bucket, bundle: str) -> Market:
    """Two listings and no image: nothing here reads one."""
    made = Market(bucket.uri, bundle)
    made.write([listing(number) for number in range(2)])
    return made


def test_on_local_files_everything_is_tried_and_nothing_is_left_behind(market: Market, tmp_path: Path) -> None:
    before = everything_below(tmp_path)
    found = findings(market.job())
    assert list(found) == [*EVERY_CHECK, *PLACES, "bundle", "listings"]
    assert not failures(found)
    assert "list, put, get, put if absent, put if unchanged, delete work" in found["state"].text
    assert "20 rows in 1 file(s)" in found["listings"].text
    assert everything_below(tmp_path) == before


def test_a_store_of_embeddings_is_tried_where_it_is_used_and_does_without_it_else(
    market: Market, tmp_path: Path
) -> None:
    before = everything_below(tmp_path)
    found = findings(market.job(reuse="rows"))["embeddings"]
    assert (found.verdict, "list, put, get, delete work" in found.text) == ("ok", True)
    assert everything_below(tmp_path) == before
    (tmp_path / "file").write_text("in the way")
    all_found = findings(market.job(reuse="embeddings", embeddings={"uri": str(tmp_path / "file" / "store")}))
    assert not failures(all_found)
    assert all_found["embeddings"].verdict == "warn"
    assert "put does not work" in all_found["embeddings"].text
    assert "every night computes every image" in all_found["embeddings"].advice
    assert "embeddings" not in findings(market.job())


def test_in_a_bucket_everything_is_tried_and_nothing_is_left_behind(any_bucket: Bucket, bundle: str) -> None:
    market = in_bucket(any_bucket, bundle)
    before = market.store.list_all(any_bucket.uri)
    found = findings(market.job())
    assert list(found) == [*EVERY_CHECK, "credentials", "state", "clock", *PLACES[1:], "bundle", "listings"]
    assert not failures(found)
    assert found["credentials"].text == f"permanent ones from environment variables, for {any_bucket.server.endpoint}"
    assert found["clock"].verdict == "ok"
    assert "list, copy, get, put, delete work" in found["predictions"].text
    assert market.store.list_all(any_bucket.uri) == before
    said = " ".join(finding.text + finding.advice for finding in found.values())
    assert any_bucket.server.secret_key not in said
    assert any_bucket.server.access_key not in said


def test_a_store_that_ignores_conditions_is_found_out(strict_bucket: FaultyBucket, bundle: str) -> None:
    market = in_bucket(strict_bucket, bundle)
    strict_bucket.server.inject(Fault("unconditional", method="PUT"))
    found = findings(market.job())
    assert failures(found) == ["state"]
    assert found["state"].exit_code == 2
    assert "was written although its condition (If-None-Match) did not hold" in found["state"].text
    assert "single_writer: true" in found["state"].advice
    assert not failures(findings(market.job(single_writer=True)))


@pytest.mark.parametrize(
    ("method", "step", "action"),
    [("PUT", "put", "s3:PutObject"), ("DELETE", "delete", "s3:DeleteObject")],
)
def test_a_user_that_may_not_is_told_which_permission_is_missing(
    strict_bucket: FaultyBucket, bundle: str, method: str, step: str, action: str
) -> None:
    market = in_bucket(strict_bucket, bundle)
    strict_bucket.server.inject(Fault("access_denied", method=method, key="predictions.scorer"))
    found = findings(market.job())
    assert found["state"].exit_code == 3
    assert f"{step} does not work" in found["state"].text
    assert f"Allow {action} on {market.root}/predictions.scorer" in found["state"].advice


def test_a_bucket_that_is_not_there_is_named(bucket: Bucket, bundle: str) -> None:
    market = in_bucket(bucket, bundle)
    found = findings(market.job(quarantine="s3://no-such-bucket-anywhere/quarantine"))
    assert failures(found) == ["quarantine"]
    assert "Make the bucket no-such-bucket-anywhere" in found["quarantine"].advice


@pytest.mark.parametrize(("seconds", "verdict"), [(-300.0, "warn"), (3600.0, "fail")])
def test_a_clock_that_is_off_is_noticed(strict_bucket: FaultyBucket, bundle: str, seconds: float, verdict: str) -> None:
    market = in_bucket(strict_bucket, bundle)
    strict_bucket.server.inject(Fault("clock", method="HEAD", key="_doctor", seconds=seconds))
    found = findings(market.job())["clock"]
    assert found.verdict == verdict
    assert ("ahead of" if seconds < 0 else "behind") in found.text


def test_a_wrong_secret_is_found_out_once_and_not_three_times(
    strict_bucket: FaultyBucket, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = in_bucket(strict_bucket, bundle)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    found = findings(market.job(listings=str(Path(bundle).parent)))
    assert found["state"].exit_code == 75
    assert "SignatureDoesNotMatch" in found["state"].text
    assert "predictions" not in found


def test_a_store_that_is_down_is_told_from_one_that_refuses(
    strict_bucket: FaultyBucket, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = in_bucket(strict_bucket, bundle)
    monkeypatch.setenv("AWS_ENDPOINT_URL", nobody())
    found = findings(market.job())
    assert found["state"].exit_code == 75
    assert "AWS_ENDPOINT_URL" in found["state"].advice


def test_no_credentials_at_all_are_no_riddle(bucket: Bucket, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    market = in_bucket(bucket, bundle)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    found = findings(market.job())["credentials"]
    assert (found.verdict, found.exit_code) == ("fail", 75)
    assert "Set AWS_PROFILE or AWS_ACCESS_KEY_ID" in found.advice


def test_a_damaged_bundle_and_unfit_listings_fail_as_a_run_would(market: Market, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    found = findings(market.job(bundle=str(damaged)))
    assert (failures(found), found["bundle"].exit_code) == (["bundle"], 3)
    Path(market.listings, KEY, "b.parquet").write_bytes(b"broken")
    found = findings(market.job())
    assert (failures(found), found["listings"].exit_code) == (["listings"], 3)
    assert "b.parquet is not readable as Parquet" in found["listings"].text


def test_without_a_partition_the_last_one_is_looked_at(market: Market) -> None:
    assert findings(market.job(partition=None))["listings"].text.startswith(f"{KEY}: 20 rows")
    market.write([listing(1)], key="ds=2026-11-25")
    assert findings(market.job(partition=None))["listings"].text.startswith("ds=2026-11-25: 1 rows")


def test_a_partition_that_is_not_there_is_no_failure(market: Market) -> None:
    found = findings(market.job(partition="ds=1999-01-01"))
    assert found["listings"].verdict == "warn"
    assert not failures(found)


def test_servers_that_would_hear_of_a_run_are_looked_for(market: Market) -> None:
    with collector() as server:
        found = findings(market.job(lineage={"to": nobody()}, telemetry={"otlp": server.url}))
    assert (found["lineage"].verdict, found["telemetry"].verdict) == ("warn", "ok")


def test_the_limits_of_a_container_count_and_not_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text(f"{2**30}\n")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    monkeypatch.setattr("scorer.machine.CGROUP", tmp_path)
    memory, cores = machine.memory(), machine.cores()
    assert (memory.verdict, cores.verdict) == ("warn", "ok")
    assert "1.0 GiB may be used" in memory.text
    assert cores.text == f"0.5 of {os.cpu_count()} cores may be used"


def test_a_full_or_unwritable_temporary_folder_is_noticed(tmp_path: Path) -> None:
    assert machine.disk(str(tmp_path / "none")).verdict == "fail"


def test_images_go_through_the_real_pipeline_and_nothing_is_written(market: Market, tmp_path: Path) -> None:
    before = everything_below(tmp_path)
    found = findings(market.job(), quick=False)
    assert not failures(found)
    assert "all 8 score as they did in training" in found["golden rows"].text
    assert "20 rows: 20 scored, 0 degraded" in found["trial"].text
    assert "7 images in" in found["trial"].text
    assert everything_below(tmp_path) == before


def test_images_that_cannot_be_used_are_named_with_what_to_do(market: Market) -> None:
    job = market.job()
    market.write([listing(1, image_uris=["img/1.jpg", "s3://elsewhere/1.jpg"])])
    found = findings(job, quick=False)["trial"]
    assert found.verdict == "warn"
    assert "image_forbidden 1" in found.text
    assert "sources.buckets" in found.advice
    market.write([listing(1, image_uris=["img/none.jpg"])])
    found = findings(job, quick=False)["trial"]
    assert (found.verdict, found.exit_code) == ("fail", 3)
    market.write([listing(1, image_uris=[])])
    assert findings(job, quick=False)["trial"].verdict == "warn"


def test_the_command_prints_a_list_and_ends_with_the_first_failures_code(market: Market) -> None:
    job = replace(market, bundle="/nowhere").job()
    flags = ["--listings", job.listings, "--partition", KEY, "--bundle", job.bundle, "--predictions", job.predictions]
    script = [str(Path(sys.executable).with_name("scorer")), "doctor", "--quick", *flags]
    found = subprocess.run(script, capture_output=True, text=True, check=False)
    lines = found.stdout.splitlines()
    assert found.returncode == 3, found.stderr
    assert lines[0].startswith("ok    versions     scorer ")
    assert any(line.startswith("fail  bundle       ") for line in lines)
    assert any(line.startswith("                   -> Restore the bundle") for line in lines)
    assert not Path(join(market.root, "predictions")).exists()
