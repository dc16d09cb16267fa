"""All units in this process: one pipeline over the whole stream."""

from collections.abc import Iterator, Sequence

from scorer.intake.partitions import Unit
from scorer.output.staging import UnitResult
from scorer.run.score_units import Worker, score_units


def run(units: Sequence[Unit], worker: Worker) -> Iterator[UnitResult]:
    """Results as they are finished."""
    yield from score_units(iter(units), worker)
