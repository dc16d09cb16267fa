"""What a run would read, and how long it would take, without reading an image or writing anything."""

from dataclasses import dataclass

from scorer.intake.ids import read_ids
from scorer.intake.rows import IMAGES, image_table, scan
from scorer.objectstore import ObjectStore, join
from scorer.output.commit import Ledger
from scorer.output.quarantine import Refusals
from scorer.output.staging import Staging
from scorer.run.check import Checked, check
from scorer.run.pace import Pace
from scorer.run.plan import partition_state, plan_digest, planned, unfinished
from scorer.run.reuse import Known
from scorer.run.tools import Tools
from scorer.settings import Costs, Job


@dataclass(frozen=True)
class Estimate:
    """The size of one partition.

    Attributes:
        partition: its key.
        files: Parquet files.
        bytes: of those files.
        rows: in those files.
        units: work units they are cut into.
        images: that the rows name and the bundle would use.
        distinct: of them, each counted once among some thousand rows; about what will be fetched.
        left: share of the rows that no earlier, interrupted start has scored.
        published: the run that published this very work, or None.
        known: what earlier runs leave to do; None where nothing is to be taken over, or nobody looked.
    """

    partition: str
    files: int
    bytes: int
    rows: int
    units: int
    images: int
    distinct: int
    left: float
    published: str | None
    known: Known | None = None

    def seconds(self, pace: Pace, threads: int, loaded: bool = False) -> float | None:
        """How long it would take; see `Pace.seconds`."""
        if self.known is not None:
            survey = self.known.survey
            return pace.seconds(self.rows, survey.images_fetched, threads=threads, computed=survey.rows_computed)
        return pace.seconds(self.rows, self.distinct, left=self.left, threads=threads, loaded=loaded)


def estimate(job: Job, store: ObjectStore) -> Estimate:
    """Checks the job as a run would (same errors) and counts; reads the footers and the image column."""
    return size(job, check(job, store), store)


def size(job: Job, checked: Checked, store: ObjectStore, tools: Tools | None = None) -> Estimate:
    """The size of a partition that was checked.

    Args:
        job: what would be scored.
        checked: its partition and bundle.
        store: where to read.
        tools: to find out what is known already, image by image; None: every image counts as unknown.
    """
    files = checked.partition.files
    state = partition_state(job, checked.partition)
    seen = Ledger(state, checked.partition.key, store).read()
    digest = plan_digest(checked, job, seen)
    before = seen.published(digest)
    images, distinct = _images(checked, store)
    known = _known(job, checked, digest, state, tools) if tools and not before else None
    return Estimate(
        partition=str(checked.partition),
        files=len(files),
        bytes=sum(file.size for file in files),
        rows=checked.partition.rows,
        units=sum(-(-file.rows // job.rows_per_unit) for file in files),
        images=images,
        distinct=distinct,
        left=_left(digest, state, store),
        published=before.run_id if before else None,
        known=known,
    )


def cost(seconds: float, costs: Costs) -> str:
    """What so much time of the machine costs, for people; empty without a price."""
    if costs.price_per_hour is None:
        return ""
    return f"{seconds / 3600 * costs.price_per_hour:,.2f} {costs.currency}".rstrip()


def _images(checked: Checked, store: ObjectStore) -> tuple[int, int]:
    """Images named, and distinct ones among the rows that are read at a time."""
    named = distinct = 0
    for _, _, batch in scan(checked.partition, [IMAGES], store):
        table = image_table(batch.column(0), checked.bundle.max_images)
        named += int((table.index >= 0).sum())
        distinct += len(table.uris)
    return named, distinct


def _known(job: Job, checked: Checked, digest: str, state: str, tools: Tools) -> Known | None:
    known = Known.of(checked, job, digest, tools)
    if known is not None:
        ids = read_ids(checked.partition, tools.store)
        plan = planned(digest, state, tools.store)
        todo = unfinished(plan, digest, checked, job, state, tools.store)
        known.look(todo, Refusals(ids.repeated, checked.contract), checked.columns)
    return known


def _left(digest: str, state: str, store: ObjectStore) -> float:
    plan = planned(digest, state, store)
    if plan is None or not plan.rows:
        return 1.0
    finished = Staging(join(plan.folder(state), "units"), plan.run_id, store).finished()
    return 1.0 - sum(unit.rows for unit in plan.units if unit.id in finished) / plan.rows
