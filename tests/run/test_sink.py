"""The whole job into a table: the same rows as in files, the same repairs, and the next night takes over from it."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.table import Transaction

from scorer import score_partition, tables
from scorer.errors import SettingsError, TableGone
from scorer.objectstore import join
from scorer.output.manifest import RunManifest
from scorer.run.audience import audience
from scorer.run.backfill.dates import Range
from scorer.run.backfill.planning import Wanted, make_plan
from scorer.run.backfill.running import backfill
from scorer.run.doctor.table import findings
from scorer.run.tools import Tools
from scorer.telemetry import Reporter
from tests.catalogs import SPELLED, Lake, enter, lake
from tests.dying import Died, dies
from tests.tiny import KEY, Market, listing, local_market

NEXT = "ds=2026-11-25"


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    return local_market(tmp_path, bundle)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    return enter(lake(tmp_path, str(tmp_path)), monkeypatch)


def score(market: Market, **settings: Any) -> RunManifest:
    return score_partition(market.job(**{"sink": SPELLED, **settings}))


def publish_without_showing(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run dies right before its commit to the table."""
    dies(monkeypatch, Transaction, "commit_transaction", after=False)
    with pytest.raises(Died):
        score(market)


def rows(made: Lake, key: str = KEY) -> list[tuple[str, float]]:
    found = made.rows(f"ds = '{key.removeprefix('ds=')}'").select(["listing_id", "prediction"]).to_pylist()
    return [(row["listing_id"], row["prediction"]) for row in found]


def test_a_table_gets_the_rows_that_files_would_have(market: Market, made: Lake) -> None:
    score_partition(market.job(predictions=join(market.root, "files")))
    manifest = score(market)
    files = market.read("files")
    assert [listing for listing, _ in rows(made)] == files.column("listing_id").to_pylist()
    assert [score for _, score in rows(made)] == pytest.approx(files.column("prediction").to_pylist())
    assert manifest.sink == SPELLED
    assert manifest.predictions[0].listed == f"{SPELLED}/{KEY}/part-00000.parquet"
    assert score(market).run_id == manifest.run_id, "published already: nothing was done"
    assert len(made.table.snapshots()) == 1


def test_a_run_that_dies_before_its_commit_is_completed_by_the_next_start_without_scoring(
    market: Market, made: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_without_showing(market, monkeypatch)
    assert made.table.current_snapshot() is None
    score(market)
    assert len(rows(made)) == 20
    assert len(made.table.snapshots()) == 1


def test_a_run_whose_table_is_dropped_before_its_commit_says_what_to_do_and_that_works(
    market: Market, made: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_without_showing(market, monkeypatch)
    made.drop()
    with pytest.raises(TableGone, match=rf"{KEY} is published, but the table lake\.shop\.predictions .* --force"):
        score(market)
    score(market, force=True)
    assert len(rows(made)) == 20


def test_other_work_makes_a_dropped_table_again(market: Market, made: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_without_showing(market, monkeypatch)
    made.drop()
    market.write([listing(number) for number in range(7)])
    score(market)
    assert len(rows(made)) == 7


def test_a_backfill_names_a_dropped_table_and_gives_the_other_days_their_turn(
    market: Market, made: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_without_showing(market, monkeypatch)
    made.drop()
    market.write([listing(number) for number in range(7)], key=NEXT)
    job, said = market.job(sink=SPELLED, partition=None), io.StringIO()
    plan = make_plan(job, Wanted(Range.of("2026-11-24", "2026-11-25")), market.store)
    (outcome,) = backfill(job, plan, Tools(market.store, Reporter(said, people=True)))
    assert (outcome.partition, outcome.exit_code, len(rows(made, NEXT))) == (NEXT, 0, 7)
    assert f"{KEY} is published, but the table lake.shop.predictions that shall show it" in said.getvalue()


def test_rows_are_carried_forward_out_of_a_table(market: Market, made: Lake) -> None:
    first = score(market, reuse="rows")
    market.write([listing(number) for number in range(18)] + [listing(90), listing(91)], key=NEXT)
    second = score(market, reuse="rows", partition=NEXT)
    assert (second.expected and second.expected.rows_carried) == 18
    carried = made.rows("ds = '2026-11-25'").column("carried_from_run").to_pylist()
    assert carried == [first.run_id] * 18 + [None] * 2


def test_the_doctor_says_what_the_catalog_says(market: Market, made: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    job = market.job(sink=SPELLED)
    (found,) = findings(job)
    assert (found.verdict, found.text) == ("ok", "lake.shop.predictions is not there yet; the first run makes it")
    score(market)
    (found,) = findings(job)
    assert found.text.endswith("shop/predictions, 1 snapshot(s)")
    assert not list(findings(market.job()))
    monkeypatch.setitem(sys.modules, "pyiceberg.catalog", None)
    tables.catalog.cache_clear()
    with pytest.raises(SettingsError, match=r'pip install "scorer\[iceberg\]"'):
        list(findings(job))


def test_lineage_names_the_table(market: Market, made: Lake) -> None:
    told = Path(market.root) / "lineage.jsonl"
    job = market.job(sink=SPELLED, lineage={"to": str(told)})
    score_partition(job, observers=audience(job))
    last = json.loads(told.read_text().splitlines()[-1])
    assert next((one["namespace"], one["name"]) for one in last["outputs"]) == ("iceberg:lake", "shop.predictions")


def test_no_secret_of_the_catalog_reaches_manifest_or_record(
    market: Market, made: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = Lake({**made.environ, "PYICEBERG_CATALOG__LAKE__TOKEN": "hush-hush"})
    enter(secret, monkeypatch)
    score(market)
    state = Path(f"{market.root}/predictions.scorer")
    texts = [path.read_text() for path in state.rglob("*.json")]
    assert len(texts) >= 3, "plan, manifest, record"
    assert not any("hush-hush" in text or "catalog.db" in text for text in texts)
    assert json.loads((state / KEY / "published.json").read_text())["versions"][0]["sink"] == SPELLED


def test_a_table_that_does_not_fit_is_told_before_anything_is_scored(market: Market, made: Lake) -> None:
    score(market)
    market.write([listing(1)], key="region=eu/ds=2026-11-24")
    with pytest.raises(SettingsError, match=r"it is partitioned by identity of ds; .* needs ds, region, as it is"):
        score(market, partition="region=eu/ds=2026-11-24")
    assert not (Path(market.root) / "predictions.scorer/region=eu").exists()
