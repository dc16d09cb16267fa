"""The command line as its users meet it: real processes, exit codes, messages."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scorer.objectstore import join
from tests.tiny import KEY, Market, listing, local_market

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}


def run(*arguments: str, module: str = "jobs.score", **environ: str) -> "subprocess.CompletedProcess[str]":
    """`scorer ...` in a process of its own, as the container runs it."""
    command = [sys.executable, "-m", module, *arguments] if module != "scorer" else [_script(), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={**ENVIRONMENT, **environ}, timeout=120, check=False
    )


def _script() -> str:
    return str(Path(sys.executable).with_name("scorer"))


def scorer(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return run(*arguments, module="scorer", **environ)


def five_flags(market: Market) -> list[str]:
    return [
        *("--listings", market.listings, "--partition", KEY, "--bundle", market.bundle),
        *("--predictions", join(market.root, "predictions")),
    ]


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    return local_market(tmp_path, bundle)


def test_a_run_says_where_its_predictions_are_and_ends_with_0(market: Market) -> None:
    found = run(*five_flags(market))
    assert (found.returncode, found.stdout.strip()) == (0, join(market.root, "predictions", KEY))
    assert all(line.startswith("{") for line in found.stderr.splitlines()), found.stderr
    events = [json.loads(line) for line in found.stderr.splitlines()]
    assert [event["event"] for event in events] == ["scoring", "published", "profile", "page"]
    assert events[1]["counts"]["rows_in"] == 20
    assert market.read().num_rows == 20
    again = run(*five_flags(market))
    assert again.returncode == 0
    assert "Published already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--set", "speed.batch=3"], 2, "speed.batch: unknown setting. Known here: batch_images"),
        (["--set", "nonsense"], 2, "is not NAME=VALUE"),
        (["--job", "none.yaml"], 2, "The settings file none.yaml cannot be read"),
        (["--listings", "ftp://x"], 2, "scheme 'ftp'"),
        (["--bundle", "nowhere"], 3, "nowhere"),
        (["--partition", "ds=1999-01-01", "--require-partition"], 3, "There is no partition ds=1999-01-01"),
        (["--partition", "ds=1999-01-01"], 99, "Nothing was done"),
    ],
)
def test_what_is_wrong_has_its_message_and_its_exit_code(
    market: Market, arguments: list[str], code: int, said: str
) -> None:
    found = scorer("score", *five_flags(market), *arguments)
    assert (found.returncode, found.stdout) == (code, "")
    assert said in found.stderr
    assert "Traceback" not in found.stderr


SETTINGS_WITH_FLAGS = {
    "score": (
        "state",
        "quarantine",
        "require_partition",
        "force",
        "reuse",
        "audit_reuse",
        "embeddings.uri",
        "engine",
        "shard",
    ),
    "doctor": ("state", "quarantine"),
    "backfill": ("state", "quarantine"),
    "train": ("recipe", "partitions", "cross_validate"),
}


@pytest.mark.parametrize(
    ("command", "setting"), [(command, setting) for command, names in SETTINGS_WITH_FLAGS.items() for setting in names]
)
def test_a_setting_that_has_a_flag_may_be_set_without_it(command: str, setting: str) -> None:
    wrong = '["a list"]' if setting in ("state", "quarantine", "embeddings.uri", "recipe") else "wrong"
    more = {"backfill": ["--from", "2026-11-01", "--to", "2026-11-02"], "train": ["--target", "price"]}
    found = scorer(
        command, "--set", f"{setting}={wrong}", *more.get(command, ()), SCORER_LISTINGS="a", SCORER_BUNDLE="b"
    )
    assert found.returncode == 2
    assert f"{setting}: " in found.stderr


def test_the_environment_and_a_file_give_settings_too(market: Market, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"listings: {market.listings}\nbundle: {market.bundle}\npredictions: {market.root}/p\n")
    found = scorer("score", "--job", str(file), "--dry-run", SCORER_PARTITION=KEY)
    assert found.returncode == 0
    assert found.stdout.splitlines()[1].split()[:4] == [KEY, "1", "20", "39"]


def test_help_comes_at_once_and_names_the_exit_codes() -> None:
    for command in ([], ["score"], ["backfill"], ["train"], ["demo"], ["bundle"]):
        found = scorer(*command, "--help")
        assert found.returncode == 0
        assert "Usage" in found.stdout
    assert "99 nothing to do" in scorer("score", "--help").stdout


def test_commands_that_need_no_tensorflow_do_not_import_it(market: Market) -> None:
    program = (
        "import sys; from scorer.cli import app; "
        "app(sys.argv[1:], standalone_mode=False); "
        "print([name for name in ('tensorflow', 'keras', 'pandas', 'sklearn') if name in sys.modules])"
    )
    bundle = [["bundle", command, market.bundle] for command in ("inspect", "verify")]
    for arguments in (["score", *five_flags(market), "--dry-run"], *bundle, ["version"]):
        found = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
        assert found.stdout.splitlines()[-1] == "[]", (found.stdout, found.stderr)


def test_a_bundle_is_inspected_and_verified(bundle: str) -> None:
    inspected, verified = scorer("bundle", "inspect", bundle), scorer("bundle", "verify", bundle)
    assert (inspected.returncode, verified.returncode) == (0, 0)
    assert "tiny" in inspected.stdout
    assert "area" in inspected.stdout
    assert "is intact" in verified.stdout


def test_a_bundle_is_scored_again_where_it_should_prove_that_it_works_here(bundle: str) -> None:
    proved = scorer("bundle", "verify", "--golden", bundle)
    assert proved.returncode == 0
    assert "score as they did in training" in proved.stdout


def test_a_bundle_with_a_changed_file_is_not_verified(bundle: str, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(bundle, changed)
    with (changed / "preprocessing.json").open("a") as file:
        file.write(" ")
    verified = scorer("bundle", "verify", str(changed))
    assert verified.returncode == 3
    assert "preprocessing.json" in verified.stderr


def test_a_run_that_is_told_to_stop_ends_with_75_and_the_next_start_goes_on(market: Market) -> None:
    market.write([listing(number) for number in range(2000)])
    slow = [*five_flags(market), "--set", "rows_per_unit=10", "--set", "speed.batch_images=8"]
    process = subprocess.Popen([sys.executable, "-m", "jobs.score", *slow], stderr=subprocess.PIPE, text=True)
    state = Path(market.root, "predictions.scorer", KEY)
    deadline = time.monotonic() + 60
    while len(list(state.glob("*/units/*"))) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    assert "Stopped by SIGTERM. Nothing was published; finished units are kept." in said
    assert not Path(market.root, "predictions").exists()
    again = run(*slow)
    assert again.returncode == 0, again.stderr
    assert market.read().column("listing_id").to_pylist() == [f"home-{n}" for n in range(2000)]
