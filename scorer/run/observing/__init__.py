"""Observers that speak to the outside while a run goes: lineage and telemetry. Off unless the settings name a place."""

from scorer.run.observers import Observer
from scorer.settings import Job


def outward(job: Job) -> list[Observer]:
    """The observers that the job asks for; of one run, so take them anew for each.

    Raises:
        SettingsError: a package that one of them needs is not installed.
    """
    found: list[Observer] = []
    if job.lineage.to is not None:
        from scorer.run.observing.lineage import Lineage

        found.append(Lineage(job.lineage))
    if job.telemetry.otlp is not None:
        from scorer.run.observing.telemetry import Telemetry

        found.append(Telemetry(job.telemetry))
    return found
