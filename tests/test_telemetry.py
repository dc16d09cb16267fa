"""Timers of a run's stages."""

import random

from scorer.telemetry import SLOWEST, Stages


def test_the_slowest_items_of_a_stage_are_remembered_and_no_others() -> None:
    stages, times = Stages(), list(range(1, 200))
    random.Random(0).shuffle(times)
    for seconds in times:
        stages.item("decode", f"{seconds}.jpg", float(seconds))
    stages.item("write", "a file", 1.0)
    assert stages.slowest("decode") == [(f"{seconds}.jpg", float(seconds)) for seconds in range(199, 199 - SLOWEST, -1)]
    assert stages.slowest("write") == [("a file", 1.0)]
    assert stages.slowest("no such stage") == []
