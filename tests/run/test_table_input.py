"""The whole job on listings in a table: the scores of the same listings in files, and the snapshot on record."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.table import Table

from scorer import score_partition
from scorer.errors import SettingsError
from scorer.objectstore import join
from scorer.output.manifest import RunManifest
from scorer.run.audience import audience
from scorer.run.backfill.dates import Range, partitions_within
from scorer.tables import catalog
from tests.catalogs import enter, lake
from tests.tiny import KEY, SCHEMA, Market, listing, local_market

LISTINGS = "iceberg:lake.shop.listings"


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    return local_market(tmp_path, bundle)


@pytest.fixture
def table(tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch) -> Table:
    """The market's listings as a table, their images named in full."""
    enter(lake(tmp_path, str(tmp_path)), monkeypatch)
    catalog("lake").create_namespace("shop")
    day = pa.scalar(date(2026, 11, 24), pa.date32())
    columns = SCHEMA.append(pa.field("ds", pa.date32()))
    made = catalog("lake").create_table("shop.listings", columns)
    with made.update_spec() as spec:
        spec.add_identity("ds")
    made.append(pa.Table.from_pylist(homes(market), schema=SCHEMA).append_column("ds", pa.repeat(day, 20)))
    return made


def homes(market: Market, number: int = 20) -> list[dict[str, Any]]:
    """As `listing` makes them, but with URIs that mean the same from everywhere."""
    rows = [listing(one) for one in range(number)]
    return [{**row, "image_uris": [join(market.listings, uri) for uri in row["image_uris"]]} for row in rows]


def score(market: Market, **settings: Any) -> RunManifest:
    job = market.job(**{"listings": LISTINGS, **settings})
    return score_partition(job, observers=audience(job))


def test_listings_in_a_table_get_the_scores_of_the_same_listings_in_files(market: Market, table: Table) -> None:
    score_partition(market.job(predictions=join(market.root, "files")))
    manifest = score(market)
    files, found = market.read("files"), market.read()
    assert found.column("listing_id").to_pylist() == files.column("listing_id").to_pylist()
    assert found.column("prediction").to_pylist() == pytest.approx(files.column("prediction").to_pylist())
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert manifest.listings == f"{LISTINGS}@{snapshot.snapshot_id}"


def test_a_snapshot_is_scored_as_it_was_and_lineage_names_it(market: Market, table: Table) -> None:
    before = table.current_snapshot()
    assert before is not None
    table.overwrite(table.scan(limit=5).to_arrow(), "ds = '2026-11-24'")
    told = Path(market.root) / "lineage.jsonl"
    assert score(market).counts.rows_in == 5
    manifest = score(market, listings=f"{LISTINGS}@{before.snapshot_id}", lineage={"to": str(told)})
    assert manifest.counts.rows_in == 20
    source = json.loads(told.read_text().splitlines()[-1])["inputs"][0]
    assert (source["namespace"], source["name"]) == ("iceberg:lake", "shop.listings")
    assert source["facets"]["version"]["datasetVersion"] == str(before.snapshot_id)


def test_a_night_whose_files_did_not_change_is_published_already(market: Market, table: Table) -> None:
    first = score(market)
    other = table.scan(limit=1).to_arrow()
    ds = pa.array([date(2026, 11, 25)], pa.date32())
    table.append(other.set_column(other.column_names.index("ds"), "ds", ds))
    assert score(market).run_id == first.run_id
    assert partitions_within(Range("ds", "2026-11-23", "2026-11-30"), LISTINGS, market.store)[0] == [
        KEY,
        "ds=2026-11-25",
    ]


def test_a_table_is_not_read_and_written_at_once(market: Market, table: Table) -> None:
    with pytest.raises(SettingsError, match=r"listings and sink are one table: iceberg:lake\.shop\.listings\."):
        score(market, sink=LISTINGS)
