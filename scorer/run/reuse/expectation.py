"""What a run expects to do and how long that would take; and afterwards, what it did."""

from scorer.output.manifest import Expected, RunManifest
from scorer.run.pace import pace_of, threads_of
from scorer.run.reuse.known import Known
from scorer.run.start import Start


def of(start: Start, known: Known) -> Expected:
    """From what is known and what past runs took; said once."""
    job, survey = start.job, known.survey
    pace, _ = pace_of(job, start.checked.bundle, start.tools.store)
    seconds = None
    if pace is not None:
        rows, computed = start.checked.partition.rows, survey.rows_computed
        seconds = pace.seconds(rows, survey.images_fetched, computed=computed, threads=threads_of(job.speed))
    found = expected(known, seconds)
    start.tools.reporter.event("known", sentence(found), **found.model_dump())
    return found


def expected(known: Known, seconds: float | None) -> Expected:
    """What was found, as plain figures."""
    survey = known.survey
    return Expected(
        rows=survey.rows,
        rows_carried=survey.rows_carried,
        images=survey.images,
        images_known=survey.images_known,
        earlier=known.earlier.partition if known.earlier else None,
        seconds=None if seconds is None else round(seconds, 1),
    )


def sentence(found: Expected) -> str:
    """For people."""
    source = f" (as in {found.earlier})" if found.earlier and found.rows_carried else ""
    time = "" if found.seconds is None else f"; about {found.seconds:,.0f} s"
    return (
        f"{found.rows_carried:,} of {found.rows:,} rows are unchanged{source}; of {found.images:,} images"
        f" {found.images_known:,} are known and {found.images - found.images_known:,} are to be fetched{time}."
    )


def against(manifest: RunManifest) -> str:
    """What was done, beside what was expected; of a run that had expectations."""
    found, counts = manifest.expected, manifest.counts
    assert found is not None
    fetched = found.images - found.images_known
    seconds = "no estimate" if found.seconds is None else f"{found.seconds:,.0f} s expected"
    return (
        f"{counts.rows_carried:,} rows carried forward ({found.rows_carried:,} expected), {counts.images_known:,}"
        f" images known, {counts.images_read:,} fetched ({fetched:,} expected); {seconds}."
    )
