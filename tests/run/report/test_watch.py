"""The pace of a run: looked at from outside, a bounded number of times."""

import threading

import pytest

from scorer.run.report.watch import MOST, Sample, Watch, cores_busy, images_a_second
from scorer.telemetry import Stages


def test_samples_stay_few_however_long_the_run_is_and_keep_begin_and_end() -> None:
    stages = Stages()
    watch = Watch(stages)
    for _ in range(20 * MOST):
        with stages("image tower", 10):
            pass
        watch.look()
    samples = watch.end()
    assert len(samples) <= MOST + 1
    assert samples[-1].images == 10 * 20 * MOST
    assert [sample.images for sample in samples] == sorted(sample.images for sample in samples)
    assert samples[0].images == 10


def test_the_thread_that_looks_ends_with_the_run() -> None:
    watch = Watch(Stages())
    watch.follow()
    assert any(thread.name == "watch" for thread in threading.enumerate())
    watch.end()
    assert not any(thread.name == "watch" for thread in threading.enumerate())


def test_the_rate_is_what_was_done_between_two_looks() -> None:
    samples = tuple(Sample(float(second), 0, 100 * max(0, second - 4), 1.5 * second) for second in range(11))
    drawn = images_a_second(samples)
    assert [y for _, y in drawn.points] == pytest.approx([0.0] * 4 + [100.0] * 6)
    assert drawn.x_top == 10.0
    assert [y for _, y in cores_busy(samples, 2).points] == pytest.approx([1.5] * 10)
    assert cores_busy(samples, 2).y_top == 2.0


def test_where_there_are_no_images_the_rows_are_counted() -> None:
    samples = tuple(Sample(float(second), 7 * second, 0, 0.0) for second in range(5))
    assert [y for _, y in images_a_second(samples).points] == pytest.approx([7.0] * 4)


def test_a_run_too_short_to_be_looked_at_has_no_curve() -> None:
    assert images_a_second((Sample(0.0, 0, 0, 0.0), Sample(0.1, 5, 5, 0.1))).line == ""
