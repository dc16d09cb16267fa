from datetime import UTC, datetime

import pytest

from scorer.objectstore import ObjectStore, join
from scorer.output import earlier
from scorer.output.commit import Ledger
from scorer.output.distribution import Distribution, Distributions
from scorer.output.manifest import BundleRef, RunManifest
from scorer.output.profile import Profile
from scorer.output.tally import Tally

STORE = ObjectStore()


def publish(state: str, partition: str, rows: int = 10) -> None:
    """A run that published no file; its symlink manifest is written as the exposure would."""
    now = datetime.now(UTC)
    manifest = RunManifest(
        run_id=f"run-{rows}",
        start=f"start-{rows}",
        partition=partition,
        listings="listings",
        plan_digest=f"plan-{rows}",
        bundle=BundleRef(uri="b", name="b", version="1", digest="d"),
        counts=Tally(rows_in=rows, scored=rows),
        predictions=(),
        quarantine=(),
        units=1,
        units_done_earlier=0,
        started_at=now,
        finished_at=now,
        seconds=1.0,
        stages={},
        profile=Profile(),
        settings={},
        versions={},
        distributions=Distributions(images=Distribution(edges=(1.0,), counts=(3, rows - 3))),
    )
    place = join(state, partition) if partition else state
    uri = join(place, f"{rows}.json")
    STORE.put(uri, manifest.model_dump_json().encode())
    ledger = Ledger(place, partition, STORE)
    ledger.publish(manifest, uri, ledger.read())
    STORE.put(join(state, "symlinks", "predictions", *([partition] if partition else []), "manifest"), b"")


def test_a_night_is_compared_with_the_one_before_and_with_a_week_ago(root: str) -> None:
    for day in (10, 15, 16, 17, 18, 22, 24, 25):
        publish(root, f"ds=2026-11-{day}")
    assert earlier.neighbours(root, "ds=2026-11-24", STORE) == ("ds=2026-11-22", "ds=2026-11-17")
    assert earlier.neighbours(root, "ds=2026-11-23", STORE) == ("ds=2026-11-22", "ds=2026-11-16")
    assert earlier.neighbours(root, "ds=2026-11-22", STORE) == ("ds=2026-11-18", "ds=2026-11-15")
    assert earlier.neighbours(root, "ds=2026-11-17", STORE) == ("ds=2026-11-16", "ds=2026-11-10")
    assert earlier.neighbours(root, "ds=2026-11-10", STORE) == ()


def test_the_night_before_may_be_the_one_a_week_ago(root: str) -> None:
    publish(root, "ds=2026-11-17")
    assert earlier.neighbours(root, "ds=2026-11-24", STORE) == ("ds=2026-11-17",)


def test_only_partitions_under_the_same_steps_are_neighbours(root: str) -> None:
    for key in ("region=eu/ds=2026-11-23", "region=us/ds=2026-11-22", "ds=2026-11-23"):
        publish(root, key)
    assert earlier.neighbours(root, "region=us/ds=2026-11-24", STORE) == ("region=us/ds=2026-11-22",)
    assert earlier.neighbours(root, "ds=2026-11-24", STORE) == ("ds=2026-11-23",)


def test_numbers_in_keys_are_ordered_by_value(root: str) -> None:
    for hour in (2, 9, 10):
        publish(root, f"hour={hour}")
    assert earlier.neighbours(root, "hour=11", STORE) == ("hour=10",)
    assert earlier.neighbours(root, "hour=10", STORE) == ("hour=9",)


def test_what_readers_see_now_is_what_counts(root: str) -> None:
    publish(root, "ds=2026-11-23", rows=10)
    publish(root, "ds=2026-11-23", rows=20)
    found = earlier.current(root, "ds=2026-11-23", STORE)
    assert found is not None
    assert (found.run_id, found.counts.rows_in, found.bundle_digest) == ("run-20", 20, "d")
    assert found.distributions.images.counts == (3, 17)
    assert earlier.current(root, "ds=2026-11-22", STORE) is None


@pytest.mark.parametrize("partition", ["", "ds=2026-11-23"])
def test_a_version_of_the_partition_itself_is_read_from_its_record(root: str, partition: str) -> None:
    publish(root, partition)
    seen = Ledger(join(root, partition) if partition else root, partition, STORE).read()
    assert seen.record.current is not None
    assert earlier.published(seen.record.current, STORE).counts.rows_in == 10
