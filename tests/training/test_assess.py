"""What a training tells of its model, from the command line to the card in the bundle."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scorer.cli import app
from scorer.errors import InputError, SettingsError
from scorer.model.bundle import load_bundle
from scorer.model.content import CARD, CARD_MARKDOWN, CARD_PAGE
from scorer.model.recipe import Recipe
from scorer.objectstore import ObjectStore
from scorer.training import recipes
from scorer.training.train import TrainReport, train
from tests.training.listings import SIZE, Row, job, rows_with_images, write_listings
from tests.training.reading import PageReader

STORE = ObjectStore()
LISTINGS = 160
HOSTILE = ["<script>alert(1)</script>", "a|b\n# owned", "![x](http://evil/x)", "\u202eabc", "`code` **bold**"]
COLUMN = "<img src=x onerror=alert(2)>|wide"
WAYS = ["constant", "ridge", "gradient boosting", "numbers only", "numbers and images"]
TINY = Recipe("convolutions", (8,), 8, "dense", (8,), (8,), size=SIZE, members=1, trained_stages=0, fusion="late_gate")


@pytest.fixture(scope="module", autouse=True)
def tiny_recipe() -> Iterator[None]:
    """A tower of random weights that stays as it is: brightness shows in what it makes of an image."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "RECIPES", {**recipes.RECIPES, "tiny": TINY})
        yield


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """Listings whose ids, categories and a column's name are meant to do harm; two of them share an image."""
    folder = tmp_path_factory.mktemp("market")
    found = rows_with_images(folder, LISTINGS)
    for number, row in enumerate(found):
        row["listing_id"] = f"{HOSTILE[number % 5]} {number}"
        row["city"] = HOSTILE[number % 3]
        row[COLUMN] = row.pop("rooms")
        row["sold"] = f"2026-{1 + number % 12:02}-01"
    first, second = [row for row in found if row["image_uris"]][:2]
    second["image_uris"] = first["image_uris"]
    write_listings(folder, found)
    return folder, found


def trained(folder: Path, place: str, **settings: Any) -> TrainReport:
    quick = {"recipe": "tiny", "epochs": 8, "learning_rate": 5e-3, "bundle": str(folder / "bundles" / place)}
    return train(job(folder, **{**quick, **settings}), STORE, lambda line: None)


@pytest.fixture(scope="module")
def usual(rows: tuple[Path, list[Row]]) -> TrainReport:
    return trained(rows[0], "usual")


@pytest.fixture(scope="module")
def thorough(rows: tuple[Path, list[Row]]) -> TrainReport:
    return trained(rows[0], "thorough", fusion="all", cross_validate="2x1", epochs=3)


def cards(uri: str) -> tuple[str, str]:
    """The page, and the Markdown."""
    bundle = load_bundle(uri, STORE)
    return bundle.read(CARD_PAGE).decode(), bundle.read(CARD_MARKDOWN).decode()


def words(uri: str) -> str:
    """The Markdown without the marks that keep texts from acting."""
    return cards(uri)[1].replace("\\", "")


def test_the_command_line_trains_and_the_bundle_that_it_writes_carries_a_card(
    rows: tuple[Path, list[Row]], tmp_path: Path
) -> None:
    flags = ["--listings", str(rows[0]), "--target", "price", "--bundle", str(tmp_path / "bundle"), "--recipe", "small"]
    flags += ["--set", f"image_size={SIZE}", "--set", "epochs=1", "--time-column", "sold", "--fusion", "gated"]
    told = CliRunner().invoke(app, ["train", *flags])
    assert told.exit_code == 0, told.output
    bundle = load_bundle(str(tmp_path / "bundle"), STORE)
    assert set(CARD) <= set(bundle.digests.files)
    assert bundle.training["settings"]["time_column"] == "sold"
    assert "sold" not in bundle.preprocessing.names
    assert bundle.training["recipe"]["fusion"] == "gated"
    card = words(bundle.uri)
    for way in WAYS:
        assert re.search(rf"^{re.escape(way)}  ", told.stdout, re.MULTILINE), way
        assert f"| {way} |" in card
    assert "was not measured: each is one more training" in card
    assert "of 2026-11-01 or earlier" in card


def test_hostile_texts_of_the_listings_stay_texts_in_the_card_of_the_bundle(usual: TrainReport) -> None:
    page, written = cards(usual.uri)
    reader = PageReader()
    reader.feed(page)
    assert not reader.tags["script"]
    assert not reader.handlers
    assert all(lead.startswith(("#", "data:image/jpeg;base64,", "data:,")) for lead in reader.leads)
    assert reader.tags["img"] == sum(lead.startswith("data:image") for lead in reader.leads) > 0
    assert "&lt;img src=x onerror=alert(2)&gt;" in page, "the column is named"
    assert "\u202e" not in page + written
    assert not re.search(r"(?<!\\)[<`]|(?<!\\)!\[|(?<!\\)\]\(", written)
    assert [line for line in written.splitlines() if line.startswith("# ")] == ["# Model card: price"]


