"""Who listens to a run, by its settings: the page, lineage, telemetry."""

from scorer.run.observers import Observer
from scorer.run.observing import outward
from scorer.settings import Job


def audience(job: Job) -> list[Observer]:
    """The observers that the job asks for; of one run, so take them anew for each.

    Raises:
        SettingsError: a package that one of them needs is not installed. Nothing was read.
    """
    found = outward(job)
    if job.page.write:
        from scorer.run.report.observer import RunPage

        found.append(RunPage(job.page.gallery))
    return found
