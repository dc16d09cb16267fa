"""Two bundles over one partition: how far they agree, and nothing is published."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from scorer import score_partition
from scorer.cli import app
from scorer.errors import BundleError, NothingToDo
from scorer.model.bundle import Bundle
from scorer.objectstore import join
from scorer.run.agreement import Movers, agreement, correlation, mean_ranks
from scorer.run.compare import OUT, compare
from scorer.run.tools import Tools
from scorer.telemetry import Reporter
from tests import tiny
from tests.tiny import KEY, Market, listing, local_market


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    """Twenty good listings, one without images."""
    made = local_market(tmp_path, bundle)
    made.write([listing(number) if number else listing(number, image_uris=[]) for number in range(20)])
    return made


class Silent(Reporter):
    """Nobody is told anything, or the test fails."""

    def event(self, name: str, text: str, **facts: Any) -> None:
        raise AssertionError(text)


def test_equal_scores_agree_wholly_and_reversed_ones_not_at_all() -> None:
    scores = np.arange(1.0, 1001.0)
    same, reversed_ = agreement(scores, scores), agreement(scores, scores[::-1].copy())
    assert [same.spearman, same.pearson] == pytest.approx([1, 1])
    assert same.mean_absolute_difference == same.mean_rank_change == same.largest_rank_change == 0
    assert set(same.within.values()) == {1.0}
    assert [(one.top, one.share) for one in same.overlaps] == [(10, 1.0), (100, 1.0)]
    assert [reversed_.spearman, reversed_.pearson] == pytest.approx([-1, -1])
    assert [one.common for one in reversed_.overlaps] == [0, 0]
    assert reversed_.largest_rank_change == pytest.approx(0.999)
    assert reversed_.mean_difference == 0


def test_a_bent_scale_keeps_the_ranks_and_not_the_scores() -> None:
    scores = np.linspace(1.0, 5.0, 50)
    found = agreement(scores, scores**3)
    assert found.spearman == pytest.approx(1)
    assert found.pearson is not None
    assert found.pearson < 0.97
    assert found.mean_rank_change == 0


def test_shares_count_listings_that_moved_by_no_more_than_that_share_of_the_first_score() -> None:
    found = agreement(np.array([100.0, 100.0, -100.0, 100.0, 0.0]), np.array([101.0, 104.0, -109.0, 150.0, 0.0]))
    assert found.within == {0.01: 0.4, 0.05: 0.6, 0.10: 0.8}


def test_equal_values_share_their_mean_rank_and_constants_correlate_with_nothing() -> None:
    assert mean_ranks(np.array([5.0, 1.0, 5.0, 3.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
    assert correlation(np.ones(3), np.arange(3.0)) is None


def test_the_farthest_movers_are_kept_whatever_order_they_come_in() -> None:
    random = np.random.default_rng(2)
    first, second = random.random(1000), random.random(1000)
    first[7] = np.nan
    movers = Movers(5)
    for start in range(0, 1000, 90):
        rows = slice(start, start + 90)
        movers.add([f"home-{n}" for n in range(1000)][rows], first[rows], second[rows])
    distance = np.nan_to_num(np.abs(second - first), nan=-1)
    farthest = [f"home-{n}" for n in np.argsort(-distance)[:5]]
    assert [mover["listing_id"] for mover in movers.found] == farthest
    assert movers.found[0]["difference"] == pytest.approx(movers.found[0]["b"] - movers.found[0]["a"])


def test_a_bundle_agrees_with_itself_and_its_scores_are_those_of_a_run(market: Market, other: str) -> None:
    out = join(market.root, "out/both.parquet")
    found = compare(market.job(rows_per_unit=7), (market.bundle, other), Tools(market.store), out)
    assert sorted(os.listdir(market.root)) == ["listings", "out"]
    assert (found.a.counts.scored, found.a.counts.degraded, found.b.counts.degraded) == (19, 1, 1)
    assert found.agreement is not None
    assert found.agreement.rows == 20
    assert found.agreement.mean_absolute_difference > 0
    table = pq.read_table(io.BytesIO(market.store.get(out).data))
    assert table.schema.equals(OUT)
    assert table.column("status_a").to_pylist() == ["degraded", *["scored"] * 19]
    for name, bundle in (("a", market.bundle), ("b", other)):
        score_partition(market.job(bundle=bundle, rows_per_unit=7))
        published = market.read()
        assert table.column("listing_id").equals(published.column("listing_id"))
        mine, theirs = (one.to_numpy() for one in (table.column(f"prediction_{name}"), published.column("prediction")))
        assert np.abs(mine - theirs).max() <= 1e-5 * tiny.SCALE
    farthest = table.sort_by([("difference", "ascending")])
    ends = {farthest.column("listing_id")[0].as_py(), farthest.column("listing_id")[-1].as_py()}
    assert found.movers[0]["listing_id"] in ends
    same = compare(market.job(), (market.bundle, market.bundle), Tools(market.store))
    assert same.agreement is not None
    assert same.agreement.mean_absolute_difference == 0


def test_rows_that_a_bundle_cannot_score_are_left_out_and_counted(
    market: Market, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scorer.model.predictor import Predictor

    outputs = Predictor.outputs

    def poisoned(self: Predictor, *inputs: object) -> dict[str, np.ndarray]:
        scores = outputs(self, *inputs)  # type: ignore[arg-type]  # passed on as they came
        if self.bundle.uri == other and len(scores["prediction"]) == 20:
            scores["prediction"][:3] = np.nan
        return scores

    monkeypatch.setattr(Predictor, "outputs", poisoned)
    found = compare(market.job(), (market.bundle, other), Tools(market.store))
    assert found.agreement is not None
    assert (found.agreement.rows, found.a.counts.failed, found.b.counts.failed) == (17, 0, 3)
    assert not {"home-0", "home-1", "home-2"} & {mover["listing_id"] for mover in found.movers}


def test_both_score_the_same_units_also_where_memory_lets_one_of_them_have_fewer_rows(
    market: Market, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a bundle's embeddings take decides; theirs may differ."""
    known = Bundle.rows_within

    def limited(self: Bundle, most_bytes: int, wanted: int) -> int:
        return known(self, most_bytes, min(wanted, 3 if self.uri == other else 7))

    monkeypatch.setattr(Bundle, "rows_within", limited)
    found = compare(market.job(), (market.bundle, other), Tools(market.store))
    assert found.agreement is not None
    assert found.agreement.rows == 20


