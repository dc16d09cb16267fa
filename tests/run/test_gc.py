"""What is old and unused goes; what is published or at work stays."""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scorer.errors import SettingsError, StagingGone
from scorer.objectstore import join
from scorer.run.gc import Collected, collect
from scorer.run.rollback import rollback
from scorer.run.tools import Tools
from scorer.settings import Housekeeping, Job, load
from tests.conftest import Bucket
from tests.output.versions import KEY, STORE, current, ledger_of, listed, plan_of, published, staged_run, state_of

DAY = 86_400


@pytest.fixture(params=["local", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    found: Bucket = request.getfixturevalue("bucket")
    return found.uri


def gc(root: str, dry_run: bool = False, **settings: Any) -> list[Collected]:
    wanted = Housekeeping.model_validate({"predictions": join(root, "predictions"), **settings})
    return [found for found in collect(wanted, Tools(), dry_run) if isinstance(found, Collected)]


def age(root: str, days: float) -> None:
    """Everything in the state was last written so long ago."""
    for parent, _, names in os.walk(Path(root, "predictions.scorer")):
        for name in names:
            os.utime(Path(parent, name), (time.time() - days * DAY,) * 2)


def files(root: str) -> set[str]:
    """What lies in the state of the partition, but for the record."""
    return {info.uri.removeprefix(state_of(root) + "/") for info in STORE.list_all(state_of(root))} - {"published.json"}


def units(root: str, run_id: str) -> None:
    """A plan with two finished units, as a run leaves them."""
    for name in ("plan.json", "attempts/a.json", "units/u1.r.predictions.parquet", "units/u2.r.predictions.parquet"):
        STORE.put(join(state_of(root), plan_of(run_id), name), b"{}")


def test_what_is_younger_is_left_alone(root: str) -> None:
    published(root, "run-1", ["a"])
    units(root, "run-1")
    staged_run(root, "run-2", ["b"])
    before = files(root)
    (found,) = gc(root)
    assert (found.partition, found.uris) == (KEY, ())
    assert files(root) == before


def test_old_staging_goes_and_the_published_version_stays(root: str) -> None:
    published(root, "run-1", ["a"])
    units(root, "run-1")
    staged_run(root, "run-2", ["b"])
    (found,) = gc(root, older_than=timedelta(0))
    assert (found.versions, found.starts, found.plans) == (0, 1, 1)
    start = f"{plan_of('run-1')}/starts/run-1/"
    assert files(root) == {
        f"{start}manifest.json",
        f"{start}predictions/part-00000.parquet",
        f"{start}quarantine/part-00000.parquet",
    }
    assert found.uris[-1].endswith("plan.json"), "units never outlive their plan"
    assert listed(root).column("listing_id").to_pylist() == ["a"]


def test_superseded_versions_beyond_those_to_keep_go_but_for_their_manifests(root: str) -> None:
    for number in range(5):
        published(root, f"run-{number}", [f"by {number}"])
    (found,) = gc(root, older_than=timedelta(0), keep_versions=2)
    assert found.versions == 2
    left = {uri.split("/")[2] for uri in files(root) if uri.endswith(".parquet")}
    assert left == {"run-2", "run-3", "run-4"}
    assert {uri.split("/")[2] for uri in files(root) if uri.endswith("manifest.json")} == {f"run-{n}" for n in range(5)}
    versions = ledger_of(root).read().record.versions
    assert [version.removed_at is None for version in versions] == [False, False, True, True, True]
    assert gc(root, older_than=timedelta(0), keep_versions=2)[0].uris == ()
    wanted = Housekeeping(predictions=join(root, "predictions"), partition=KEY)
    with pytest.raises(SettingsError, match=r"run run-1 has no files any more \(`scorer gc` removed them\)"):
        rollback(wanted, "run-1", Tools())


def test_a_version_that_a_rollback_made_current_stays_whatever_its_age(tmp_path: Path) -> None:
    root = str(tmp_path)
    for number in range(4):
        published(root, f"run-{number}", [f"by {number}"])
    rollback(Housekeeping(predictions=join(root, "predictions"), partition=KEY), "run-0", Tools())
    gc(root, older_than=timedelta(0), keep_versions=0)
    assert current(root) == "run-0"
    assert {uri.split("/")[2] for uri in files(root) if uri.endswith(".parquet")} == {"run-0"}
    assert listed(root).column("listing_id").to_pylist() == ["by 0"]


def test_the_age_counts_from_the_last_write_of_a_plan_and_from_the_end_of_a_version(tmp_path: Path) -> None:
    root = str(tmp_path)
    published(root, "run-1", ["a"])
    units(root, "run-9")
    age(root, days=8)
    STORE.put(join(state_of(root), plan_of("run-9"), "units/u3.r.predictions.parquet"), b"just now")
    published(root, "run-2", ["b"])
    (found,) = gc(root, keep_versions=0)
    assert found.uris == (), "run-1 is old but was current until just now; the other plan is at work"
    age(root, days=8)
    (found,) = gc(root, keep_versions=0)
    assert (found.versions, found.plans) == (0, 1)


def test_a_dry_run_says_the_same_and_removes_nothing(root: str) -> None:
    for number in range(3):
        published(root, f"run-{number}", [f"by {number}"])
    units(root, "run-1")
    before, record = files(root), ledger_of(root).read()
    (dry,) = gc(root, dry_run=True, older_than=timedelta(0), keep_versions=0)
    assert files(root) == before
    assert ledger_of(root).read() == record
    (found,) = gc(root, older_than=timedelta(0), keep_versions=0)
    assert (dry.uris, dry.versions, dry.plans) == (found.uris, found.versions, found.plans)
    assert "would be removed: 2 superseded version(s)" in dry.sentence("would be removed")


def test_a_start_at_work_whose_staging_went_ends_restartably_and_publishes_nothing(root: str) -> None:
    published(root, "run-1", ["a"])
    _, manifest = staged_run(root, "run-2", ["b"])
    seen = ledger_of(root).read()
    gc(root, older_than=timedelta(0))
    with pytest.raises(StagingGone):
        ledger_of(root).publish(manifest, "m", seen)
    assert current(root) == "run-1"


def test_a_collection_that_was_killed_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(tmp_path)
    for number in range(3):
        published(root, f"run-{number}", [f"by {number}"])
    units(root, "run-0")
    delete, deleted = type(STORE).delete, list[str]()

    def dying(self: Any, uris: Any) -> None:
        for uri in uris:
            if "clock-" not in uri:
                deleted.append(uri)
            if len(deleted) == 3:
                raise KeyboardInterrupt
            delete(self, [uri])

    monkeypatch.setattr(type(STORE), "delete", dying)
    with pytest.raises(KeyboardInterrupt):
        gc(root, older_than=timedelta(0), keep_versions=0)
    monkeypatch.setattr(type(STORE), "delete", delete)
    (found,) = gc(root, older_than=timedelta(0), keep_versions=0)
    assert found.plans == 1
    assert {uri.split("/")[2] for uri in files(root) if uri.endswith(".parquet")} == {"run-2"}


def test_a_collection_repairs_what_a_run_left_behind_that_died_after_its_publish(root: str) -> None:
    published(root, "run-1", ["a"])
    published(root, "run-2", ["b"], expose=False)
    gc(root)
    assert listed(root).column("listing_id").to_pylist() == ["b"]


def test_half_written_files_go_with_their_age_and_foreign_files_stay(tmp_path: Path) -> None:
    root = str(tmp_path)
    published(root, "run-1", ["a"])
    litter = Path(root, "predictions", KEY, ".part-00000.parquet.0a.tmp")
    litter.write_bytes(b"half")
    by_hand = [Path(root, "predictions", KEY, "notes.md"), Path(state_of(root), "notes.md")]
    for path in by_hand:
        path.write_bytes(b"mine")
    (found,) = gc(root)
    assert (found.litter, litter.exists()) == (0, True), "its writer may be at work"
    (found,) = gc(root, older_than=timedelta(0), keep_versions=0)
    assert (found.litter, litter.exists()) == (1, False)
    assert all(path.exists() for path in by_hand)


def test_every_partition_is_collected_or_the_one_that_is_named(tmp_path: Path) -> None:
    for key in ("ds=2026-11-24", "region=eu/ds=2026-11-25"):
        STORE.put(join(str(tmp_path), "p.scorer", key, plan_of(key), "plan.json"), b"{}")
    for key in ("symlinks/predictions/ds=2026-11-24/manifest", "ds=2026-11-24/unknown/thing"):
        STORE.put(join(str(tmp_path), "p.scorer", key), b"not a plan")
    wanted = Housekeeping(predictions=join(str(tmp_path), "p"), older_than=timedelta(0))
    one = wanted.model_copy(update={"partition": "region=eu/ds=2026-11-25"})
    (dry,) = collect(one, Tools(), dry_run=True)
    assert isinstance(dry, Collected)
    assert dry.partition == "region=eu/ds=2026-11-25"
    found = [one for one in collect(wanted, Tools()) if isinstance(one, Collected)]
    assert [(one.partition, one.plans) for one in found] == [("ds=2026-11-24", 1), ("region=eu/ds=2026-11-25", 1)]
    assert STORE.exists(join(str(tmp_path), "p.scorer/symlinks/predictions/ds=2026-11-24/manifest"))
    assert STORE.exists(join(str(tmp_path), "p.scorer/ds=2026-11-24/unknown/thing"))


def test_ages_are_spelled_short_and_a_jobs_settings_are_passed_over() -> None:
    environ = {"SCORER_PREDICTIONS": "p", "SCORER_LISTINGS": "l", "SCORER_SPEED__BATCH_IMAGES": "3"}
    spelled = {"7d": 7 * DAY, "12h": DAY / 2, "30m": 1800, "90s": 90, "2w": 14 * DAY}
    for text, seconds in spelled.items():
        wanted = load(Housekeeping, environ=environ, flags={"older_than": text}, besides=Job)
        assert wanted.older_than.total_seconds() == seconds
    for wrong in ("soon", "-1d", "999999999999d", "99999w"):
        with pytest.raises(SettingsError, match="older_than"):
            load(Housekeeping, environ=environ, flags={"older_than": wrong}, besides=Job)
    with pytest.raises(SettingsError, match="keep_version: unknown setting"):
        load(Housekeeping, environ=environ, flags={"keep_version": "1"}, besides=Job)
