"""The sentence about the pace names what the others waited for."""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from scorer.output.profile import OTHERS, SCORING, profile, scoring
from scorer.telemetry import Stages


def clock(step: float) -> Callable[[], float]:
    """Goes forward by `step` seconds between two looks."""
    return itertools.count(0.0, step).__next__


def seen(monkeypatch: pytest.MonkeyPatch, wall: float, cpu: float, **stages: tuple[float, float]) -> Stages:
    """Stages with these wall and CPU seconds, without waiting for them."""
    made = Stages()
    for name, (wall_s, cpu_s) in {**stages, SCORING: (wall, cpu)}.items():
        with monkeypatch.context() as patch:
            patch.setattr(time, "perf_counter", clock(wall_s))
            with made(name.replace("_", " "), cpu_clock=clock(cpu_s)):
                pass
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    return made


def test_busy_cores_name_the_larger_part(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = seen(monkeypatch, 10, 18, decode=(12, 12), image_tower=(5, 1))
    found = profile(stages, 10_000)
    assert found.bottleneck.startswith("Decoding set the pace: all cores were busy, 1.20 ms of CPU an image")
    assert (found.images_per_s, found.cpu_ms_per_image, found.cores_busy) == (1000.0, 1.8, 1.8)
    stages = seen(monkeypatch, 10, 18, decode=(5, 5), image_tower=(9, 1))
    assert profile(stages, 10_000).bottleneck.startswith("The forward pass set the pace: all cores were busy")


def test_a_slow_store_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = seen(monkeypatch, 10, 4, decode=(2, 2), wait_for_images=(8, 0), wait_for_batches=(9, 0))
    assert profile(stages, 100).bottleneck.startswith("The object store set the pace: 80% of the time")
    assert "speed.fetch_concurrency" in profile(stages, 100).bottleneck


def test_a_slow_accelerator_and_slow_decoding_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = seen(monkeypatch, 10, 8, decode=(2, 2), image_tower=(9, 0), wait_for_batches=(0.5, 0))
    assert profile(stages, 100).bottleneck.startswith("The forward pass set the pace: 0.9 threads were in it")
    stages = seen(monkeypatch, 10, 8, decode=(12, 8), image_tower=(1, 0), wait_for_batches=(8, 0))
    assert profile(stages, 100).bottleneck.startswith("Decoding set the pace: 1.2 threads were at it")


def test_what_decodes_apart_is_the_run_itself_and_decoding() -> None:
    stages = Stages()
    program = "import time\nwhile time.process_time() < 0.5: pass"
    with scoring(stages, 10):
        subprocess.run([sys.executable, "-c", program], check=True)
        with stages("decode"):
            pass
    seen = stages.summary()
    assert seen[SCORING]["cpu_s"] > 0.45
    assert seen["decode"]["cpu_s"] > 0.45
    assert seen["decode"]["items"] == 1


def test_cores_that_others_took_are_not_called_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    stages = seen(monkeypatch, 10, 8, decode=(12, 8), image_tower=(1, 0), wait_for_batches=(8, 0))
    stages.gauge(OTHERS, 1.1)
    found = profile(stages, 100)
    assert found.bottleneck.startswith(
        "Other work on this machine set the pace: it took 1.1 of 2 cores, this run took 0.8."
    )
    assert found.others_cores == 1.1


def test_what_other_processes_do_meanwhile_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages()
    busy = iter([100.0, 103.0])
    monkeypatch.setattr("scorer.output.profile.busy_seconds", lambda: next(busy))
    monkeypatch.setattr(time, "perf_counter", clock(1.0))
    monkeypatch.setattr(time, "process_time", clock(0.25))
    with scoring(stages, 1):
        pass
    # The machine's 3 s less our 0.75 (the stage inside looks at the clocks as well), in 3 s.
    assert stages.levels()[OTHERS]["mean"] == 0.75


def test_a_run_without_images_has_nothing_to_say() -> None:
    assert profile(Stages(), 0).bottleneck == "No image was read."