def test_both_bundles_are_looked_at_before_one_of_them_scores(market: Market) -> None:
    with pytest.raises(BundleError):
        compare(market.job(), (market.bundle, market.root + "/none"), Tools(market.store, Silent()))


@pytest.mark.parametrize("command", [["compare", "--bundle"], ["explain", "--listing", "home-1"]])
def test_where_a_job_keeps_its_state_is_no_matter_to_who_publishes_nothing(
    command: list[str], market: Market, tmp_path: Path
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"listings: {market.listings}\npartition: {KEY}\nstate: s3://state/scorer\nquarantine: s3://q/r\n")
    bundles = [market.bundle, "--bundle", market.bundle] if command[0] == "compare" else ["--bundle", market.bundle]
    said = CliRunner().invoke(app, [*command, *bundles, "--job", str(job)])
    assert said.exit_code == 0, said.output


def test_nothing_is_written_where_there_is_nothing_to_compare(market: Market, other: str) -> None:
    out = join(market.root, "both.parquet")
    with pytest.raises(NothingToDo):
        compare(market.job(partition="ds=1999-01-01"), (market.bundle, other), Tools(market.store), out)
    assert sorted(os.listdir(market.root)) == ["listings"]


def test_the_command_prints_tables_or_json_and_wants_two_bundles(market: Market, other: str) -> None:
    market.write([listing(0, listing_id="\x1b[31mred"), *(listing(number) for number in range(1, 12))])
    one = ["compare", "--listings", market.listings, "--partition", KEY, "--bundle", market.bundle]
    found = CliRunner().invoke(app, [*one, "--bundle", other])
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["bundle", "predicts", "rows", "scored", "degraded", "failed", "quarantined", "seconds"]
    assert lines[1].split()[:5] == ["a", "tiny", "1", "price", "12"]
    assert any(line.startswith("  rank correlation (Spearman)") for line in lines)
    assert "\x1b" not in found.stdout
    plain = json.loads(CliRunner().invoke(app, [*one, "--bundle", other, "--json"]).stdout)
    assert plain["agreement"]["rows"] == 12
    assert plain["a"]["digest"] != plain["b"]["digest"]
    refused = CliRunner().invoke(app, one)
    assert refused.exit_code == 2
    assert "--bundle was given 1 time(s), and two are compared" in refused.stderr


def test_the_file_of_both_scores_holds_no_row_twice(market: Market, other: str) -> None:
    market.write([listing(number) for number in range(30)], "b.parquet")
    found = compare(
        market.job(rows_per_unit=11), (market.bundle, other), Tools(market.store), join(market.root, "o.parquet")
    )
    table = pq.read_table(io.BytesIO(market.store.get(join(market.root, "o.parquet")).data))
    assert found.a.counts.quarantined == 40  # both copies of the twenty ids that are there twice
    assert sorted(table.column("listing_id").to_pylist()) == sorted(f"home-{n}" for n in range(20, 30))
