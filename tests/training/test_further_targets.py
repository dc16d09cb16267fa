"""Two columns of numbers learned by one bundle, from the listings to the rows that readers get and their labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from scorer import score_partition
from scorer.cli import app
from scorer.errors import ContractError, InputError, ScorerError, SettingsError
from scorer.model.bundle import Bundle, load_bundle
from scorer.objectstore import ObjectStore
from scorer.run.evaluate import evaluate
from scorer.run.labels import read_labels
from scorer.settings import Housekeeping, Job, TrainJob, load
from scorer.training.train import TrainReport, train
from tests.training.listings import Row, job, rows_with_images, write_listings

STORE, LISTINGS, KEY = ObjectStore(), 160, "ds=2026-11-20"

DESIGNS: dict[str, dict[str, Any]] = {
    "late gate": {"fusion": "late_gate", "trained_stages": 0, "image_weights": "random"},
    "trained": {"fusion": "concat"},
}


@dataclass(frozen=True)
class Market:
    """Listings with a price and the days that they were offered, and the bundle that was trained on both."""

    folder: Path
    rows: list[Row]
    report: TrainReport
    bundle: Bundle


@pytest.fixture(scope="module", params=DESIGNS)
def market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Market:
    folder = tmp_path_factory.mktemp("market") / "listings"
    rows = rows_with_images(folder, LISTINGS)
    for row in rows:
        row["days"] = 90 - 20 * (np.log(row["price"]) - 10) + row["rooms"]
    for row in rows[::40]:
        row["days"] = None
    write_listings(folder, rows)
    settings = {"further_targets": ("days",), "epochs": 25, "patience": 25, "learning_rate": 3e-3}
    design = DESIGNS[request.param]
    report = train(job(folder, target_transform="auto", **settings, **design, interval=0.8), STORE, lambda line: None)
    return Market(folder, rows, report, load_bundle(report.uri, STORE))


def test_each_target_has_its_own_scale_deviation_and_intervals(market: Market) -> None:
    bundle = market.bundle
    assert bundle.outputs == ("prediction", "days")
    known = np.array([row["days"] for row in market.rows if row["days"] is not None])
    assert bundle.deviation("days") == pytest.approx(known.std(), rel=0.2)
    assert bundle.targets["days"].kind == "identity"
    assert bundle.targets["days"].mean == pytest.approx(known.mean(), rel=0.2)
    assert bundle.targets["prediction"].mean != bundle.targets["days"].mean
    assert bundle.readout.intervals.keys() == {"prediction", "days"}
    assert bundle.columns == ("prediction", "days", "days_low", "days_high")


def test_a_further_target_is_no_feature_and_rows_without_it_are_left_out(market: Market) -> None:
    assert market.bundle.preprocessing.names == ("area", "rooms", "garden", "city")
    assert sum(market.bundle.training["rows"].values()) == LISTINGS - 4
    assert market.bundle.training["rows_without_target"] == 4


def test_report_bundle_and_card_tell_of_each_target_by_itself(market: Market) -> None:
    metrics, text = market.report.metrics, market.report.text
    assert list(metrics["further"]) == ["days"]
    days = metrics["further"]["days"]
    models = ["constant", "ridge", "gradient boosting", "numbers only", "numbers and images"]
    assert list(days["test"]) == models
    assert days["test"]["numbers and images"]["mae"] < 0.8 * days["test"]["constant"]["mae"]
    assert 0 <= days["in_their_interval"] <= 1
    assert text.startswith("price:\n")
    assert "\n\ndays:\n\n" in text
    page = (Path(market.report.uri) / "card.html").read_text()
    plain = (Path(market.report.uri) / "card.md").read_text()
    assert "days, on the test listings" in page
    assert "## days: errors on the test listings" in plain
    assert "price, days" in plain


def test_readers_get_both_with_intervals_and_labels_are_held_against_either(market: Market) -> None:
    places = {"listings": str(market.folder), "bundle": market.report.uri}
    predictions = str(market.folder.parent / "predictions")
    gates = {"enforce": False}
    score_partition(Job.model_validate({"partition": KEY, "gates": gates, "predictions": predictions, **places}))
    table = pq.read_table(f"{predictions}/{KEY}").to_pydict()
    low, days, high = (np.array(table[f"prediction_days{end}"]) for end in ("_low", "", "_high"))
    assert ((low <= days) & (days <= high)).all()
    truth = {row["listing_id"]: row["days"] for row in market.rows}
    pairs = [(truth[key], told) for key, told in zip(table["listing_id"], days, strict=True) if truth[key] is not None]
    actual, told = np.array(pairs).T
    assert np.abs(actual - told).mean() < 0.7 * np.abs(actual - np.median(actual)).mean()
    labels = market.folder.parent / "labels.parquet"
    pq.write_table(pa.table({"listing_id": list(truth), "days": pa.array(truth.values(), pa.float64())}), labels)
    known = read_labels(str(labels), "days", STORE, id_column="listing_id")
    found = evaluate(Housekeeping(predictions=predictions), known, STORE, output="days").overall
    assert found.n == len(pairs)
    assert found.mae == pytest.approx(np.abs(actual - told).mean())
    with pytest.raises(SettingsError, match="have no column 'prediction_rooms'"):
        evaluate(Housekeeping(predictions=predictions), known, STORE, output="rooms")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"further_targets": '["price"]'}, "must be different columns"),
        ({"further_targets": '["days", "days"]'}, "must be different columns"),
        ({"further_targets": '["Days On"]'}, "prediction_Days On cannot be a column"),
        ({"further_targets": '["class"]'}, "prediction_class cannot be a column"),
        ({"further_targets": '["days", "days_low"]'}, "prediction_days_low cannot be a column"),
        ({"further_targets": '["days"]', "cross_validate": "5x3"}, "cross_validate: for one target"),
        ({"further_targets": '["days"]', "fusion": "all"}, "fusion all: for one target"),
        ({"further_targets": '["days"]', "task": "classification"}, "task: for one target"),
    ],
)
def test_what_several_targets_cannot_have_is_refused_before_anything_is_read(flags: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load(TrainJob, environ={}, flags={"listings": "L", "target": "price", "bundle": "B", **flags})


def test_a_target_that_is_repeated_on_the_command_line_is_a_further_one() -> None:
    command = ["train", "--listings", "L", "--bundle", "B", "--target", "price", "--target", "Days"]
    ended = CliRunner().invoke(app, command)
    assert ended.exit_code == 2
    assert "prediction_Days cannot be a column" in ended.output


@pytest.mark.parametrize(
    ("column", "target", "error", "says"),
    [
        ("city", "price", ContractError, "further_targets: 'city' is string; expected a number"),
        ("rooms", "city", SettingsError, "further_targets: for targets that are numbers; 'city' names classes"),
        ("none", "price", SettingsError, "further_targets: the listings have no single column 'none'"),
        ("empty", "price", InputError, "No row has a value in every one of empty"),
        ("broken", "price", ContractError, "The target 'broken' is NaN or infinite in 1 rows"),
    ],
)
def test_columns_that_cannot_be_a_further_target_are_refused_in_words_before_any_image_is_fetched(
    tmp_path: Path, column: str, target: str, error: type[ScorerError], says: str
) -> None:
    rows = rows_with_images(tmp_path, 12)
    for number, row in enumerate(rows):
        row["broken"] = float("inf") if number == 3 else 1.0
        row["image_uris"] = ["images/none.png"]
    table = pa.Table.from_pylist(rows).append_column("empty", pa.nulls(12, pa.float64()))
    (tmp_path / KEY).mkdir()
    pq.write_table(table, tmp_path / KEY / "a.parquet")
    with pytest.raises(error, match=says):
        train(job(tmp_path, target=target, further_targets=(column,)), STORE, lambda line: None)
