"""Listings and bundle, held against each other as a run would; no image is read."""

from collections.abc import Iterator
from dataclasses import dataclass

from scorer.errors import ScorerError
from scorer.intake.partitions import find_keys
from scorer.model.bundle import load_bundle
from scorer.objectstore import ObjectStore
from scorer.run.check import Checked, check
from scorer.run.doctor.finding import Finding, fail, ok
from scorer.settings import Job


@dataclass
class Inputs:
    """What the checks found, for those after them.

    Attributes:
        checked: None where listings or bundle do not fit.
    """

    checked: Checked | None = None


def findings(job: Job, store: ObjectStore, found: Inputs) -> Iterator[Finding]:
    """The bundle's digests; then the partition's footers against bundle and contract."""
    try:
        bundle = load_bundle(job.bundle, store)
    except ScorerError as error:
        yield fail("bundle", error, "Restore the bundle, or point `bundle` at another one.")
        return
    yield ok("bundle", f"{bundle.name} {bundle.version}, {len(bundle.digests.files)} files as they were saved")
    try:
        checked = found.checked = check(_one_partition(job, store), store)
    except ScorerError as error:
        yield fail("listings", error, "" if error.exit_code != 3 else "Mend what is named; a run would end here.")
        return
    partition = checked.partition
    fits = "bundle and contract" if checked.contract else "the bundle"
    yield ok("listings", f"{partition}: {partition.rows:,} rows in {len(partition.files):,} file(s) that fit {fits}")


def _one_partition(job: Job, store: ObjectStore) -> Job:
    """The job as it is, or on the last partition where it names none."""
    keys = [] if job.partition else find_keys(job.listings, store)
    return job.model_copy(update={"partition": keys[-1] or None}) if keys else job
