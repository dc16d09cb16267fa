from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorer.errors import ContractError, ScorerError, SettingsError
from scorer.model.preprocessing import BooleanFeature, CategoryFeature, NumberFeature, Preprocessing
from scorer.settings import TrainJob
from scorer.training.features import Encodings, fit_preprocessing, select_features, transform_table

TABLE = pa.table(
    {
        "listing_id": ["a", "b", "c", "d"],
        "area": pa.array([50, 70, None, 90], pa.int32()),
        "price": [1.0, 2.0, 3.0, 4.0],
        "city": ["Oslo", "Bergen", "Oslo", None],
        "seller": ["x", "x", "y", "y"],
        "garden": [True, True, False, None],
        "title": ["one", "two", "three", "four"],
        "listed_on": [date(2026, 11, 1)] * 4,
        "ds": ["2026-11-24"] * 4,
        "empty": pa.array([None] * 4, pa.float64()),
        "image_uris": [["1.png"], [], [], []],
    }
)


def job(**settings: Any) -> TrainJob:
    return TrainJob(**{"listings": "L", "target": "price", "bundle": "B", **settings})


def selected(**settings: Any) -> tuple[tuple[str, ...], list[str]]:
    lines: list[str] = []
    return select_features(TABLE, ("ds=2026-11-24",), job(**settings), lines.append), lines


def test_features_are_all_columns_but_id_target_images_and_partition_keys() -> None:
    assert selected()[0] == ("area", "city", "seller", "garden")


def test_columns_that_can_teach_nothing_are_left_out_with_the_reason() -> None:
    assert selected()[1] == [
        "Column 'title' is no feature: no value occurs twice, as in a name or a text.",
        "Column 'listed_on' is no feature: date32[day] is neither number, boolean nor string.",
        "Column 'empty' is no feature: it is null in every training row.",
    ]


def test_the_column_that_groups_the_split_and_excluded_ones_are_no_features() -> None:
    assert selected(group="seller", exclude=("city",))[0] == ("area", "garden")


def test_features_that_are_named_are_taken_in_their_order() -> None:
    assert selected(features=("garden", "area"))[0] == ("garden", "area")


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"features": ("title",)}, SettingsError, r"nothing can be learned from any .*'title': no value occurs twice"),
        ({"features": ("price",)}, SettingsError, r"'price' is the id, the images or a target"),
        ({"features": ("listed_on",)}, ContractError, r"'listed_on' is date32\[day\]; expected a number"),
        ({"exclude": ("area", "city", "seller", "garden")}, SettingsError, r"No column of .* can be a feature"),
    ],
)
def test_a_choice_of_features_that_cannot_be_is_refused(settings: Any, error: type[ScorerError], says: str) -> None:
    with pytest.raises(error, match=says):
        selected(**settings)


def test_every_figure_is_fitted_on_the_values_that_are_there() -> None:
    fitted = fit_preprocessing(TABLE, ("area", "garden", "city"), "standard", 64)
    deviation = float(np.sqrt(200))  # of 50, 70, 70 and 90
    assert fitted.features == (
        NumberFeature("area", "int32", fill=70.0, shift=70.0, scale=deviation, flag_missing=True),
        BooleanFeature("garden", "bool", fill=True, flag_missing=True),
        CategoryFeature("city", "string", values=("Oslo",), flag_missing=True),
    )


def test_the_range_of_a_number_is_what_training_saw_of_it_and_nothing_where_it_saw_none() -> None:
    table = pa.table({"area": [None, 50, 90, np.inf], "empty": pa.nulls(4, pa.float64())})
    area, empty = fit_preprocessing(table, ("area", "empty"), "standard", 64, Encodings(bounded=True)).features
    assert isinstance(area, NumberFeature)
    assert isinstance(empty, NumberFeature)
    assert (area.least, area.greatest, empty.least, empty.greatest) == (50.0, 90.0, None, None)


def test_minmax_maps_the_training_range_to_0_and_1() -> None:
    fitted = fit_preprocessing(TABLE, ("area",), "minmax", 64)
    assert transform_table(fitted, TABLE)[0][:, 0].tolist() == [0, 0.5, 0.5, 1]


def test_a_constant_column_is_harmless() -> None:
    fitted = fit_preprocessing(pa.table({"floor": [3, 3, 3]}), ("floor",), "standard", 64)
    assert transform_table(fitted, pa.table({"floor": [3, 4]}))[0].tolist() == [[0], [1]]


def test_the_most_frequent_categories_are_kept_and_what_was_seen_once_is_not() -> None:
    cities = pa.table({"city": ["c"] * 2 + ["a"] * 3 + ["b"] * 2 + ["once"]})

    def kept(most: int) -> Preprocessing:
        return fit_preprocessing(cities, ("city",), "standard", most)

    assert kept(64).features[0] == CategoryFeature("city", "string", values=("a", "b", "c"), flag_missing=False)
    assert kept(2).features[0] == CategoryFeature("city", "string", values=("a", "b"), flag_missing=False)


def test_columns_of_a_dictionary_type_are_fitted_as_what_they_hold() -> None:
    encoded = pa.table({name: TABLE.column(name).combine_chunks().dictionary_encode() for name in ("area", "city")})
    plain = fit_preprocessing(TABLE, ("area", "city"), "standard", 64)
    fitted = fit_preprocessing(encoded, ("area", "city"), "standard", 64)
    np.testing.assert_array_equal(transform_table(fitted, TABLE)[0], transform_table(plain, TABLE)[0])
