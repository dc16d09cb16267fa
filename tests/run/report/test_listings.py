"""The listings that a page shows are the right ones, found without reading more than is needed."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.intake.partitions import open_partition
from scorer.objectstore import ObjectStore
from scorer.output.manifest import OutputFile
from scorer.run.report import listings
from scorer.run.report.listings import images_of, survey
from tests import tiny

STORE = ObjectStore()


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> OutputFile:
    """A file of predictions; what a row does not say is as in a row without a flaw."""
    kind = {"listing_id": pa.string(), "prediction": pa.float64(), "status": pa.string()}
    schema = pa.schema({**kind, "reasons": pa.list_(pa.string())})
    table = pa.Table.from_pylist([{"status": "scored", "reasons": [], **row} for row in rows], schema=schema)
    pq.write_table(table, folder / name, row_group_size=7)
    return OutputFile(uri=str(folder / name), listed="", rows=len(rows), bytes=1, sha256="")


def night(seed: int, first: int = 0) -> list[dict[str, Any]]:
    scores = np.random.default_rng(seed).normal(0, 100, 50)
    return [{"listing_id": f"home-{first + at}", "prediction": float(score)} for at, score in enumerate(scores)]


def test_highest_and_lowest_are_those_of_the_whole_run_whatever_file_they_are_in(tmp_path: Path) -> None:
    rows = night(1)
    files = [written(tmp_path, "a.parquet", rows[:20]), written(tmp_path, "b.parquet", rows[20:])]
    found = survey(files, (), 4, STORE)
    ordered = [row["listing_id"] for row in sorted(rows, key=lambda row: row["prediction"])]
    assert [one.listing_id for one in found.lowest] == ordered[:4]
    assert [one.listing_id for one in found.highest] == ordered[::-1][:4]


def test_most_changed_are_those_whose_prediction_moved_most_since_the_last_run(tmp_path: Path) -> None:
    now, before = night(1), night(2, first=10)
    found = survey([written(tmp_path, "now", now)], [written(tmp_path, "before", before)], 5, STORE)
    was = {row["listing_id"]: row["prediction"] for row in before}
    both = [row for row in now if row["listing_id"] in was]
    both.sort(key=lambda row: -abs(row["prediction"] - was[row["listing_id"]]))
    assert [(one.listing_id, one.before) for one in found.changed] == [
        (row["listing_id"], was[row["listing_id"]]) for row in both[:5]
    ]
    assert found.moves is not None
    moves = [abs(row["prediction"] - was[row["listing_id"]]) for row in both]
    assert found.moves == pytest.approx((40, np.median(moves)))


def test_a_prediction_that_differs_by_rounding_alone_has_not_moved(tmp_path: Path) -> None:
    before = night(1)
    now = [{**row, "prediction": row["prediction"] * (1 + 1e-7)} for row in before]
    now[3] = {**now[3], "prediction": now[3]["prediction"] + 50.0}
    found = survey([written(tmp_path, "now", now)], [written(tmp_path, "before", before)], 5, STORE)
    assert [one.listing_id for one in found.changed] == ["home-3"]


def test_a_row_without_a_score_is_neither_high_nor_low(tmp_path: Path) -> None:
    rows = [*night(1), {"listing_id": "failed", "prediction": None, "status": "failed", "reasons": ["x"]}]
    found = survey([written(tmp_path, "now", rows)], [written(tmp_path, "before", rows)], 60, STORE)
    for group in (found.highest, found.lowest):
        assert len(group) == 50
        assert "failed" not in {one.listing_id for one in group}
    assert found.changed == ()


def test_rows_are_counted_by_the_reasons_that_they_carry_together(tmp_path: Path) -> None:
    flaws = [("degraded", ["a"]), ("degraded", ["a", "b"]), ("degraded", ["a"]), ("failed", ["b"])]
    rows = [
        {"listing_id": str(at), "prediction": 1.0, "status": status, "reasons": reasons}
        for at, (status, reasons) in enumerate(flaws)
    ]
    found = survey([written(tmp_path, "now", [*rows, *night(1)])], (), 0, STORE)
    assert found.reasons == {"degraded": {("a",): 2, ("a", "b"): 1}, "failed": {("b",): 1}, "scored": {(): 50}}
    assert (found.highest, found.lowest) == ((), ())


def test_too_many_rows_are_not_joined_and_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "MOST_COMPARED", 49)
    file = written(tmp_path, "now", night(1))
    found = survey([file], [file], 3, STORE)
    assert (found.changed, found.moves) == ((), None)
    assert found.why_not == "50 rows are not compared one by one; up to 49 are."
    assert len(found.highest) == 3


def test_images_of_the_chosen_listings_are_found_and_no_others(tmp_path: Path) -> None:
    market = tiny.Market(str(tmp_path), "")
    market.write([tiny.listing(number) for number in range(30)])
    partition = open_partition(market.listings, tiny.KEY, market.store)
    assert partition is not None
    found = images_of(["home-3", "home-29", "nobody"], partition, market.store)
    assert found == {name: tiny.listing(int(name[5:]))["image_uris"] for name in ("home-3", "home-29")}
