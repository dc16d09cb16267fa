"""How the job starts at your place: from the environment of the DAG processor and the workers.

The names begin with AIRFLOW_SCORER_, because the job takes every SCORER_... in its own environment for a setting. What
changes from job to job (listings, bundle, predictions) is an Airflow Variable instead; see tasks.py.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

PREFIX = "AIRFLOW_SCORER_"


@dataclass(frozen=True)
class Deployment:
    """One environment, read when a DAG file is parsed.

    Attributes:
        runs_in: process, docker or kubernetes.
        command: process: the console script, with its environment's path where it is not on PATH.
        image: docker, kubernetes: of the job.
        namespace: kubernetes: of the pods.
        schedule: of the nightly DAG: a cron expression in UTC, or `listings`: whenever that Asset is updated.
        pool: whose slots bound how many partitions are scored at a time, over all DAGs. It must exist.
        parallel: partitions at a time within one run of the backfill DAG.
        retries: after exit 75, a kill or a timeout.
        retry_seconds: before the first retry; each further one waits twice as long.
        timeout_minutes: for one try on one partition.
        deadline_minutes: after a nightly run was queued, until `deadline_callback` is called.
        deadline_callback: dotted path of a function of context; yours may page somebody.
    """

    runs_in: str = "process"
    command: str = "scorer"
    image: str = "scorer:latest"
    namespace: str = "default"
    schedule: str = "30 2 * * *"
    pool: str = "default_pool"
    parallel: int = 4
    retries: int = 3
    retry_seconds: int = 300
    timeout_minutes: int = 360
    deadline_minutes: int = 240
    deadline_callback: str = "scorer_airflow.deadline.missed"

    @property
    def retry_delay(self) -> timedelta:
        """Longer than the job's grace: what a timeout told to stop has ended by then."""
        return timedelta(seconds=self.retry_seconds)

    @property
    def timeout(self) -> timedelta:
        """For one try."""
        return timedelta(minutes=self.timeout_minutes)

    @property
    def deadline(self) -> timedelta:
        """For a whole night."""
        return timedelta(minutes=self.deadline_minutes)


def read(environ: Mapping[str, str] = os.environ) -> Deployment:
    """The deployment that the environment describes.

    Raises:
        ValueError: a name is unknown, or a number is none. Airflow shows it as an import error of the DAG.
    """
    known = {name: type(value) for name, value in vars(Deployment()).items()}
    given = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known:
            raise ValueError(f"{variable} is unknown. Known: {', '.join(PREFIX + each.upper() for each in known)}.")
        given[name] = known[name](text)
    return Deployment(**given)


DEPLOYMENT = read()
