"""Shards of one run: nobody waits for anybody, the last to finish publishes, and the rows are those of one run."""

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer import score_partition
from scorer.errors import Interrupted, PublishedByAnother, SettingsError, ShareDone, StagingGone
from scorer.intake.partitions import Unit
from scorer.objectstore import ObjectStore, join
from scorer.output.commit import Ledger
from scorer.output.profile import Effort
from scorer.output.staging import Staging, UnitResult
from scorer.run import plan as plans
from scorer.run import score_partition as story
from scorer.run import scoring
from scorer.run.backfill.dates import Range
from scorer.run.backfill.planning import Wanted, make_plan
from scorer.run.plan import dealt
from scorer.run.start import Start
from scorer.run.summary import Summary
from scorer.run.tools import Tools
from scorer.settings import Job, Shard, load
from tests.tiny import KEY, Market, listing, local_market

OWN = ["run_id", "scored_at"]
"""Columns that two runs of the same work differ in."""


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    """Twenty-two listings, of which one is refused and one degraded, in two files."""
    market = local_market(tmp_path, bundle)
    market.write([listing(20, listing_id=None), listing(21, image_uris=["img/none.jpg"])], "b.parquet")
    return market


def undisturbed(market: Market, **settings: Any) -> tuple[pa.Table, pa.Table]:
    """Predictions and quarantine of one run that did everything."""
    calm = Market(join(market.root, "calm"), market.bundle)
    places = {"listings": market.listings, "predictions": join(calm.root, "predictions")}
    score_partition(market.job(**{"rows_per_unit": 3, **places, **settings}))
    return without_own(calm.read()), without_own(calm.read("predictions.quarantine"))


def outcome(market: Market) -> tuple[pa.Table, pa.Table]:
    return without_own(market.read()), without_own(market.read("predictions.quarantine"))


def without_own(table: pa.Table) -> pa.Table:
    return table.drop_columns([name for name in OWN if name in table.column_names]).replace_schema_metadata(None)


def job(market: Market, shard: str | None, **settings: Any) -> Job:
    return market.job(**{"rows_per_unit": 3, "shard": shard, **settings})


def versions(market: Market) -> int:
    return len(Ledger(join(market.root, "predictions.scorer", KEY), KEY, market.store).read().record.versions)


