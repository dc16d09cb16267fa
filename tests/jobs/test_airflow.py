"""The nightly DAG, read as text: Airflow is not installed where these tests run."""

import ast
import sys
from pathlib import Path

from scorer.errors import NothingToDo, Transient
from scorer.settings import Job

DAG_FILE = Path(__file__).parents[2] / "jobs" / "airflow" / "scorer_nightly.py"
TREE = ast.parse(DAG_FILE.read_text(encoding="utf-8"))


def keyword_values(name: str) -> list[object]:
    """The literal values given to keyword arguments of this name, anywhere in the file."""
    given = [keyword.value for node in ast.walk(TREE) if isinstance(node, ast.Call) for keyword in node.keywords
             if keyword.arg == name]  # fmt: skip
    return [ast.literal_eval(value) for value in given]


def constant(name: str) -> object:
    """The literal value of a module-level name."""
    for node in TREE.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{DAG_FILE.name} does not define {name}")


def test_the_dag_and_its_task_have_their_names() -> None:
    assert keyword_values("dag_id") == ["scorer_nightly"]
    assert keyword_values("task_id") == ["score"]


def test_the_scheduler_needs_airflow_and_nothing_of_ours() -> None:
    imported = set()
    for node in ast.walk(TREE):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])

    assert imported - sys.stdlib_module_names == {"airflow", "pendulum"}


def test_the_exit_codes_are_those_of_the_errors() -> None:
    assert constant("NOTHING_TO_DO") == NothingToDo.exit_code
    assert constant("START_AGAIN") == Transient.exit_code


def test_every_flag_is_a_setting_of_the_job() -> None:
    (arguments,) = keyword_values("arguments")
    assert isinstance(arguments, list)
    assert arguments[0] == "score"
    flags = {argument.partition("=")[0].removeprefix("--").replace("-", "_") for argument in arguments[1:]}

    assert flags <= set(Job.model_fields)
    assert {name for name, field in Job.model_fields.items() if field.is_required()} <= flags
