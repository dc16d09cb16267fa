"""The demo as a newcomer meets it: everything is left where it says, and the account adds up."""

from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from rich.console import Console

from scorer.contracts import reasons
from scorer.demo.demo import job_for, make_room, run_demo
from scorer.demo.market import FEWEST, NEW_CITY, Home, Market, make_market
from scorer.demo.photos import FLAWS
from scorer.errors import SettingsError
from scorer.run.score_partition import score_partition

SEED = 5


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that a small demo left, and what it said."""
    directory, said = tmp_path_factory.mktemp("demo"), StringIO()
    run_demo(directory, seed=SEED, listings=FEWEST, console=Console(file=said, width=160))
    return directory, said.getvalue()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """The same marketplace as the demo's, for what only its maker knows."""
    return make_market(tmp_path_factory.mktemp("market"), seed=SEED, listings=FEWEST)


def rows_of(place: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ds.dataset(place, format="parquet").to_table().to_pylist()
    return rows


def test_every_row_of_every_scored_night_is_predicted_or_quarantined(told: tuple[Path, str], market: Market) -> None:
    directory, _ = told
    for night in market.nights[1:]:
        given = [row["listing_id"] for row in rows_of(directory / "listings" / night)]
        predicted = [row["listing_id"] for row in rows_of(directory / "predictions" / night)]
        refused = [row["listing_id"] for row in rows_of(directory / "quarantine" / night)]

        assert sorted(map(str, given)) == sorted(map(str, predicted + refused))
        assert sorted(row["reason"] for row in rows_of(directory / "quarantine" / night)) == [
            "id_duplicated",
            "id_duplicated",
            "id_missing",
        ]


def test_a_listing_is_degraded_for_what_is_wrong_with_it_and_for_nothing_else(
    told: tuple[Path, str], market: Market
) -> None:
    directory, _ = told
    homes = {home.listing_id: home for home in market.homes}
    for row in rows_of(directory / "predictions"):
        assert set(row["reasons"]) == wrong_with(homes[row["listing_id"]]), row
        assert row["status"] == ("degraded" if row["reasons"] else "scored")
        assert row["prediction"] > 0


def wrong_with(home: Home) -> set[str]:
    """The reasons that a home's prediction must carry."""
    reasons = {FLAWS[photo.flaw].reason for photo in home.photos if photo.flaw}
    if not home.photos:
        reasons.add("no_images")
    if home.year_built is None:
        reasons.add("feature_missing")
    if home.city == NEW_CITY[0]:
        reasons.add("category_unseen")
    return reasons


def test_the_story_names_places_gaps_errors_and_the_next_step(told: tuple[Path, str]) -> None:
    directory, said = told

    for name in ("listings/ds=*/", "images/", "bundle/", "predictions/ds=*/", "quarantine/ds=*/"):
        assert name in said
    for flaw in FLAWS.values():
        assert flaw.reason in said
    for text in ("id_duplicated", "id_missing", "category_unseen", "numbers only", "numbers and images"):
        assert text in said
    assert f"scorer score --listings {directory}/listings --partition ds=2026-11-24" in said
    assert {flaw.reason for flaw in FLAWS.values()} <= reasons()


def test_the_story_names_a_page_for_each_night_and_one_for_all_of_them(told: tuple[Path, str], market: Market) -> None:
    pages = [Path(line.strip()) for line in told[1].splitlines() if line.endswith(".html")]
    titles = [page.read_text(encoding="utf-8").partition("<title>")[2].partition("</title>")[0] for page in pages]
    assert [title.rpartition(": ")[2] for title in titles[:-1]] == list(market.nights[1:])
    assert titles[-1].startswith("2 runs of")


def test_the_story_holds_no_escape_codes_where_no_terminal_listens(told: tuple[Path, str]) -> None:
    assert "\x1b" not in told[1]


def test_the_command_that_the_story_ends_with_finds_the_night_published_already(
    told: tuple[Path, str], market: Market
) -> None:
    directory, _ = told
    night = market.nights[-1]
    (before,) = {row["run_id"] for row in rows_of(directory / "predictions" / night)}

    manifest = score_partition(job_for(directory, night))

    assert manifest.run_id == before


def test_an_earlier_demo_makes_room_and_what_is_not_the_demos_stays(tmp_path: Path) -> None:
    make_market(tmp_path, seed=SEED, listings=FEWEST)
    for name in ("bundle", "predictions", "predictions.scorer", "quarantine", "my-bundle"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")

    make_room(tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == ["my-bundle"]


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(SettingsError, match=r"not empty and holds no earlier demo\. Nothing in it was touched"):
        run_demo(tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")

    with pytest.raises(SettingsError, match="is a file; the demo needs a folder"):
        run_demo(tmp_path / "demo")
