"""The Kubernetes manifests: against Kubernetes' own schemas, and against what the job does."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonpatch
import kubernetes_validate
import pytest
import yaml

from scorer import errors
from scorer.settings import Job, load

JOBS = Path(__file__).parents[2] / "jobs"
FOLDER = JOBS / "kubernetes"
SUCCESS = 0
KILLED = 137


def documents(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def varied(variant: str) -> dict[str, Any]:
    """The nightly CronJob as `kubectl kustomize` would print it for a variant."""
    nightly: dict[str, Any] = documents(FOLDER / "base" / "nightly.yaml")[0]
    for patch in documents(FOLDER / variant / "kustomization.yaml")[0].get("patches", []):
        assert patch["target"] == {"kind": nightly["kind"], "name": nightly["metadata"]["name"]}
        nightly = jsonpatch.apply_patch(nightly, documents(FOLDER / variant / patch["path"])[0])
    return nightly


MANIFESTS = {
    "nightly": varied("base"),
    "nightly on a GPU": varied("gpu"),
    "nightly on spot nodes": varied("spot"),
    "backfill": documents(FOLDER / "backfill.yaml")[0],
    "shards": documents(FOLDER / "shards.yaml")[0],
    "service account": documents(FOLDER / "base" / "service-account.yaml")[0],
    "Airflow's pod": documents(JOBS / "airflow" / "scorer_airflow" / "pod.yaml")[0],
}
WORK = {name: manifest for name, manifest in MANIFESTS.items() if manifest["kind"] != "ServiceAccount"}
BATCH = {name: manifest for name, manifest in WORK.items() if manifest["kind"] != "Pod"}


def job_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (
        manifest["spec"]["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else manifest["spec"]
    )
    return found


def pod_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"] if manifest["kind"] == "Pod" else job_spec(manifest)["template"]["spec"]
    return found


def rules(manifest: dict[str, Any]) -> Iterator[tuple[str, list[int]]]:
    """Action and exit codes of each rule that looks at exit codes."""
    for rule in job_spec(manifest)["podFailurePolicy"]["rules"]:
        if codes := rule.get("onExitCodes"):
            yield rule["action"], codes["values"]


def exit_codes() -> set[int]:
    """Every code that the job can end with, but 0."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ScorerError)]
    return {kind.exit_code for kind in kinds} - {SUCCESS}


@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_knows_every_field_of_it(name: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], kubernetes_validate.latest_version(), strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    manifest = jsonpatch.apply_patch(
        MANIFESTS["backfill"], [{"op": "move", "from": "/spec/parallelism", "path": "/spec/paralelism"}]
    )

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", BATCH)
def test_every_exit_code_has_its_one_rule(name: str) -> None:
    ruled = [code for _, codes in rules(BATCH[name]) for code in codes]

    assert len(ruled) == len(set(ruled))
    assert exit_codes() <= set(ruled)
    assert SUCCESS not in ruled


@pytest.mark.parametrize("name", BATCH)
def test_what_may_end_well_is_started_again_and_nothing_else_is(name: str) -> None:
    action = {code: action for action, codes in rules(BATCH[name]) for code in codes}

    assert action[errors.Transient.exit_code] == "Count"
    assert action[KILLED] == "Count"
    others = exit_codes() - {errors.Transient.exit_code}
    assert {action[code] for code in others} <= {"FailJob", "FailIndex"}


def test_in_a_backfill_a_bad_night_fails_alone_and_a_bad_setting_fails_all() -> None:
    action = {code: action for action, codes in rules(MANIFESTS["backfill"]) for code in codes}

    assert action[errors.SettingsError.exit_code] == "FailJob"
    for kind in (errors.InputError, errors.AuditError, errors.PublishedByAnother, errors.NothingToDo):
        assert action[kind.exit_code] == "FailIndex"


def test_there_are_as_many_shards_as_pods_and_one_that_fails_ends_all() -> None:
    spec, (container,) = MANIFESTS["shards"]["spec"], pod_spec(MANIFESTS["shards"])["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}

    assert spec["completionMode"] == "Indexed"
    assert int(environment["SHARDS"]) == spec["completions"]
    assert container["args"][0].endswith('--shard "$JOB_COMPLETION_INDEX/$SHARDS"')
    assert spec["maxFailedIndexes"] == 0
    action = {code: action for action, codes in rules(MANIFESTS["shards"]) for code in codes}
    assert set(action.values()) == {"FailJob", "Count"}
    assert errors.ShareDone.exit_code == SUCCESS, "a pod whose share is done has succeeded"


@pytest.mark.parametrize("name", BATCH)
def test_a_node_that_goes_away_counts_against_nobody(name: str) -> None:
    first = job_spec(BATCH[name])["podFailurePolicy"]["rules"][0]

    assert first == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}


