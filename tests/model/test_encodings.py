import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import BundleError, ContractError
from scorer.model.preprocessing import CategoryFeature, NumberFeature, Preprocessing
from scorer.training.features import Encodings, fit_preprocessing, transform_table

ALL = Encodings(logarithms=True, prefixes={})


def fitted(column: Any, encodings: Encodings = ALL) -> Preprocessing:
    return fit_preprocessing(pa.table({"x": column}), ("x",), "standard", 64, encodings)


def matrix(preprocessing: Preprocessing, column: Any) -> np.ndarray:
    return transform_table(preprocessing, pa.table({"x": column}))[0]


def test_a_number_that_is_never_negative_comes_with_its_standardised_logarithm() -> None:
    areas = np.array([50.0, 100.0, 400.0])
    found = matrix(fitted(areas), areas)
    logs = np.log(areas)
    np.testing.assert_allclose(found[:, 1], (logs - logs.mean()) / logs.std(), atol=1e-6)


def test_zeros_count_as_half_the_least_and_missing_values_as_the_median() -> None:
    rooms = pa.array([0.0, 2.0, 4.0, None])
    found = matrix(fitted(rooms), pa.array([0.0, 1.0, None, 2.0, -5.0]))
    assert found[0, 1] == found[1, 1] == found[4, 1]
    assert found[2, 1] == found[3, 1]
    assert found[:, 2].tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize("column", [[-1.0, 2.0, 3.0], [0.0, 1.0, 1.0], [0.0, 0.0]])
def test_no_logarithm_of_numbers_that_may_be_negative_or_take_two_values(column: list[float]) -> None:
    assert fitted(column).width == 1


@settings(deadline=None, max_examples=60)
@given(
    training=st.lists(st.floats(0) | st.none(), min_size=1, max_size=8),
    values=st.lists(st.floats() | st.none(), min_size=1, max_size=8),
)
def test_the_matrix_is_finite_whatever_the_numbers_are(
    training: list[float | None], values: list[float | None]
) -> None:
    assert np.isfinite(matrix(fitted(pa.array(training, pa.float64())), pa.array(values, pa.float64()))).all()


CODES = ["94501", "94502", "94501", "10001", "10001", "94502"]


def test_codes_of_digits_come_with_their_beginnings_so_that_an_unseen_one_lies_in_a_known_region() -> None:
    preprocessing = fitted(CODES)
    feature = preprocessing.features[0]
    assert isinstance(feature, CategoryFeature)
    assert feature.prefix is not None
    assert (feature.prefix.length, feature.prefix.values) == (3, ("945", "100"))
    found, gaps = preprocessing.transform(pa.RecordBatch.from_pydict({"x": ["94599", "10001", "99999"]}))
    assert found.tolist() == [[0, 0, 0, 1, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    assert gaps["category_unseen"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("column", "prefixes", "length"),
    [
        (["Oslo", "Oslo"], {}, None),
        (["94501", "94501", "9450"], {}, None),
        (CODES, {"x": 0}, None),
        (CODES, {"x": 2}, 2),
        (["SW1A", "SW1B", "SW1A"], {"x": 2}, 2),
        (CODES, None, None),
    ],
)
def test_beginnings_are_taken_where_they_were_asked_for_or_all_values_are_codes(
    column: list[str], prefixes: dict[str, int] | None, length: int | None
) -> None:
    feature = fitted(column, Encodings(prefixes=prefixes)).features[0]
    assert isinstance(feature, CategoryFeature)
    assert (feature.prefix.length if feature.prefix else None) == length


def test_whole_numbers_can_be_categories_whatever_type_they_come_in() -> None:
    numbers = pa.array([94501, 94502, 94501, 10001, 10001, 94502])
    preprocessing = fitted(numbers, Encodings(categories=("x",), prefixes={}))
    expected = matrix(fitted(CODES), CODES)
    np.testing.assert_array_equal(matrix(preprocessing, numbers), expected)
    np.testing.assert_array_equal(matrix(preprocessing, numbers.cast(pa.float64())), expected)
    np.testing.assert_array_equal(matrix(preprocessing, CODES), expected)
    _, gaps = preprocessing.transform(pa.RecordBatch.from_pydict({"x": [94501.0, 94501.5, None]}))
    assert gaps["feature_missing"].tolist() == [False, True, True]


def test_a_category_of_strings_does_not_take_numbers() -> None:
    with pytest.raises(ContractError, match="'x' is int64, expected string or another category"):
        matrix(fitted(CODES), [94501])


@pytest.mark.parametrize(
    ("column", "encodings"), [([50.0, 100.0, None], ALL), (CODES, ALL), ([1, 1, 2], Encodings(categories=("x",)))]
)
def test_further_columns_survive_a_bundle(column: list[Any], encodings: Encodings) -> None:
    preprocessing = fitted(column, encodings)
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


def test_a_bundle_from_before_further_columns_is_read_as_it_was() -> None:
    plain = {"name": "x", "arrow_type": "double", "fill": 1.0, "shift": 1.0, "scale": 2.0, "flag_missing": False}
    found = Preprocessing.from_dict({"features": [{"kind": "number", **plain}]})
    assert found.features == (NumberFeature("x", "double", fill=1.0, shift=1.0, scale=2.0, flag_missing=False),)
    assert matrix(found, [5.0]).tolist() == [[2.0]]


@pytest.mark.parametrize(
    "change",
    [
        {"logarithm": {"floor": 0.0, "shift": 1.0, "scale": 1.0}},
        {"logarithm": {"floor": 1.0, "shift": float("nan"), "scale": 1.0}},
        {"logarithm": {"floor": 1.0}},
        {"logarithm": 3},
    ],
)
def test_figures_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    plain = {"name": "x", "arrow_type": "double", "fill": 1.0, "shift": 1.0, "scale": 2.0, "flag_missing": False}
    with pytest.raises(BundleError, match="The bundle's preprocessing cannot be read"):
        Preprocessing.from_dict({"features": [{"kind": "number", **plain, **change}]})
