"""Airflow 3: score the night's partition of listings, `ds=` the date of the run.

Set `SCORER` to how the job starts on your workers (the console script, or `docker run ... scorer`) and the Airflow
Variables `scorer_listings`, `scorer_bundle` and `scorer_predictions`. This file imports Airflow only, so the scheduler
does not need TensorFlow.

A retry after a crash goes on where the run stopped; a retry after a publish finds it published and does nothing.
"""

from datetime import timedelta

import pendulum
from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, BaseOperator, Context

SCORER = ("scorer",)
NOTHING_TO_DO = 99
START_AGAIN = 75


class ScorerOperator(BaseOperator):  # type: ignore[misc]  # Airflow is not installed where types are checked
    """Runs one `scorer` command. Exit 0 succeeds, 99 skips, 75 retries; any other fails at once: a retry is vain."""

    template_fields = ("arguments",)

    def __init__(self, *, arguments: list[str], **options: object) -> None:
        """`arguments` follow the word scorer and may hold templates."""
        super().__init__(**options)
        self.arguments = arguments
        self.hook = SubprocessHook()

    def execute(self, context: Context) -> str:
        """The job's last line."""
        result = self.hook.run_command([*SCORER, *self.arguments])
        if result.exit_code == 0:
            return str(result.output)
        said = f"scorer ended with exit code {result.exit_code}: {result.output}"
        if result.exit_code == NOTHING_TO_DO:
            raise AirflowSkipException(said)
        if result.exit_code == START_AGAIN:
            raise AirflowException(said)
        raise AirflowFailException(said)

    def on_kill(self) -> None:
        """SIGTERM: the job keeps its finished units and ends with 75."""
        self.hook.send_sigterm()


with DAG(
    dag_id="scorer_nightly",
    description="Scores the partition of the run's date.",
    schedule="30 2 * * *",
    start_date=pendulum.datetime(2026, 11, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["scorer"],
) as dag:
    ScorerOperator(
        task_id="score",
        arguments=[
            "score",
            "--listings={{ var.value.scorer_listings }}",
            "--partition=ds={{ ds }}",
            "--bundle={{ var.value.scorer_bundle }}",
            "--predictions={{ var.value.scorer_predictions }}",
        ],
        retries=3,
        retry_delay=timedelta(minutes=5),
        execution_timeout=timedelta(hours=6),
    )
