"""`scorer versions`, `rollback` and `gc` as their users meet them. The children of tests/faults prove the rest."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from scorer.cli import app
from tests.output.versions import KEY, current, published


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two versions of a partition, and the environment of a job besides."""
    for number in (1, 2):
        published(str(tmp_path), f"run-{number}", [f"by {number}", "b"])
    monkeypatch.setenv("SCORER_LISTINGS", "s3://elsewhere/listings")
    monkeypatch.setenv("SCORER_SPEED__BATCH_IMAGES", "64")
    return ["--predictions", str(tmp_path / "predictions")]


def scorer(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    found = CliRunner().invoke(app, list(arguments))
    return found.exit_code, found.stdout, found.stderr


def test_versions_lists_what_readers_have_seen(places: list[str]) -> None:
    code, said, _ = scorer("versions", *places, "--partition", KEY)
    head, *lines = said.splitlines()
    assert code == 0
    assert head.split() == ["current", "since", "(UTC)", "run", "rows", "bundle", "by", "state"]
    assert [line.split()[2:] for line in lines] == [
        ["run-1", "2", "d" * 12, "run", "superseded"],
        ["run-2", "2", "d" * 12, "run", "current"],
    ]


def test_rollback_says_which_run_readers_see_and_gc_what_it_removed(places: list[str], tmp_path: Path) -> None:
    assert scorer("rollback", *places, "--partition", KEY)[:2] == (0, "run-1\n")
    assert current(str(tmp_path)) == "run-1"
    dry = scorer("gc", *places, "--older-than", "0s", "--keep-versions", "0", "--dry-run")
    real = scorer("gc", *places, "--older-than", "0s", "--keep-versions", "0")
    assert (dry[:2], dry[2].replace("would be removed", "removed")) == (real[:2], real[2])
    assert f"{KEY}: removed: 1 superseded version(s), 0 unpublished start(s), 0 plan(s)" in real[2]
    code, _, said = scorer("rollback", *places, "--partition", KEY, "--to", "run-2")
    assert code == 2
    assert "has no files any more (`scorer gc` removed them). Runs to go back to: run-1" in said


def test_what_was_never_published_cannot_be_rolled_back(places: list[str]) -> None:
    for command in ("rollback", "versions"):
        code, said, why = scorer(command, *places, "--partition", "ds=1999-01-01")
        assert (code, said) == (99, "")
        assert "NothingToDo: Nothing was ever published for ds=1999-01-01" in why
