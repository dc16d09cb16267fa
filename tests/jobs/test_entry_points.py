"""The container's entry points are the command line by another name."""

import subprocess
import sys

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", ["score", "backfill", "train"])
def test_a_job_takes_the_flags_of_its_command(name: str) -> None:
    done = run(f"jobs.{name}", "--help")

    assert done.returncode == 0, done.stderr
    assert "--listings" in done.stdout
    assert "--bundle" in done.stdout


def test_a_job_ends_with_the_exit_code_of_its_command() -> None:
    done = run("jobs.score", "--set", "nonsense=1")

    assert done.returncode == 2
    assert "nonsense: unknown setting" in done.stderr
