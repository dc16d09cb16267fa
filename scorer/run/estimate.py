"""What a run would read, without reading an image or writing anything."""

from dataclasses import dataclass

from scorer.intake.rows import IMAGES, image_table, scan
from scorer.objectstore import ObjectStore
from scorer.output.commit import Ledger
from scorer.run.check import check
from scorer.run.plan import partition_state, plan_digest
from scorer.settings import Job


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
        published: the run that published this very work, or None.
    """

    partition: str
    files: int
    bytes: int
    rows: int
    units: int
    images: int
    published: str | None


def estimate(job: Job, store: ObjectStore) -> Estimate:
    """Checks the job as a run would (same errors) and counts; reads the footers and the image column."""
    checked = check(job, store)
    files = checked.partition.files
    seen = Ledger(partition_state(job, checked.partition), checked.partition.key, store).read()
    before = seen.published(plan_digest(checked, job, seen))
    tables = (
        image_table(batch.column(0), checked.bundle.max_images)
        for _, _, batch in scan(checked.partition, [IMAGES], store)
    )
    return Estimate(
        partition=str(checked.partition),
        files=len(files),
        bytes=sum(file.size for file in files),
        rows=checked.partition.rows,
        units=sum(-(-file.rows // job.rows_per_unit) for file in files),
        images=sum(int((table.index >= 0).sum()) for table in tables),
        published=before.run_id if before else None,
    )
