"""What travels to a worker and back: small, picklable, without rows. Settings hold no secrets, so nor does this."""

import importlib.util
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from scorer.errors import BundleError, ScorerError
from scorer.intake.partitions import Partition, Unit
from scorer.model.tensorflow_alone import tensorflow_alone
from scorer.objectstore import ObjectStore
from scorer.output.manifest import versions
from scorer.run.check import Checked, ready
from scorer.run.plan import OPTIONAL_DECODERS, Plan
from scorer.run.reuse import UnitReuse
from scorer.run.stage_units import UnitDone
from scorer.run.start import Start
from scorer.settings import Job
from scorer.telemetry import Noted


class Handed(NamedTuple):
    """A unit on its way to a worker.

    Attributes:
        unit: which.
        last: whether it is its last attempt.
        reuse: what is known of it; None: nobody asked.
    """

    unit: Unit
    last: bool
    reuse: UnitReuse | None

    @property
    def images(self) -> int:
        """That must be fetched; about one a row where nobody knows."""
        return int(self.reuse.fetched.sum()) if self.reuse is not None else self.unit.rows


@dataclass(frozen=True)
class Report:
    """What a worker has to say since its last report.

    Attributes:
        done: units that left it.
        noted: its timers.
        said: its warnings: name, text, facts.
        error: what ended it; None while it is well.
        ended: whether it takes no more units.
    """

    done: tuple[UnitDone, ...]
    noted: Noted
    said: tuple[tuple[str, str, dict[str, Any]], ...]
    error: ScorerError | None = None
    ended: bool = False


@dataclass(frozen=True)
class Errand:
    """All that a worker must know to make itself ready.

    Attributes:
        job: with the speed of one worker.
        plan: without its units.
        partition: without its files.
        token: of the start.
        installed: what the driver runs with.
    """

    job: Job
    plan: Plan
    partition: Partition
    token: str
    installed: tuple[str, ...]

    @classmethod
    def of(cls, start: Start, workers: int) -> "Errand":
        """For one of so many workers. A plan of a billion rows has units for 60 MB: they come one by one."""
        return cls(
            job=job_of_one(start.job, workers),
            plan=start.plan.model_copy(update={"units": ()}),
            partition=replace(start.checked.partition, files=(), schemas=()),
            token=start.token,
            installed=installed(),
        )

    def checked(self, store: ObjectStore) -> Checked:
        """The bundle as this node finds it.

        Raises:
            BundleError: it is another one than the driver's, or what is installed here would score differently.
        """
        here = installed()
        if here != self.installed:
            other = sorted(set(here) ^ set(self.installed))
            raise BundleError(
                f"A node of the Ray cluster has other packages than the driver: {', '.join(other)}. Nothing was"
                " published. Let both run the same image."
            )
        bundle, contract = ready(self.job, store)
        if bundle.digest != self.plan.bundle_digest:
            raise BundleError(
                f"A node of the Ray cluster finds the bundle {bundle.digest[:12]} at {bundle.uri}, the driver"
                f" {self.plan.bundle_digest[:12]}. Nothing was published. Is it a path that only one of them has?"
            )
        return Checked(self.partition, bundle, contract)


def job_of_one(job: Job, workers: int) -> Job:
    """As one of so many workers sees it: its own cores, its share of the requests."""
    speed = job.speed_of_one(workers)
    speed = speed.model_copy(update={"decode_threads": speed.decode_threads or job.ray.cores})
    return job.model_copy(update={"speed": speed})


def installed() -> tuple[str, ...]:
    """What can change a score, by version."""
    decoders = [name for name in OPTIONAL_DECODERS if importlib.util.find_spec(name)]
    return (*(f"{name} {version}" for name, version in sorted(versions().items())), *decoders)


def measured(job: Job) -> int:
    """Images per forward pass, on the node that this runs on."""
    with tensorflow_alone():
        from scorer.run.worker import fitting_batch
    bundle, _ = ready(job, ObjectStore())
    return fitting_batch(bundle, job)