@pytest.mark.parametrize("name", BATCH)
def test_the_rules_are_ones_that_the_api_server_takes(name: str) -> None:
    """What the schemas do not say: sorted codes, the container's name, restartPolicy, FailIndex only where indexed."""
    spec, pod = job_spec(BATCH[name]), pod_spec(BATCH[name])

    assert pod["restartPolicy"] == "Never"
    for rule in spec["podFailurePolicy"]["rules"]:
        if codes := rule.get("onExitCodes"):
            assert codes["values"] == sorted(codes["values"])
            assert codes["containerName"] == pod["containers"][0]["name"]
        assert rule["action"] != "FailIndex" or "backoffLimitPerIndex" in spec
    assert spec.get("maxFailedIndexes", 0) <= spec.get("completions", 0)


@pytest.mark.parametrize("name", WORK)
def test_kubernetes_waits_longer_than_the_job_needs_to_stop(name: str) -> None:
    settings = load(Job, file=FOLDER / "base" / "job.yaml", environ={})

    assert pod_spec(WORK[name])["terminationGracePeriodSeconds"] >= settings.grace_seconds + 10


@pytest.mark.parametrize("name", WORK)
def test_it_runs_as_nobody_in_particular_on_a_root_that_it_cannot_write_to(name: str) -> None:
    pod = pod_spec(WORK[name])
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001, "the Dockerfile's USER"
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    temporary = next(mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/tmp")
    assert next(volume for volume in pod["volumes"] if volume["name"] == temporary)["emptyDir"]["sizeLimit"]


@pytest.mark.parametrize("name", WORK)
def test_it_asks_for_what_it_uses_and_for_no_memory_that_it_could_lose(name: str) -> None:
    (container,) = pod_spec(WORK[name])["containers"]
    resources = container["resources"]

    assert resources["requests"]["cpu"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]


@pytest.mark.parametrize("name", WORK)
def test_it_has_the_role_of_the_service_account(name: str) -> None:
    account = MANIFESTS["service account"]

    assert pod_spec(WORK[name])["serviceAccountName"] == account["metadata"]["name"]
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].startswith("arn:aws:iam::")


@pytest.mark.parametrize("name", BATCH)
def test_the_settings_that_it_names_are_the_ones_that_are_generated(name: str) -> None:
    pod = pod_spec(BATCH[name])
    (generated,) = documents(FOLDER / "base" / "kustomization.yaml")[0]["configMapGenerator"]
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "job"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "job"]

    assert volume["configMap"]["name"] == generated["name"]
    (script,) = pod["containers"][0]["args"]
    assert f"--job {mount['mountPath']}/{generated['files'][0]} " in script
    assert script.startswith("exec scorer score "), "a shell in between would keep SIGTERM for itself"


def test_all_tries_of_a_night_lie_within_its_day() -> None:
    nightly = MANIFESTS["nightly"]["spec"]
    minute, hour = (int(field) for field in nightly["schedule"].split()[:2])
    seconds = nightly["startingDeadlineSeconds"] + nightly["jobTemplate"]["spec"]["activeDeadlineSeconds"]

    assert timedelta(hours=hour, minutes=minute, seconds=seconds) < timedelta(days=1)
    assert nightly["timeZone"] == "Etc/UTC"
    assert nightly["concurrencyPolicy"] == "Forbid"


def test_the_gpu_variant_takes_the_gpu_image_and_asks_for_a_gpu() -> None:
    (image,) = documents(FOLDER / "gpu" / "kustomization.yaml")[0]["images"]
    (container,) = pod_spec(MANIFESTS["nightly on a GPU"])["containers"]

    assert image == {"name": container["image"], "newName": "scorer", "newTag": "gpu"}
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_a_night_is_scored_alike_by_schedule_by_backfill_and_by_shards() -> None:
    nightly, backfill, shards = (pod_spec(MANIFESTS[name]) for name in ("nightly", "backfill", "shards"))
    own = {"args", "env", "image"}

    for other in (backfill, shards):
        assert {**nightly, "containers": []} == {**other, "containers": []}
        one, two = ({k: v for k, v in pod["containers"][0].items() if k not in own} for pod in (nightly, other))
        assert one == two


def ray_pods() -> list[dict[str, Any]]:
    """Of the head, then of the workers."""
    cluster = documents(FOLDER / "rayjob.yaml")[0]["spec"]["rayClusterSpec"]
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def test_the_ray_jobs_pods_are_ones_that_kubernetes_knows_and_run_as_nobody() -> None:
    for spec in ray_pods():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}, "spec": spec}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
        assert spec["securityContext"] == pod_spec(MANIFESTS["nightly"])["securityContext"]
        (container,) = spec["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]


def test_the_ray_jobs_command_is_one_of_ours_and_its_workers_fit_their_pods() -> None:
    spec = documents(FOLDER / "rayjob.yaml")[0]["spec"]
    words = spec["entrypoint"].split()
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    flags = dict(text.split("=") for text in words if text.startswith("ray."))
    wanted = load(Job, file=FOLDER / "base" / "job.yaml", environ={}, flags={**flags, "engine": "ray"}).ray

    assert words[:2] == ["scorer", "score"]
    assert words[words.index("--engine") + 1] == "ray"
    assert group["replicas"] == wanted.workers
    assert int(ray_pods()[1]["containers"][0]["resources"]["limits"]["cpu"]) == wanted.cores
    assert spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