@given(st.lists(st.integers(1, 5), max_size=40), st.integers(1, 12))
def test_every_unit_is_in_one_share_and_shares_differ_by_one_unit_at_most(rows: list[int], parts: int) -> None:
    units = [Unit(f"u{number}", "f", "e", 0, count) for number, count in enumerate(rows)]
    shares = [dealt(units, Shard(number, parts)) for number in range(parts)]
    assert sorted((unit for share in shares for unit in share), key=units.index) == units
    assert all(list(share) == sorted(share, key=units.index) for share in shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    sums = [sum(unit.rows for unit in share) for share in shares]
    assert max(sums) - min(sums) <= max(rows, default=0)


def test_three_shards_give_the_rows_of_one_run_and_the_last_one_publishes(market: Market) -> None:
    for shard in ("2/3", "0/3"):
        with pytest.raises(ShareDone, match=rf"Shard {shard} of .* is done: \d of 8 work units\. Other shards have"):
            score_partition(job(market, shard))
        assert versions(market) == 0
    manifest = score_partition(job(market, "1/3"))
    assert (manifest.units, manifest.units_done_earlier) == (8, 5)
    assert (manifest.counts.rows_in, manifest.counts.degraded, manifest.counts.quarantined) == (22, 1, 1)
    assert outcome(market) == undisturbed(market)


def test_a_shard_that_starts_again_scores_nothing_twice(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    saved, save = list[str](), Staging.save

    def noting(self: Staging, result: UnitResult) -> None:
        saved.append(result.unit.id)
        save(self, result)

    monkeypatch.setattr(Staging, "save", noting)
    for shard in ("0/3", "0/3", "1/3", "1/3"):
        with pytest.raises(ShareDone):
            score_partition(job(market, shard))
    score_partition(job(market, "2/3"))
    assert len(saved) == len(set(saved)) == 8
    for shard in ("0/3", "2/3"):  # whoever comes after the publish
        assert score_partition(job(market, shard)).run_id == market.read().column("run_id")[0].as_py()
    assert len(saved) == 8
    assert versions(market) == 1


def test_what_a_shard_that_never_came_would_have_done_is_done_without_one(market: Market) -> None:
    for shard in ("0/3", "2/3"):
        with pytest.raises(ShareDone):
            score_partition(job(market, shard))
    manifest = score_partition(job(market, None))
    assert manifest.units_done_earlier == 5
    assert outcome(market) == undisturbed(market)


def test_other_shares_may_be_taken_at_any_time(market: Market) -> None:
    with pytest.raises(ShareDone):
        score_partition(job(market, "1/2"))
    with pytest.raises(ShareDone):
        score_partition(job(market, "0/3"))
    with pytest.raises(ShareDone):
        score_partition(job(market, "1/3"))
    score_partition(job(market, "2/3"))
    assert outcome(market) == undisturbed(market)


def test_a_shard_without_a_unit_of_its_own_is_done_at_once(market: Market) -> None:
    with pytest.raises(ShareDone, match=r"Shard 8/9 of run .* is done: 0 of 8 work units"):
        score_partition(job(market, "8/9"))


def test_of_two_shards_that_both_find_all_finished_one_publishes_and_both_are_content(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ShareDone):
        score_partition(job(market, "0/2"))
    stage, faster = story._stage, list[str]()

    def overtaken(start: Start) -> Any:
        monkeypatch.setattr(story, "_stage", stage)
        faster.append(score_partition(job(market, "0/2")).start)
        return stage(start)

    monkeypatch.setattr(story, "_stage", overtaken)
    kept = Summary()
    manifest = score_partition(job(market, "1/2"), Tools(market.store), [kept])
    assert [manifest.start] == faster
    assert versions(market) == 1
    assert kept.account is not None
    assert (kept.account.outcome, kept.account.exit_code) == ("published already", 0)
    assert outcome(market) == undisturbed(market)


def test_a_shard_that_is_overtaken_by_other_work_says_so(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ShareDone):
        score_partition(job(market, "0/2"))
    stage = story._stage

    def overtaken(start: Start) -> Any:
        monkeypatch.setattr(story, "_stage", stage)
        score_partition(job(market, None, rows_per_unit=7))
        return stage(start)

    monkeypatch.setattr(story, "_stage", overtaken)
    with pytest.raises(PublishedByAnother):
        score_partition(job(market, "1/2"))


def test_the_outcome_of_a_share_is_no_failure_and_names_nothing_to_read(market: Market, tmp_path: Path) -> None:
    kept = Summary()
    with pytest.raises(ShareDone) as raised:
        score_partition(job(market, "0/2"), Tools(market.store), [kept])
    kept.write(str(tmp_path / "summary.json"))
    assert raised.value.exit_code == 0
    assert '"outcome": "share done", "exit_code": 0, "error": ""' in (tmp_path / "summary.json").read_text()
    assert '"uri": null' in (tmp_path / "summary.json").read_text()


def test_shards_whose_plan_was_removed_are_told_to_start_again(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    score = scoring.score

    def collected(todo: Any, start: Start, known: Any) -> Effort:
        effort = score(todo, start, known)
        start.discard()
        return effort

    monkeypatch.setattr(story, "score", collected)
    with pytest.raises(StagingGone, match=r"The plan of run .* was removed while shard 1/2 worked"):
        score_partition(job(market, "1/2"))
    monkeypatch.setattr(story, "score", score)
    for shard in ("1/2", "0/2"):
        try:
            score_partition(job(market, shard))
        except ShareDone:
            continue
    assert outcome(market) == undisturbed(market)


def test_shards_at_the_same_time_freeze_one_plan_and_publish_once(market: Market) -> None:
    ended = list[str]()

    def run(shard: str) -> None:
        try:
            ended.append(score_partition(job(market, shard)).outcome)
        except ShareDone:
            ended.append("share done")

    threads = [threading.Thread(target=run, args=[f"{number}/3"]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == 3
    assert "published" in ended
    assert versions(market) == 1
    assert outcome(market) == undisturbed(market)


def test_a_stopped_shard_keeps_its_finished_units(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Staging.save

    def stopping(self: Staging, result: UnitResult) -> None:
        save(self, result)
        raise Interrupted("Stopped by SIGTERM.")

    monkeypatch.setattr(Staging, "save", stopping)
    with pytest.raises(Interrupted):
        score_partition(job(market, "0/2"))
    monkeypatch.setattr(Staging, "save", save)
    with pytest.raises(ShareDone):
        score_partition(job(market, "0/2"))
    assert score_partition(job(market, "1/2")).units_done_earlier == 4
    assert outcome(market) == undisturbed(market)


def test_units_that_must_be_small_are_those_of_the_plan_from_the_first_start_on(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "UNIT_BYTES", 4 * 4 * 8 * 3)  # embeddings of four listings
    assert score_partition(market.job()).units == 6


@pytest.mark.parametrize("text", ["3/3", "1/0", "-1/3", "1 of 3", "1/3/5", "x/3", ""])
def test_what_is_no_shard_is_refused_with_examples(market: Market, text: str) -> None:
    with pytest.raises(SettingsError, match=r"shard: .*NUMBER/OF, counted from 0: 0/3, 1/3 and 2/3"):
        load(Job, environ={}, flags={**market.job().model_dump(), "shard": text})


def test_all_shards_together_ask_the_store_no_more_than_they_may(market: Market) -> None:
    wanted = job(market, None, speed={"fetch_concurrency": 32}, requests_together=256)
    assert [wanted.speed_of_one(parts).fetch_concurrency for parts in (1, 8, 9, 100, 1000)] == [32, 32, 28, 2, 1]


def test_shards_are_no_part_of_the_identity_of_the_work(market: Market) -> None:
    assert job(market, "0/3").fingerprint() == job(market, "2/3", requests_together=9).fingerprint()
    assert job(market, "0/3").fingerprint() == job(market, None).fingerprint()


def test_a_backfill_of_shards_is_refused(market: Market) -> None:
    wanted = job(market, "0/3").model_copy(update={"partition": None})
    with pytest.raises(SettingsError, match=r"shard: 0/3 is for one partition"):
        make_plan(wanted, Wanted(Range.of("2026-11-24", "2026-11-24"), "missing", 1, False), ObjectStore())
