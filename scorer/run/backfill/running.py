"""The doing: each chosen partition in its turn. One that fails leaves the others to theirs; a signal ends them all."""

import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from scorer.errors import BundleError, Interrupted, NothingToDo, ScorerError, TableGone
from scorer.objectstore import trusted
from scorer.run.backfill import record
from scorer.run.backfill.children import in_children
from scorer.run.backfill.outcomes import Outcome, is_still_there, not_begun
from scorer.run.backfill.planning import BackfillPlan
from scorer.run.history import ledger_of
from scorer.run.observers import Observer
from scorer.run.score_partition import score_partition
from scorer.run.tools import Tools
from scorer.settings import Job
from scorer.telemetry import Reporter

Observers = Callable[[Job], Sequence[Observer]]
"""Who is told of the run of a job: fresh ones for each, as they remember."""


def nobody(job: Job) -> Sequence[Observer]:
    """No observers."""
    return ()


def backfill(
    job: Job, plan: BackfillPlan, tools: Tools, observers: Observers = nobody
) -> Generator[Outcome, None, None]:
    """Score what the plan says, by the bundle that it was made with, and no other.

    Args:
        job: its partition is filled in.
        plan: from `make_plan`.
        tools: store, voice, and an ear for signals.
        observers: of each run; child processes have their own, by their settings.

    Yields:
        One outcome a partition, as each ends. If the bundle changes, also one for each that was not begun.

    Raises:
        Interrupted: by a signal. What was yielded is done; the same command goes on.
    """
    store = trusted(tools.store, job.state_uri, job.single_writer)
    for line in plan.lines:
        if line.state == "published":  # a run may have died right after its publish: bring the copies up to date
            try:
                ledger_of(job.state_uri, line.partition, store).expose()
            except TableGone as error:  # the others have their turn all the same
                tools.reporter.event("table gone", str(error), partition=line.partition)
    if plan.wanted.only == "all":
        record.begin(job, plan.wanted.within, plan.bundle.digest, store)
    pinned = job.model_copy(update={"bundle_digest": plan.bundle.digest, "force": False})
    several = plan.wanted.parallel > 1
    outcomes = in_children(pinned, plan, tools) if several else _in_turn(pinned, plan, tools, observers)
    complete = True
    with closing(outcomes):
        for outcome in outcomes:
            complete &= outcome.begun
            yield outcome
    if plan.wanted.only == "all" and complete:
        record.end(job, plan.wanted.within, plan.bundle.digest, store)


def _in_turn(job: Job, plan: BackfillPlan, tools: Tools, observers: Observers) -> Generator[Outcome, None, None]:
    """All in this process, which loads TensorFlow once."""
    lines = plan.chosen
    for turn, line in enumerate(lines):
        outcome = _scored(job.model_copy(update={"partition": line.partition, "force": line.again}), tools, observers)
        yield outcome
        if tools.stop.asked:
            raise Interrupted(
                f"Stopped by {tools.stop.asked} after {line.partition}, which is done. Start the same command again."
            )
        if outcome.exit_code == BundleError.exit_code and not is_still_there(plan, tools.store):
            yield from not_begun(lines[turn + 1 :], plan, tools)
            return


def _scored(job: Job, tools: Tools, observers: Observers) -> Outcome:
    assert job.partition is not None
    voice = tools.reporter
    fresh = Reporter(voice.stream, voice.people, {**voice.fields, "partition": job.partition})
    try:
        manifest = score_partition(job, Tools(tools.store, fresh, stop=tools.stop), observers(job))
    except Interrupted as error:
        raise Interrupted(f"{job.partition}: {error} What was published of others stays.") from None
    except ScorerError as error:
        name = "nothing to do" if isinstance(error, NothingToDo) else "failed"
        fresh.event(name, f"{job.partition}: {error}", exit_code=error.exit_code)
        return Outcome(job.partition, error.exit_code, error=str(error))
    except Exception as error:  # a bug of ours costs the partition that meets it; in children it would do no more
        traceback.print_exc(file=fresh.stream)
        became = tools.stop.published or "Nothing was published of it; finished units are kept."
        why = f"A bug in scorer ({type(error).__name__}: {error}). {became} Please report the lines above."
        fresh.event("failed", f"{job.partition}: {why}", exit_code=ScorerError.exit_code)
        return Outcome(job.partition, ScorerError.exit_code, error=why)
    return Outcome(job.partition, 0, manifest.run_id, manifest.seconds)
