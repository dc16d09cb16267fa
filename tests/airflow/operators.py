"""The DAGs and operators with Airflow's own classes, in Airflow's environment: `make airflow` runs it by its name."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

FOLDER = Path(__file__).parents[2] / "jobs" / "airflow"
SUMMARY = '{"outcome": "refused", "exit_code": 4, "error": "gate degraded: 100 % of the rows", "verdicts": []}'


class TaskInstance:
    """Keeps what is pushed."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The DAGs' folder on the path, as Airflow puts it there; modules are read anew by each test."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("AIRFLOW_VAR_SCORER_PARTITIONS", "ds={date}")  # elsewhere a default; here is no database to ask
    yield
    for name in [name for name in sys.modules if name.startswith("scorer_")]:
        del sys.modules[name]


def module(name: str) -> ModuleType:
    return importlib.import_module(f"scorer_airflow.{name}")


def dag(name: str) -> Any:
    return importlib.import_module(name).dag


@pytest.mark.parametrize("runs_in", ["process", "docker", "kubernetes"])
@pytest.mark.parametrize("name", ["scorer_nightly", "scorer_backfill"])
def test_either_dag_is_made_of_two_tasks_wherever_the_job_runs(
    name: str, runs_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    monkeypatch.setenv("AIRFLOW_SCORER_RUNS_IN", runs_in)
    found = dag(name)

    assert sorted(found.task_ids) == ["partitions", "score"]
    assert found.get_task("score").is_mapped
    assert [asset.name for asset in found.get_task("score").outlets] == ["scorer_predictions"]
    assert DagSerialization.to_dict(found)["dag"]["dag_id"] == name


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AIRFLOW_SCORER_RUNS_IN", "k8s", "Known: docker, kubernetes, process"),
        ("AIRFLOW_SCORER_POOOL", "x", "Known: AIRFLOW_SCORER_RUNS_IN, "),
    ],
)
def test_a_typo_is_answered_with_the_choices(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValueError, match=said):
        module("tasks")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, AirflowFailException) for code in (2, 3, 4, 5, 70)),
        *((code, AirflowException) for code in (75, -9, -15, 137, 143)),
        (99, AirflowSkipException),
    ],
)
def test_99_skips_75_and_a_killed_job_are_tried_again_the_others_fail_at_once(code: int, kind: type) -> None:
    assert type(module("outcomes").failure(code, "why")) is kind


def test_a_process_that_fails_leaves_its_summary_and_says_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "job"
    job.write_text(f"#!/bin/sh\nfor last; do :; done\necho '{SUMMARY}' > \"${{last#--summary=}}\"\nexit 4\n")
    job.chmod(0o755)
    monkeypatch.setenv("AIRFLOW_SCORER_COMMAND", str(job))
    made = module("process").ScorerProcess
    task, instance = made(task_id="score", arguments=["score"], environment={}), TaskInstance()

    with pytest.raises(AirflowFailException, match="exit code 4: gate degraded: 100 % of the rows"):
        task.execute({"ti": instance})
    assert instance.pushed["return_value"]["outcome"] == "refused"


def test_a_container_that_fails_leaves_its_summary_and_says_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.docker.exceptions import DockerContainerFailedException
    from airflow.providers.docker.operators.docker import DockerOperator

    def fails(self: Any, context: Any) -> None:
        lines = ['{"event": "scoring"}', SUMMARY, "GateError: gate degraded"]
        raise DockerContainerFailedException("Docker container failed: {'StatusCode': 4}", logs=lines)

    monkeypatch.setattr(DockerOperator, "execute", fails)
    task, instance = module("docker").ScorerContainer(task_id="score", image="scorer"), TaskInstance()

    with pytest.raises(AirflowFailException, match="exit code 4: gate degraded: 100 % of the rows"):
        task.execute({"ti": instance})
    assert instance.pushed["return_value"]["exit_code"] == 4


@pytest.mark.parametrize(
    ("code", "kind"), [(4, AirflowFailException), (75, AirflowException), (99, AirflowSkipException)]
)
def test_a_pod_ends_its_task_by_the_exit_code_of_the_job_s_container(
    code: int, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
    from kubernetes.client import models as k8s

    for silent in ("is_istio_enabled", "patch_already_checked", "process_pod_deletion"):
        monkeypatch.setattr(KubernetesPodOperator, silent, lambda *_, **__: False)
    for log in ("_read_pod_container_states", "_read_pod_events"):
        monkeypatch.setattr(KubernetesPodOperator, log, lambda *_, **__: None)
    ended = k8s.V1ContainerState(terminated=k8s.V1ContainerStateTerminated(exit_code=code))
    statuses = [
        k8s.V1ContainerStatus(name=name, state=state, image="", image_id="", ready=False, restart_count=0)
        for name, state in (("airflow-xcom-sidecar", k8s.V1ContainerState()), ("base", ended))
    ]
    pod = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(name="scorer"), status=k8s.V1PodStatus(phase="Failed", container_statuses=statuses)
    )
    task = module("kubernetes").ScorerPod(task_id="score", image="scorer", do_xcom_push=True, skip_on_exit_code=99)

    with pytest.raises(kind) as raised:
        task.cleanup(pod, pod, {"error": "what the job said"}, {"ti": TaskInstance()})
    assert type(raised.value) is kind
    assert code == 99 or "what the job said" in str(raised.value)


