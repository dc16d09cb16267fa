"""A worker of this process: the bundle loaded, the pipeline wired. The first place that imports TensorFlow."""

from collections.abc import Iterator
from contextlib import contextmanager

from scorer.intake.batches import Memory
from scorer.intake.dataset import ImagePipeline
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.model.batch_size import fastest_batch
from scorer.model.bundle import Bundle
from scorer.model.predictor import Predictor
from scorer.run.check import Checked
from scorer.run.plan import Plan
from scorer.run.reuse import Known
from scorer.run.score_units import Worker
from scorer.run.tools import Tools
from scorer.run.unit_work import Rules
from scorer.settings import Job


def fitting_batch(bundle: Bundle, job: Job) -> int:
    """Images per forward pass: as the job says, or measured."""
    if job.speed.batch_images != "auto":
        return job.speed.batch_images
    rows = job.speed.batch_rows
    predictor = Predictor(bundle, batch_images=32, batch_rows=rows, verify=False, precision=job.precision)
    return fastest_batch(predictor, job.speed.decode_threads)


def images_a_pass(plan: Plan, bundle: Bundle, job: Job) -> int:
    """As the plan says, so that every start of a run measures the same; a number among the settings goes before it.

    A machine on which the plan's number is too much is helped so. A plan may be made where nothing has to be computed.
    """
    if job.speed.batch_images == "auto" and plan.batch_images:
        return plan.batch_images
    return fitting_batch(bundle, job)


@contextmanager
def worker(plan: Plan, checked: Checked, job: Job, tools: Tools, known: Known | None = None) -> Iterator[Worker]:
    """Ready for any unit of the plan; its threads end with the block.

    Raises:
        BundleError: the graphs are unsafe, or do not give the golden rows' scores on this machine.
    """
    bundle, speed = checked.bundle, job.speed_of_one(job.share.of if job.share else 1)
    batch = images_a_pass(plan, bundle, job)
    predictor = Predictor(bundle, batch_images=batch, batch_rows=speed.batch_rows, precision=job.precision)
    with Fetcher(tools.store, job.images, speed.fetch_concurrency) as fetcher:
        yield Worker(
            rules=Rules.of(plan, checked, tools, known),
            predictor=predictor,
            images=ImagePipeline(
                fetcher,
                ImagePlaces.of(checked.partition.base, job.sources),
                bundle.pixels,
                job.images,
                speed,
                tools.stages,
                batch,
                predictor.embed,
                predictor.passes,
                _memory(known),
            ),
        )


def _memory(known: Known | None) -> Memory | None:
    if known is None:
        return None
    return Memory(known.identifier.of, known.recall if known.identifier.policy == "content" else None)
