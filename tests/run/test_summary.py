"""The summary of a run, as a scheduler reads it: the same names whatever happened."""

import json
from pathlib import Path
from typing import Any

import pytest

from scorer.errors import InputError, NothingToDo, ScorerError
from scorer.objectstore import join
from scorer.run.score_partition import score_partition
from scorer.run.summary import Summary
from scorer.run.tools import Tools
from tests.tiny import KEY, Market, listing, local_market


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    return local_market(tmp_path, bundle)


def summarised(market: Market, raises: type[ScorerError] | None = None, **settings: Any) -> dict[str, Any]:
    """What `scorer score --summary FILE` leaves in the file."""
    kept, place = Summary(), Path(market.root, "summary.json")
    if raises is None:
        kept.manifest = score_partition(market.job(**settings), Tools(market.store), [kept])
    else:
        with pytest.raises(raises):
            score_partition(market.job(**settings), Tools(market.store), [kept])
    kept.write(str(place))
    found: dict[str, Any] = json.loads(place.read_text())
    return found


def test_it_says_what_was_published_and_the_same_when_it_was_published_already(market: Market) -> None:
    first, second = summarised(market), summarised(market)

    assert (first["outcome"], second["outcome"]) == ("published", "published already")
    assert {first["exit_code"], second["exit_code"]} == {0}
    assert first["uri"] == second["uri"] == join(market.root, "predictions", KEY)
    assert first["run_id"] == second["run_id"]
    assert first["counts"] == second["counts"]
    assert first["counts"]["rows_in"] == 20
    assert first["bundle"]["version"] == "1"
    assert (first["units"], first["units_done_earlier"]) == (1, 0)


def test_of_a_run_that_failed_it_gives_the_reason_and_no_place_to_read(market: Market) -> None:
    Path(market.listings, KEY, "b.parquet").write_bytes(b"broken")
    found = summarised(market, InputError)

    assert (found["outcome"], found["exit_code"], found["uri"]) == ("failed", 3, None)
    assert "b.parquet" in found["error"]


def test_it_has_the_same_names_whatever_happened(market: Market) -> None:
    nothing = summarised(market, NothingToDo, partition="ds=1999-01-01")
    published = summarised(market)

    assert (nothing["outcome"], nothing["exit_code"], nothing["partition"]) == ("nothing to do", 99, "ds=1999-01-01")
    assert list(nothing) == list(published)


def test_it_stays_small_enough_for_a_scheduler_s_database(market: Market) -> None:
    market.write([listing(n, **({"image_uris": [f"gone/{n}.jpg"]} if n % 50 == 0 else {})) for n in range(1000)])

    assert len(json.dumps(summarised(market))) < 10_000


def test_a_summary_that_cannot_be_written_fails_nothing(market: Market) -> None:
    kept = Summary()
    kept.manifest = score_partition(market.job(), Tools(market.store), [kept])
    kept.write(join(market.root, "no", "such", "folder"))

    assert market.read().num_rows == 20


def test_where_no_run_began_there_is_none(tmp_path: Path) -> None:
    Summary().write(str(tmp_path / "summary.json"))

    assert not list(tmp_path.iterdir())
