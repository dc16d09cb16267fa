"""Airflow 3: score a range of nights in one run, a task a partition.

Every night of the range is asked for: one that is published from the same listings by the same bundle is done in a
second; one that is missing, failed before, or stale is scored; one without listings is skipped. A night that fails
leaves the others to their turn. Start the DAG again, or clear its failed tasks, to go on.
"""

from datetime import date, timedelta

import pendulum
from airflow.sdk import DAG, Param, get_current_context, task
from scorer_airflow.deployment import DEPLOYMENT
from scorer_airflow.tasks import SETTINGS, commands, nights, partitions_of, score

with DAG(
    dag_id="scorer_backfill",
    description="Scores every night between two dates that is not published as it should be.",
    doc_md=__doc__,
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={
        "from": Param(type="string", format="date", title="First night"),
        "to": Param(type="string", format="date", title="Last night"),
        "newest_first": Param(True, type="boolean", description="Readers mostly look at recent nights."),
        "force": Param(False, type="boolean", description="Score again what is published already."),
        "settings": SETTINGS,
    },
    tags=["scorer"],
) as dag:

    @task(retries=2, retry_delay=timedelta(seconds=30))
    def partitions() -> list[list[str]]:
        """The arguments of one job a partition."""
        params = get_current_context()["params"]
        wanted = nights(
            date.fromisoformat(params["from"]), date.fromisoformat(params["to"]), bool(params["newest_first"])
        )
        keys = [key for night in wanted for key in partitions_of(night)]
        found: list[list[str]] = commands(keys, params["settings"], *(["--force"] if params["force"] else []))
        return found

    score(partitions(), max_active_tis_per_dagrun=DEPLOYMENT.parallel)
