"""All units in this process: one pipeline over the whole stream."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from scorer.errors import Interrupted
from scorer.intake.partitions import Unit
from scorer.output.attempts import Attempts
from scorer.run.check import Checked
from scorer.run.engines import Crew
from scorer.run.reuse import Known
from scorer.run.score_units import Worker
from scorer.run.stage_units import Save, UnitDone, stage_units
from scorer.run.start import Start
from scorer.run.tools import Tools
from scorer.run.worker import fitting_batch, worker
from scorer.settings import Job


def batch_images(checked: Checked, job: Job, _: Tools) -> int:
    """Images per forward pass: as the job says, or measured here."""
    return fitting_batch(checked.bundle, job)


@contextmanager
def ready(start: Start, known: Known | None) -> Iterator[Crew]:
    """One worker of this process."""
    attempts = start.attempts()
    with ExitStack() as stack:
        with start.tools.stages("load the bundle"):
            own = stack.enter_context(worker(start.plan, start.checked, start.job, start.tools, known))
        try:
            yield Crew(partial(run, worker=own, save=start.staging.save, attempts=attempts))
        except Interrupted:
            attempts.forgive()
            raise


def run(
    units: Sequence[Unit], last: frozenset[str], worker: Worker, save: Save, attempts: Attempts
) -> Generator[UnitDone, None, None]:
    """What became of each unit, in their order."""
    own = replace(worker, isolated=last, begin=attempts.begin)
    yield from stage_units(iter(units), own, save, attempts)
