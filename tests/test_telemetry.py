"""Timers of a run's stages."""

import io
import random
from typing import ClassVar

from scorer.telemetry import SLOWEST, Reporter, Stages


def test_the_slowest_items_of_a_stage_are_remembered_and_no_others() -> None:
    stages, times = Stages(), list(range(1, 200))
    random.Random(0).shuffle(times)
    for seconds in times:
        stages.item("decode", f"{seconds}.jpg", float(seconds))
    stages.item("write", "a file", 1.0)
    assert stages.slowest("decode") == [(f"{seconds}.jpg", float(seconds)) for seconds in range(199, 199 - SLOWEST, -1)]
    assert stages.slowest("write") == [("a file", 1.0)]
    assert stages.slowest("no such stage") == []


def test_an_event_is_written_at_once_for_other_threads_write_there_too() -> None:
    class Noted(io.StringIO):
        parts: ClassVar[list[str]] = []

        def write(self, text: str) -> int:
            self.parts.append(text)
            return len(text)

    Reporter(Noted(), people=False).event("published", "It is there.")
    Reporter(Noted(), people=True).event("published", "It is there.")
    assert [part[-1] for part in Noted.parts] == ["\n", "\n"]
