"""The job as a container of the worker's Docker engine. Needs apache-airflow-providers-docker."""

import re
from collections.abc import Mapping
from typing import Any

from airflow.providers.docker.exceptions import DockerContainerFailedException
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from .deployment import DEPLOYMENT
from .outcomes import NOTHING_TO_DO, Summary, failure, find, push

FLAGS = (
    "--summary=-",
    "--set=grace_seconds=8",  # Docker sends SIGKILL 10 s after SIGTERM
)


class ScorerContainer(DockerOperator):
    """Runs one `scorer` command in a container and returns its summary."""

    def execute(self, context: Context) -> Summary:
        """Raises what `failure` makes of the exit code."""
        try:
            lines = super().execute(context)
        except AirflowSkipException:
            raise
        except DockerContainerFailedException as error:
            status = re.search(r"'StatusCode': (\d+)", str(error))
            if status is None:
                raise
            summary = find(error.logs or [])
            push(context, summary)
            raise failure(int(status[1]), summary.get("error") or str(error)) from error
        return find(lines or [])


def expand(commands: Any, environment: Mapping[str, str], **options: Any) -> Any:
    """One task for each list of arguments."""
    return ScorerContainer.partial(
        map_index_template="{{ task.command[1] }}",
        image=DEPLOYMENT.image,
        environment=dict(environment),
        mount_tmp_dir=False,
        auto_remove="force",
        xcom_all=True,  # all lines: the summary is found among them wherever the engine put it
        skip_on_exit_code=NOTHING_TO_DO,
        **options,
    ).expand(command=commands)
