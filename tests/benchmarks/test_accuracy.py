"""The benchmark of accuracy, on listings whose price shows in their images by construction."""

from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy import figures, frequent, gathered, some_rows, table
from benchmarks.held_out import IMAGES, NUMBERS, PRESENT, SHIFTED, SHUFFLED, HeldOut, hold_out, with_images
from scorer.training.baselines import BASELINES
from scorer.training.prepare import Data
from tests.training.listings import job, rows_with_images, write_listings

LISTINGS, FOLDS = 60, 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("accuracy")
    write_listings(folder, rows_with_images(folder, LISTINGS))
    return gathered(job(folder, trained_stages=0, epochs=2, near_duplicates=False), folder)


@pytest.fixture(scope="module")
def found(data: Data) -> HeldOut:
    return hold_out(data, ["late_gate"], FOLDS, 2, lambda line: None)


def test_every_listing_is_told_once_in_each_repetition(found: HeldOut) -> None:
    for name in (*BASELINES, NUMBERS, NUMBERS + SHIFTED, IMAGES, "late_gate", "late_gate" + SHIFTED):
        assert found.told[name].shape == (2, LISTINGS)
        assert np.isfinite(found.told[name]).all()


def test_shuffled_images_are_tried_in_the_first_repetition_alone(found: HeldOut) -> None:
    for name in (IMAGES, "late_gate"):
        assert np.isfinite(found.told[name + SHUFFLED][0]).all()
        assert np.isnan(found.told[name + SHUFFLED][1]).all()
        assert found.errors(name + SHUFFLED).shape == (1, LISTINGS)


def test_with_all_images_taken_away_the_late_gate_tells_what_the_numbers_tell(found: HeldOut) -> None:
    np.testing.assert_array_equal(found.told[with_images("late_gate", 0)], found.told[NUMBERS])
    np.testing.assert_array_equal(found.told[with_images("late_gate", 4)], found.told["late_gate"])


def test_every_figure_is_what_its_name_says(found: HeldOut) -> None:
    told = figures(found, ["late_gate"])
    errors = 100 * np.abs(found.told["late_gate"] / found.target - 1)
    ours, numbers = told["errors"]["late_gate"], told["errors"][NUMBERS]
    assert ours["mape"] == pytest.approx(errors.mean())
    assert ours["repetitions"] == pytest.approx(errors.mean(axis=1))
    assert ours["sd"] == pytest.approx(errors.mean(axis=1).std(ddof=1))
    assert ours["median_ape"] == pytest.approx(np.median(errors, axis=1).mean())
    fused = told["fusions"]["late_gate"]
    assert fused["points_less"] == pytest.approx(numbers["mape"] - ours["mape"])
    assert fused["interval"][0] <= fused["points_less"] <= fused["interval"][1]
    assert fused["share_less"] == pytest.approx(1 - ours["mape"] / numbers["mape"])
    assert list(fused["by_images"]) == list(PRESENT)
    assert fused["by_images"][0] == pytest.approx(numbers["mape"])
    assert 0 <= fused["in_interval"] <= 1


def test_the_table_has_a_line_for_every_way_and_every_fusion(found: HeldOut) -> None:
    lines = table(figures(found, ["late_gate"])).splitlines()
    starts = [line[:40].strip() for line in lines]
    for name in (*BASELINES, IMAGES, IMAGES + SHUFFLED, NUMBERS, NUMBERS + SHIFTED, "late_gate" + SHUFFLED):
        assert starts.count(name) == 1


def test_listings_whose_value_many_share_are_kept_with_their_images(data: Data) -> None:
    cities: list[Any] = data.examples.table.column("city").to_pylist()
    rarest = min(cities.count(city) for city in set(cities))
    rows = frequent(data.examples, "city", rarest + 1)
    kept = some_rows(data.examples, rows)
    assert 0 < len(kept) < LISTINGS
    assert min(cities.count(city) for city in kept.table.column("city").to_pylist()) > rarest
    np.testing.assert_array_equal(kept.images, data.examples.images[rows])
    np.testing.assert_array_equal(kept.target, data.examples.target[rows])