def test_every_section_of_the_card_is_there(usual: TrainReport) -> None:
    page, written = cards(usual.uri)
    reader = PageReader()
    reader.feed(page)
    sections = {"data", "errors", "images", "features", "segments", "calibration", "learning", "worst", "limits"}
    assert sections <= set(reader.heads)
    for head in ("Data", "Split", "What the images do", "Intervals", "Error by listings learned from", "Limits"):
        assert f"\n## {head}" in written
    assert "share an image file with another listing" in written


def test_beside_a_tower_that_stays_as_it_is_images_alone_and_shuffled_ones_are_tried_too(usual: TrainReport) -> None:
    errors = {name: one["mape"] for name, one in usual.metrics["test"].items()}
    assert list(errors) == [*WAYS[:4], "images only", "shuffled images", WAYS[4]]
    assert errors["images only"] < errors["constant"]
    assert errors["shuffled images"] > errors["numbers and images"]
    assert set(usual.metrics["card"]["features"]) == {"area", COLUMN, "garden", "city", "sold"}


def test_the_closing_words_say_whether_images_help_and_how_sure_that_is(usual: TrainReport) -> None:
    assert re.search(r"(The images help|cannot be told): on 24 test listings the MAPE is .* 95 % interval", usual.text)
    assert re.search(r"better with them in (\d+|over 99|under 1) % of the resamples", usual.text)


def test_every_fusion_is_tried_one_is_taken_and_the_reason_told(thorough: TrainReport) -> None:
    found = thorough.metrics["cross_validated"]["Fusions"]
    assert set(found["scores"]) == {"concat", "gated", "attention", "cross_attention", "film", "late_gate"}
    assert found["rows"] == 136, "the test listings have no part in it"
    taken = re.search(r"(\w+)(, the recipe's own,)? was taken", found["words"])
    assert taken
    assert load_bundle(thorough.uri, STORE).training["recipe"]["fusion"] == taken[1]
    assert found["words"] in thorough.text


def test_cross_validation_compares_with_everything_and_says_what_images_do(thorough: TrainReport) -> None:
    found = thorough.metrics["cross_validated"]["Numbers and images"]
    assert list(found["scores"]) == [*WAYS[:4], "images only", "shuffled images", WAYS[4]]
    assert (found["rows"], found["fits"], found["ours"]) == (LISTINGS, 2, "numbers and images")
    assert "each predicted by models that had not seen it" in found["words"]
    assert "With the images shuffled among the listings" in found["words"]
    for content in cards(thorough.uri):
        assert "Fusions, cross-validated" in content
        assert "Numbers and images, cross-validated" in content
        assert "its error is a little too low" in content


def test_without_a_cross_validation_a_result_within_noise_names_the_way_to_know_more(
    rows: tuple[Path, list[Row]], usual: TrainReport, thorough: TrainReport
) -> None:
    unsure = usual.metrics["images"]["low"] <= 0 <= usual.metrics["images"]["high"]
    assert ("--cross-validate 5x3" in usual.text) == unsure
    assert "--cross-validate" not in thorough.text


def test_the_partitions_key_says_when_where_no_column_does(rows: tuple[Path, list[Row]]) -> None:
    report = trained(rows[0], "nights", time_column="ds", test_share=0.6, epochs=1)
    assert load_bundle(report.uri, STORE).training["rows"] == {"training": 79, "test": 81}
    assert "2026-11-20 or earlier" in words(report.uri)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"time_column": "when"}, SettingsError, r"time_column: the listings have no single column 'when'"),
        ({"time_column": "ds"}, InputError, r"2 moments in 'ds'.* 81 are of the last one\. With test_share 0\.15"),
    ],
)
def test_what_cannot_be_divided_is_refused_before_anything_is_embedded(
    rows: tuple[Path, list[Row]], settings: dict[str, Any], error: type[Exception], says: str
) -> None:
    lines: list[str] = []
    wanted = job(rows[0], recipe="tiny", bundle=str(rows[0] / "bundles" / "none"), **settings)
    with pytest.raises(error, match=says):
        train(wanted, STORE, lines.append)
    assert not any("Embedding" in line for line in lines)


def test_the_same_seed_gives_the_same_card(rows: tuple[Path, list[Row]], usual: TrainReport) -> None:
    assert cards(trained(rows[0], "again").uri) == cards(usual.uri)
