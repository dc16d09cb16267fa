"""Two DAGs of a try: one that readers of the predictions would write, one that is never done in time."""

import time
from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Asset, DeadlineAlert, DeadlineReference, SyncCallback, get_current_context, task
from scorer_airflow.deployment import DEPLOYMENT

START = pendulum.datetime(2026, 1, 1, tz="UTC")

with DAG(dag_id="consumer", schedule=[Asset("scorer_predictions")], start_date=START, catchup=False):

    @task
    def read() -> list[dict[str, object]]:
        """What the events say of the partitions that were published."""
        events = get_current_context()["triggering_asset_events"]
        return [dict(event.extra) for group in events.values() for event in group]

    read()

with DAG(
    dag_id="late",
    schedule=None,
    start_date=START,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=1),
        callback=SyncCallback(DEPLOYMENT.deadline_callback),
    ),
):

    @task
    def dawdle() -> None:
        """Longer than the deadline."""
        time.sleep(3)

    dawdle()
