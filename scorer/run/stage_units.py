"""What every worker of every engine does with its stream of units: score each, stage it, say so."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorer.intake.partitions import Unit
from scorer.output.attempts import Attempts
from scorer.output.staging import UnitResult
from scorer.output.tally import Tally

if TYPE_CHECKING:
    from scorer.run.score_units import Worker


Save = Callable[[UnitResult], object]
"""Puts a finished unit where it is found again."""


@dataclass(frozen=True)
class UnitDone:
    """What a driver must know of a unit that left a worker. Its rows do not travel.

    Attributes:
        unit: which.
        tally: what was counted in it.
        staged: whether it is finished; else the store did not deliver all of its images, and it may be tried again.
    """

    unit: Unit
    tally: Tally
    staged: bool = True


def stage_units(units: Iterator[Unit], worker: "Worker", save: Save, attempts: Attempts) -> Iterator[UnitDone]:
    """Each unit scored and staged, or given up while it has attempts left. Raises as `score_units`."""
    from scorer.run.score_units import score_units

    for result in score_units(units, worker):
        unit = result.unit
        if result.transient_faults and unit.id not in worker.isolated:
            attempts.give_up(unit.id)
            yield UnitDone(unit, result.tally, staged=False)
            continue
        with worker.rules.stages("write units"):
            save(result)
        attempts.finish(unit.id)
        yield UnitDone(unit, result.tally)
