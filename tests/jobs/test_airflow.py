"""The DAGs, read as text: Airflow is not installed where these tests run. In a real one: `make airflow`."""

import ast
import sys
from pathlib import Path

import pytest
import yaml

from scorer.cli.app import app
from scorer.errors import NothingToDo, Transient
from scorer.settings import ENVIRONMENT_PREFIX, Job

FOLDER = Path(__file__).parents[2] / "jobs" / "airflow"
DAGS = sorted(FOLDER.glob("*.py"))
SHARED = FOLDER / "scorer_airflow"
FILES = [*DAGS, *sorted(SHARED.glob("*.py"))]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def constant(path: Path, name: str) -> object:
    """The literal value of a module-level name."""
    for node in tree(path).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if name in [getattr(target, "id", None) for target in targets]:
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path.name} does not define {name}")


def keywords(path: Path, name: str) -> list[ast.expr]:
    """What is given to keyword arguments of this name, anywhere in a file."""
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    return [keyword.value for call in calls for keyword in call.keywords if keyword.arg == name]


def options_of_score() -> set[str]:
    """The flags of `scorer score`, as its function names them."""
    (command,) = [
        command for command in app.registered_commands if command.callback and command.callback.__name__ == "score"
    ]
    assert command.callback is not None
    return set(command.callback.__annotations__)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scheduler_needs_airflow_and_nothing_of_ours(path: Path) -> None:
    imported = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(str(node.module).split(".")[0])

    assert imported - sys.stdlib_module_names <= {"airflow", "pendulum", "scorer_airflow"}


def test_there_is_a_nightly_dag_and_a_backfill_dag_and_what_they_share_is_not_parsed_for_dags() -> None:
    names = [ast.literal_eval(keywords(path, "dag_id")[0]) for path in DAGS]

    assert names == ["scorer_backfill", "scorer_nightly"]
    assert [path.stem for path in DAGS] == names
    assert (FOLDER / ".airflowignore").read_text(encoding="utf-8").splitlines() == ["scorer_airflow/"]


def test_the_exit_codes_are_those_of_the_errors() -> None:
    assert constant(SHARED / "outcomes.py", "NOTHING_TO_DO") == NothingToDo.exit_code
    assert constant(SHARED / "outcomes.py", "START_AGAIN") == Transient.exit_code


def test_the_environment_of_the_dags_is_none_of_the_job_s() -> None:
    prefix = constant(SHARED / "deployment.py", "PREFIX")

    assert isinstance(prefix, str)
    assert not prefix.startswith(ENVIRONMENT_PREFIX), "the job would refuse it as an unknown setting"


def test_every_flag_that_a_task_passes_is_one_of_score() -> None:
    given = {
        part.removeprefix("--").partition("=")[0].replace("-", "_")
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
        and isinstance(part := node.value, str)
        and part.startswith("--")
        and part != "--"
    }

    assert given == {"partition", "set", "force", "summary"}
    assert (given - {"set"}) | {"settings", "listings", "bundle", "predictions"} <= options_of_score()


def test_docker_s_job_stops_before_docker_kills_it() -> None:
    flags = constant(SHARED / "docker.py", "FLAGS")
    assert isinstance(flags, tuple)
    (grace,) = [float(flag.partition("grace_seconds=")[2]) for flag in flags if "grace_seconds=" in flag]

    assert grace < 10 < Job.model_fields["grace_seconds"].default


def test_the_pod_s_container_has_the_name_that_the_operator_looks_for() -> None:
    pod = yaml.safe_load((SHARED / "pod.yaml").read_text(encoding="utf-8"))
    (grace,) = keywords(SHARED / "kubernetes.py", "termination_grace_period")

    assert [container["name"] for container in pod["spec"]["containers"]] == ["base"]
    assert pod["spec"]["terminationGracePeriodSeconds"] == ast.literal_eval(grace)
