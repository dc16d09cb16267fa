"""What a run took."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import watch

TICK = 1 / os.sysconf("SC_CLK_TCK")
BURN = "import time; end = time.process_time() + 1.5\nwhile time.process_time() < end: pass\n"


def test_a_run_is_charged_for_its_cpu_time_and_memory(tmp_path: Path) -> None:
    program = f"data = bytearray(b'x') * (200 << 20)\n{BURN}"
    # By a small process, as the benchmarks do it: a child's books begin with the size of whoever forked it.
    watcher = (
        "import dataclasses, json, pathlib, sys\nfrom benchmarks import watch\n"
        f"sample = watch.run([sys.executable, '-c', {program!r}], pathlib.Path({str(tmp_path / 'log')!r}))\n"
        "print(json.dumps(dataclasses.asdict(sample)))"
    )
    found = subprocess.run([sys.executable, "-c", watcher], cwd=watch.CHECKOUT, capture_output=True, check=True)
    sample = json.loads(found.stdout)

    assert 1.5 <= sample["cpu_s"] < 3
    assert sample["wall_s"] >= 1.5
    assert 200 < sample["peak_mib"] < 300


def test_a_process_that_outlives_its_parent_is_charged_too_and_ended(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    grandchild = f"{BURN}open({str(alive)!r}, 'w').close()\ntime.sleep(60)"
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {grandchild!r}], start_new_session=True)"
    parent = (
        f"import subprocess, sys, os, time; subprocess.run([sys.executable, '-c', {child!r}])\n"
        f"while not os.path.exists({str(alive)!r}): time.sleep(0.1)\n"
        "time.sleep(2)"
    )

    sample = watch.run([sys.executable, "-c", parent], tmp_path / "log", tree=True)

    assert sample.cpu_s >= 1.5 - 2 * TICK  # user and system time of another process are known in whole ticks
    assert sample.wall_s < 50


def test_a_failed_run_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(watch.Failed, match="out of luck"):
        watch.run([sys.executable, "-c", "raise SystemExit('out of luck')"], tmp_path / "log")


def test_a_run_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(watch.Failed, match="ended with -9"):
        watch.run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", timeout_s=0.5)


def test_what_runs_ends_with_whoever_watches_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    watched = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    # A shell starts what it puts in the background deaf to SIGINT, the tests and their children among it.
    hears = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program = f"{hears}import pathlib, sys\nfrom benchmarks import watch\n"
    program += f"watch.run([sys.executable, '-c', {watched!r}], {{}})"
    watcher = subprocess.Popen(
        [sys.executable, "-c", program.format(f"pathlib.Path({str(tmp_path / 'log')!r})")],
        cwd=watch.CHECKOUT,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)

    watcher.send_signal(signal.SIGINT)
    watcher.wait(60)

    assert is_gone(int(note.read_text()))


def is_gone(pid: int) -> bool:
    """Ended, also if nobody has asked for its exit status yet."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True
