"""The units of one start scored and staged: what is known is carried, an engine computes the rest."""

from collections.abc import Sequence
from contextlib import closing

from scorer.errors import AuditError
from scorer.intake.partitions import Unit
from scorer.model.tensorflow_alone import tensorflow_alone
from scorer.output.profile import LOADING, Effort, scoring
from scorer.run.check import Checked
from scorer.run.engines import engine_of
from scorer.run.retries import finish_all
from scorer.run.reuse import Known
from scorer.run.reuse.carry import carry
from scorer.run.start import Start
from scorer.run.tools import Tools
from scorer.run.unit_work import Rules
from scorer.settings import Job


def batch_images(checked: Checked, job: Job, tools: Tools) -> int:
    """Images per forward pass. May import TensorFlow, some 8 s: only where there is something to compute."""
    with tensorflow_alone(), tools.stages(LOADING):
        engine = engine_of(job)
    with tools.stages("measure the batch size"):
        return engine.batch_images(checked, job, tools)


def score(todo: Sequence[Unit], start: Start, known: Known | None) -> Effort:
    """Every unit of `todo` scored and staged; first those of which nothing is left to compute.

    Returns:
        What was read, and by whom.

    Raises:
        InputError, InputChanged, StoreUnreachable, Interrupted: finished units stay finished.
        AuditError: what was to be taken over is not what is computed; no unit stays finished.
    """
    if known is not None:
        whole = [unit for unit in todo if known.survey.is_whole(unit.id)]
        with start.tools.stages("carry rows", sum(unit.rows for unit in whole)):
            for result in carry(whole, Rules.of(start.plan, start.checked, start.tools, known)):
                start.staging.save(result)
        todo = [unit for unit in todo if not known.survey.is_whole(unit.id)]
    try:
        effort = _compute(todo, start, known) if todo else Effort()
    except AuditError:
        start.discard()  # what was taken over may be wrong in more places than one
        raise
    finally:
        if known is not None:
            known.store.flush()
    if known is not None:
        known.close()
    return effort


def _compute(todo: Sequence[Unit], start: Start, known: Known | None) -> Effort:
    tools, plan = start.tools, start.plan
    with tensorflow_alone(), tools.stages(LOADING):
        engine = engine_of(start.job)
    rows = sum(unit.rows for unit in todo)
    computed = known.survey.rows_computed if known else rows
    place = str(start.checked.partition)
    text = f"Run {plan.run_id}: {place}, {rows:,} rows in {len(todo)} of {len(plan.units)} work units."
    tools.reporter.event("scoring", text, rows=rows, units=len(todo))
    tried = start.attempts().unfinished()
    with engine.ready(start, known) as crew, scoring(tools.stages, computed):
        progress = tools.reporter.progress(place, rows)
        with (
            tools.stop.finishing("Nothing was published; finished units are kept, the one in hand was dropped."),
            closing(finish_all(todo, tried, crew.run, tools.reporter)) as staged,
        ):
            for done in staged:
                progress.advance(done.tally.rows_in, done.tally.images_read, done.tally.degraded)
                tools.stop.check()
        progress.finish()
    return Effort(progress.images, crew.spread)
