"""A worker of this process: the bundle loaded, the pipeline wired. The first place that imports TensorFlow."""

from collections.abc import Iterator
from contextlib import contextmanager

from scorer.intake.dataset import ImagePipeline
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.model.batch_size import fastest_batch
from scorer.model.bundle import Bundle
from scorer.model.predictor import Predictor
from scorer.output.predictions import Origin
from scorer.output.quarantine import Refusals
from scorer.run.check import Checked
from scorer.run.plan import Plan
from scorer.run.score_units import Worker
from scorer.run.sketch import Sketcher
from scorer.run.tools import Tools
from scorer.settings import Job


def batch_images(bundle: Bundle, job: Job) -> int:
    """Images per forward pass: as the job says, or measured."""
    if job.speed.batch_images != "auto":
        return job.speed.batch_images
    return fastest_batch(Predictor(bundle, batch_images=32, batch_rows=32, verify=False, precision=job.precision))


@contextmanager
def worker(plan: Plan, checked: Checked, job: Job, tools: Tools) -> Iterator[Worker]:
    """Ready for any unit of the plan; its threads end with the block.

    Raises:
        BundleError: the graphs are unsafe, or do not give the golden rows' scores on this machine.
    """
    bundle, speed = checked.bundle, job.speed
    predictor = Predictor(bundle, batch_images=plan.batch_images, batch_rows=speed.batch_rows, precision=job.precision)
    with Fetcher(tools.store, job.images, speed.fetch_concurrency) as fetcher:
        yield Worker(
            bundle=bundle,
            predictor=predictor,
            images=ImagePipeline(
                fetcher,
                ImagePlaces.of(checked.partition.base, job.sources),
                bundle.pixels,
                job.images,
                speed,
                tools.stages,
                plan.batch_images,
                predictor.embed,
                predictor.passes,
            ),
            refusals=Refusals(plan.ids.repeated, checked.contract),
            sketcher=Sketcher.of(bundle),
            origin=Origin(plan.run_id, bundle.name, bundle.version, bundle.digest),
            columns=checked.columns,
            store=tools.store,
            stages=tools.stages,
        )
