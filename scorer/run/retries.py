"""Attempt after attempt: a unit whose images the store did not deliver waits behind the others and is tried again."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from scorer.intake.partitions import Unit
from scorer.output.attempts import LAST, Attempts
from scorer.output.staging import UnitResult
from scorer.run.engines import local
from scorer.run.score_units import Worker
from scorer.telemetry import Reporter

PAUSE_S = 2.0
"""Before the second attempt, at most; doubled before the third."""


def score_all(todo: Sequence[Unit], attempts: Attempts, worker: Worker, reporter: Reporter) -> Iterator[UnitResult]:
    """The result of every unit, in some order.

    Before its last attempt a unit with images that the store may still deliver is given up and tried again; on the
    last one such an image degrades its row as image_unreachable. Attempts of earlier starts count.

    Raises:
        InputError, InputChanged, StoreUnreachable: the units in hand stay unfinished; those yielded are done.
    """
    tried = attempts.unfinished()
    pause = PAUSE_S
    while todo:
        last = frozenset(unit.id for unit in todo if tried[unit.id] >= LAST - 1)
        again: list[Unit] = []
        for result in local.run(todo, replace(worker, isolated=last, begin=attempts.begin)):
            if not result.transient_faults or result.unit.id in last:
                yield result
                continue
            attempts.give_up(result.unit.id)
            tried[result.unit.id] += 1
            again.append(result.unit)
        if again:
            text = f"{len(again)} work unit(s) with images that the store did not deliver: trying again."
            reporter.event("trying again", text, units=len(again))
            time.sleep(random.uniform(0, pause))
            pause *= 2
        todo = again