def test_the_pod_is_the_one_of_the_template_with_our_image_and_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

    hook = SimpleNamespace(
        is_in_cluster=False,
        get_namespace=lambda: None,
        get_xcom_sidecar_container_image=lambda: None,
        get_xcom_sidecar_container_resources=lambda: None,
        get_xcom_sidecar_container_security_context=lambda: None,
    )
    monkeypatch.setattr(KubernetesPodOperator, "hook", hook)
    pods = module("kubernetes")
    task = pods.ScorerPod(
        task_id="score",
        name="scorer",
        image="registry/scorer:1",
        arguments=["score", *pods.FLAGS],
        pod_template_file=str(pods.POD),
        do_xcom_push=True,
    )
    pod = task.build_pod_request_obj()
    base, sidecar = pod.spec.containers

    assert (base.image, base.args) == ("registry/scorer:1", ["score", "--summary=/airflow/xcom/return.json"])
    assert base.security_context.read_only_root_filesystem
    assert {mount.mount_path for mount in base.volume_mounts} == {"/tmp", "/airflow/xcom"}
    assert sidecar.volume_mounts[0].mount_path == "/airflow/xcom"
    assert pod.spec.termination_grace_period_seconds == 45
    assert pod.spec.security_context.run_as_user == 10001


@pytest.mark.parametrize(
    ("context", "keys"),
    [
        ({"params": {"partitions": ["region=eu"]}}, ["region=eu"]),
        ({"params": {}, "triggering_asset_events": {"listings": ["ds=2026-11-02", "ds=2026-11-01"]}},
         ["ds=2026-11-01", "ds=2026-11-02"]),
        ({"params": {}, "logical_date": "2026-11-24"}, ["ds=2026-11-24"]),
        ({"params": {}, "logical_date": None, "run_after": "2026-11-25"}, ["ds=2026-11-25"]),
    ],
)  # fmt: skip
def test_a_night_is_what_the_run_was_told_or_its_event_names_or_its_date_means(
    context: dict[str, Any], keys: list[str]
) -> None:
    import pendulum

    if events := context.get("triggering_asset_events"):
        events["listings"] = [SimpleNamespace(extra={"partition": key}) for key in events["listings"]]
    if text := context.get("logical_date"):
        context["logical_date"] = pendulum.parse(text)
    context["dag_run"] = SimpleNamespace(run_after=pendulum.parse(context.get("run_after", "2026-01-01")))

    assert module("tasks").nightly_partitions(context) == keys


def test_partitions_of_several_keys_are_named_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    import datetime

    monkeypatch.setenv("AIRFLOW_VAR_SCORER_PARTITIONS", "region=eu/ds={date} region=us/ds={day_before}")

    assert module("tasks").partitions_of(datetime.date(2026, 11, 1)) == [
        "region=eu/ds=2026-11-01",
        "region=us/ds=2026-10-31",
    ]


def test_too_many_partitions_are_refused_before_airflow_fails_on_them() -> None:
    with pytest.raises(ValueError, match=r"1025 partitions are more than 1024\. Nothing was started"):
        module("tasks").commands(["ds=x"] * 1025)


@pytest.mark.parametrize(
    ("macros", "parent"),
    [
        (SimpleNamespace(), ""),
        (
            SimpleNamespace(OpenLineageProviderPlugin=SimpleNamespace(lineage_parent_id=lambda ti: f"air/{ti}/1")),
            "air/t/1",
        ),
    ],
)
def test_the_job_learns_its_parent_where_airflow_speaks_openlineage(macros: object, parent: str) -> None:
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    rendered = {
        name: environment.from_string(template).render(macros=macros, task_instance="t")
        for name, template in module("tasks").LINEAGE.items()
    }

    assert rendered == {"OPENLINEAGE_PARENT_ID": parent, "OPENLINEAGE_ROOT_PARENT_ID": ""}, "no such macro: nothing"


def test_a_broken_dag_file_would_be_found() -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "scorer_nightly.py")],
        env={"AIRFLOW_SCORER_RETRIES": "three", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "invalid literal" in done.stderr
