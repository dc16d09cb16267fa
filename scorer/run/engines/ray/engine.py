"""Units spread over the workers of a Ray cluster. Ray knows of machines and processes, and nothing of units."""

from collections.abc import Iterator
from contextlib import contextmanager

import ray

from scorer.errors import WorkersLost
from scorer.output.profile import Spread
from scorer.run.check import Checked
from scorer.run.engines import Crew
from scorer.run.engines.ray import cluster
from scorer.run.engines.ray.errand import Errand, job_of_one, measured
from scorer.run.engines.ray.workforce import Workforce
from scorer.run.reuse import Known
from scorer.run.start import Start
from scorer.run.tools import Tools
from scorer.settings import Job


def batch_images(_: Checked, job: Job, tools: Tools) -> int:
    """Images per forward pass: as the job says, or measured on a node like those that will do the work."""
    if job.speed.batch_images != "auto":
        return job.speed.batch_images
    cluster.join(job.ray)
    wanted = job.ray
    task = ray.remote(measured).options(num_cpus=wanted.cores, num_gpus=wanted.gpus, max_retries=2)
    try:
        size: int = cluster.waited(task.remote(job_of_one(job, 1)), wanted, tools)
    except cluster.LOST as error:
        raise WorkersLost(
            f"The worker that measured the batch size was lost: {str(error).splitlines()[0]} Nothing was published."
            " Start the run again; where it was memory, set speed.batch_images (docs/clusters.md)."
        ) from None
    return size


@contextmanager
def ready(start: Start, known: Known | None) -> Iterator[Crew]:
    """Workers that load the bundle while the first of them are at work already."""
    wanted = start.job.ray
    cluster.join(wanted)
    try:
        # More workers than units would idle, and take their share of `requests_together` from those that do not.
        number = min(wanted.workers or cluster.room(wanted), len(start.plan.units))
        force = Workforce(Errand.of(start, number), number, start, known)
        try:
            yield Crew(force.run, Spread(number, number * wanted.cores, number * wanted.gpus))
            force.finish()
        finally:
            force.dismiss()
    finally:
        cluster.leave()
