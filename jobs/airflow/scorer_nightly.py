"""Airflow 3: score the night's partition of listings.

Set the Variables `scorer_listings`, `scorer_bundle` and `scorer_predictions`; how the job starts at your place is in
scorer_airflow/deployment.py. `airflow backfill create --dag-id scorer_nightly` repairs a range of nights.

A retry after a crash goes on where the job stopped; a retry after a publish finds it published and does nothing.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, DeadlineAlert, DeadlineReference, Param, SyncCallback, get_current_context, task
from scorer_airflow.deployment import DEPLOYMENT
from scorer_airflow.outcomes import LISTINGS
from scorer_airflow.tasks import SETTINGS, commands, nightly_partitions, score

with DAG(
    dag_id="scorer_nightly",
    description="Scores the partition of the run's date.",
    doc_md=__doc__,
    schedule=[LISTINGS] if DEPLOYMENT.schedule == "listings" else DEPLOYMENT.schedule,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,  # of scheduled runs; a backfill brings its own limit
    dagrun_timeout=timedelta(hours=20),  # before the next night: a run that hangs must not hide it
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,  # not the logical date: a backfill's lies in the past
        interval=DEPLOYMENT.deadline,
        callback=SyncCallback(DEPLOYMENT.deadline_callback),
    ),
    params={
        "partitions": Param([], type="array", description="Partition keys; empty: those of the run's date."),
        "settings": SETTINGS,
    },
    tags=["scorer"],
) as dag:

    @task(retries=2, retry_delay=timedelta(seconds=30), inlets=[LISTINGS])
    def partitions() -> list[list[str]]:
        """The arguments of one job a partition."""
        context = get_current_context()
        found: list[list[str]] = commands(nightly_partitions(context), context["params"]["settings"])
        return found

    score(partitions())
