"""The checks in the order in which a run would stumble."""

from collections.abc import Iterator
from functools import partial

from scorer.run.doctor import inputs, machine, reach, store, table, trial
from scorer.run.doctor.finding import Finding, guarded
from scorer.run.doctor.inputs import Inputs
from scorer.run.tools import Tools
from scorer.settings import Job


def examine(job: Job, tools: Tools, *, quick: bool = False) -> Iterator[Finding]:
    """Try everything that the job needs, without scoring anything.

    Args:
        job: as for a run. Without a partition the last one is looked at.
        tools: a store that does not wait long, a voice for what takes its time.
        quick: leave out what needs TensorFlow: golden rows and the trial.

    Yields:
        Findings as they come in. A check that fails never keeps the next one from its turn.
    """
    found = Inputs()
    everywhere = [job.listings, job.bundle, job.predictions, job.quarantine_uri, job.state_uri]
    yield from guarded("machine", machine.findings)
    yield from guarded("extras", partial(reach.findings, job))
    yield from guarded("credentials", partial(store.credentials, everywhere))
    yield from guarded("places", partial(store.places, job, tools.store))
    yield from guarded("table", partial(table.findings, job))
    yield from guarded("inputs", partial(inputs.findings, job, tools.store, found))
    if found.checked is None or quick:
        return
    text = "Loading TensorFlow and the bundle, then trying some images: half a minute at most."
    tools.reporter.event("trial", text)
    yield from guarded("trial", partial(trial.findings, found.checked, job, tools))
