"""The job as a pod. Needs apache-airflow-providers-cncf-kubernetes; what the pod looks like stands in pod.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from .deployment import DEPLOYMENT
from .outcomes import NOTHING_TO_DO, Summary, failure

POD = Path(__file__).with_name("pod.yaml")
FLAGS = ("--summary=/airflow/xcom/return.json",)  # where Airflow's sidecar looks for the XCom


class ScorerPod(KubernetesPodOperator):
    """Runs one `scorer` command in a pod; its summary is the XCom, also of a job that failed."""

    def cleanup(self, pod: Any, remote_pod: Any, xcom_result: Summary | None = None, context: Any = None) -> None:
        """Raises what `failure` makes of the exit code, where the pod has one."""
        try:
            super().cleanup(pod=pod, remote_pod=remote_pod, xcom_result=xcom_result, context=context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            exit_code = _exit_code(remote_pod, self.base_container_name)
            if exit_code is None:  # the pod never ran, or its node is gone: Airflow tries again
                raise
            raise failure(exit_code, (xcom_result or {}).get("error") or str(error)) from error


def _exit_code(remote_pod: Any, container: str) -> int | None:
    statuses = (remote_pod.status.container_statuses if remote_pod and remote_pod.status else None) or ()
    for status in statuses:
        if status.name == container and status.state and status.state.terminated:
            code: int = status.state.terminated.exit_code
            return code
    return None


def expand(commands: Any, environment: Mapping[str, str], **options: Any) -> Any:
    """One task for each list of arguments."""
    return ScorerPod.partial(
        map_index_template="{{ task.arguments[1] }}",
        name="scorer",
        namespace=DEPLOYMENT.namespace,
        image=DEPLOYMENT.image,
        env_vars=dict(environment),
        pod_template_file=str(POD),
        do_xcom_push=True,
        skip_on_exit_code=NOTHING_TO_DO,
        termination_grace_period=45,  # pod.yaml says the same; this one counts when the task is killed
        startup_timeout_seconds=900,  # a node that has to be started, an image of 3 GB
        log_pod_spec_on_failure=False,  # the reason shall stand in the last lines
        **options,
    ).expand(arguments=commands)
