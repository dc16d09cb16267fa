import json
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from scorer.errors import BundleError, ContractError
from scorer.model.encodings import Logarithm
from scorer.model.preprocessing import (
    LARGEST,
    BooleanFeature,
    CategoryFeature,
    NumberFeature,
    Preprocessing,
    segment_text,
)
from scorer.training.features import fit_preprocessing

AREA = NumberFeature("area", "int32", fill=50.0, shift=100.0, scale=20.0, flag_missing=True)
ROOMS = NumberFeature("rooms", "float", fill=3.0, shift=3.0, scale=1.0, flag_missing=False)
GARDEN = BooleanFeature("garden", "bool", fill=True, flag_missing=True)
CITY = CategoryFeature("city", "string", values=("Oslo", "Bergen"), flag_missing=True)
EVERY = Preprocessing((AREA, ROOMS, GARDEN, CITY))


def batch(**columns: Any) -> pa.RecordBatch:
    usual = {"area": [120, 80], "rooms": [3.0, 4.0], "garden": [True, False], "city": ["Oslo", "Bergen"]}
    return pa.RecordBatch.from_pydict({**usual, **columns})


def test_each_feature_fills_its_own_columns_in_order() -> None:
    matrix, gaps = EVERY.transform(batch())
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[1, 0, 0, 1, 0, 1, 0, 0], [-1, 0, 1, 0, 0, 0, 1, 0]]
    assert EVERY.width == 8
    assert not gaps["feature_missing"].any()
    assert not gaps["category_unseen"].any()


def test_further_columns_and_another_order_change_nothing() -> None:
    expected, _ = EVERY.transform(batch())
    shuffled = batch(note=["x", "y"]).select(["note", "city", "garden", "rooms", "area"])
    np.testing.assert_array_equal(EVERY.transform(shuffled)[0], expected)


@pytest.mark.parametrize(
    "missing",
    [
        pa.array([None, 80], pa.int64()),
        pa.array([np.nan, 80.0]),
        pa.array([np.inf, 80.0]),
        pa.array([-np.inf, 80.0]),
        pa.array([1e300, 80.0]),
    ],
    ids=["null", "nan", "inf", "-inf", "beyond float32"],
)
def test_a_number_that_is_none_is_filled_flagged_and_reported(missing: pa.Array) -> None:
    matrix, gaps = EVERY.transform(batch(area=missing))
    assert matrix[:, :2].tolist() == [[-2.5, 1], [-1, 0]]
    assert gaps["feature_missing"].tolist() == [True, False]


def test_a_number_beyond_what_training_saw_counts_as_the_nearest_that_it_saw() -> None:
    bounded = replace(AREA, least=60.0, greatest=140.0, logarithm=Logarithm(1.0, 0.0, 1.0))
    matrix, gaps = Preprocessing((bounded,)).transform(batch(area=[1e6, -5.0]))
    assert matrix[:, 0].tolist() == [2, -2]
    np.testing.assert_allclose(matrix[:, 1], np.log([140, 60]), rtol=1e-6)
    assert not gaps["feature_missing"].any()


def test_where_training_missed_nothing_a_missing_number_is_filled_and_reported_without_a_flag() -> None:
    matrix, gaps = EVERY.transform(batch(rooms=[None, 4.0]))
    assert matrix[:, 2].tolist() == [0, 1]
    assert gaps["feature_missing"].tolist() == [True, False]


def test_a_missing_boolean_is_filled_flagged_and_reported() -> None:
    matrix, gaps = EVERY.transform(batch(garden=[None, False]))
    assert matrix[:, 3:5].tolist() == [[1, 1], [0, 0]]
    assert gaps["feature_missing"].tolist() == [True, False]


def test_an_unseen_category_is_zeros_and_reported_and_a_missing_one_is_something_else() -> None:
    matrix, gaps = EVERY.transform(batch(city=["Narvik", None]))
    assert matrix[:, 5:].tolist() == [[0, 0, 0], [0, 0, 1]]
    assert gaps["category_unseen"].tolist() == [True, False]
    assert gaps["feature_missing"].tolist() == [False, True]


@pytest.mark.parametrize(
    "values",
    [
        *(pa.array([120, 80], kind) for kind in (pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64())),
        *(pa.array(np.array([120, 80], kind)) for kind in (np.float16, np.float32, np.float64)),
        *(pa.array([Decimal(120), Decimal(80)], kind) for kind in (pa.decimal128(9, 2), pa.decimal256(50, 3))),
        pa.array([120, 80], pa.int32()).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
def test_a_number_may_come_in_any_numeric_type(values: pa.Array) -> None:
    assert EVERY.transform(batch(area=values))[0][:, 0].tolist() == [1, -1]


@pytest.mark.parametrize(
    "values",
    [
        *(pa.array(["Bergen", None], kind) for kind in (pa.string(), pa.large_string(), pa.string_view())),
        pa.array(["Bergen", None]).dictionary_encode(),
        pa.array(["Bergen", None], pa.large_string()).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
def test_a_category_may_come_in_any_string_type(values: pa.Array) -> None:
    assert EVERY.transform(batch(city=values))[0][:, 5:].tolist() == [[0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("name", ["area", "rooms", "garden", "city"])
def test_a_column_of_nothing_but_nulls_is_missing_throughout_whatever_its_type_became(name: str) -> None:
    matrix, gaps = EVERY.transform(batch(**{name: pa.nulls(2)}))
    assert gaps["feature_missing"].all()
    assert np.isfinite(matrix).all()


def test_a_slice_of_a_batch_gives_the_same_rows_of_the_matrix() -> None:
    whole = batch(area=[None, 80], city=["Narvik", None])
    np.testing.assert_array_equal(EVERY.transform(whole.slice(1, 1))[0], EVERY.transform(whole)[0][1:])


def test_no_rows_give_an_empty_matrix() -> None:
    assert EVERY.transform(batch().slice(0, 0))[0].shape == (0, EVERY.width)


def test_every_column_that_does_not_fit_is_named_with_found_and_expected_type() -> None:
    wrong = batch(area=["120", "80"], garden=[1, 0], city=[b"Oslo", b"Bergen"]).drop_columns(["rooms"])
    with pytest.raises(ContractError) as refusal:
        EVERY.transform(wrong)
    text = str(refusal.value)
    assert "column 'area' is string, expected int32 or another number" in text
    assert "column 'rooms' (float) is absent" in text
    assert "column 'garden' is int64, expected bool or another boolean" in text
    assert "column 'city' is binary, expected string or another category" in text


def test_a_schema_can_be_checked_before_any_row_is_read() -> None:
    EVERY.check(batch().schema)
    with pytest.raises(ContractError, match=r"ds=2026-11-24 do not have .* 'rooms'"):
        EVERY.check(batch().schema.remove(1), where="The listings of ds=2026-11-24")


def test_it_survives_json_and_then_gives_the_same_matrix() -> None:
    every = Preprocessing((*EVERY.features, replace(ROOMS, name="floor", least=-1.0, greatest=12.0)))
    assert Preprocessing.from_dict(json.loads(json.dumps(every.to_dict()))) == every


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"features": 3},
        {"features": [3]},
        {"features": [{"kind": "date", "name": "x"}]},
        {"features": [{"kind": "boolean", "name": "x"}]},
        {"features": [{**EVERY.to_dict()["features"][0], "scale": float("nan")}]},
        {"features": [{**EVERY.to_dict()["features"][0], "scale": 0.0}]},
        {"features": [{**EVERY.to_dict()["features"][0], "least": float("inf")}]},
        {"features": [{**EVERY.to_dict()["features"][0], "least": 2.0, "greatest": 1.0}]},
        {"features": [{**EVERY.to_dict()["features"][0], "surprise": 1}]},
    ],
)
def test_anything_else_is_refused_as_a_bundle_error(damaged: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="preprocessing"):
        Preprocessing.from_dict(damaged)


def test_scoring_needs_neither_scikit_learn_nor_tensorflow_nor_pandas() -> None:
    code = (
        "import sys, scorer.model.preprocessing;"
        "print([name for name in ('sklearn', 'tensorflow', 'pandas') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


number = st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(float("nan")))
category = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "dd", "é", ""]))
tables = st.lists(st.tuples(number, st.booleans() | st.none(), category), min_size=1, max_size=30).map(
    lambda rows: pa.table(
        {
            "number": pa.array([row[0] for row in rows], pa.float64()),
            "boolean": pa.array([row[1] for row in rows], pa.bool_()),
            "category": pa.array([row[2] for row in rows], pa.string()),
        }
    )
)


def scikit_learn(fitted: Preprocessing, scaler: str) -> ColumnTransformer:
    """The same preprocessing, put together from scikit-learn's own parts."""
    number, boolean, category = fitted.features
    assert isinstance(category, CategoryFeature)

    def with_flag(imputed: Any, flagged: bool) -> FeatureUnion:
        flag = [("flag", MissingIndicator(features="all"))] if flagged else []
        return FeatureUnion([("value", imputed), *flag])

    median = SimpleImputer(strategy="median", keep_empty_features=True)
    scaled = Pipeline([("impute", median), ("scale", StandardScaler() if scaler == "standard" else MinMaxScaler())])
    fill = SimpleImputer(strategy="constant", fill_value=float(getattr(boolean, "fill", 0)), keep_empty_features=True)
    one_hot = OneHotEncoder(categories=[list(category.values)], handle_unknown="ignore", sparse_output=False)
    known = [("category", one_hot, [2])] if category.values else []
    return ColumnTransformer(
        [
            ("number", with_flag(scaled, getattr(number, "flag_missing", False)), [0]),
            ("boolean", with_flag(fill, getattr(boolean, "flag_missing", False)), [1]),
            *known,
        ]
    )


def objects(table: pa.Table) -> np.ndarray[Any, Any]:
    """As scikit-learn takes it: NaN for missing numbers, None for missing categories."""
    numbers = [
        [np.nan if value is None else float(value) for value in (row["number"], row["boolean"])]
        for row in table.to_pylist()
    ]
    categories = table.column("category").to_pylist()
    return np.array([[*row, category] for row, category in zip(numbers, categories, strict=True)], dtype=object)


@settings(deadline=None, max_examples=60)
@given(training=tables, scored=tables, scaler=st.sampled_from(["standard", "minmax"]))
def test_the_matrix_is_what_scikit_learn_would_make(training: pa.Table, scored: pa.Table, scaler: Any) -> None:
    fitted = fit_preprocessing(training, ("number", "boolean", "category"), scaler, max_categories=3)
    theirs = scikit_learn(fitted, scaler).fit(objects(training)).transform(objects(scored))
    theirs = np.clip(theirs.astype(np.float64), -LARGEST, LARGEST)  # beyond float32 ours ends at its largest number
    (rows,) = scored.combine_chunks().to_batches()
    ours, _ = fitted.transform(rows)
    flagged = fitted.features[2].flag_missing  # type: ignore[attr-defined] # of the category, which they do not flag
    np.testing.assert_allclose(ours[:, : fitted.width - flagged], theirs.astype(np.float64), rtol=1e-5, atol=1e-5)
    if flagged:
        assert ours[:, -1].tolist() == scored.column("category").is_null().to_pylist()


@settings(deadline=None, max_examples=60)
@given(training=tables, values=st.lists(st.floats() | st.none(), min_size=1, max_size=8))
def test_the_matrix_is_finite_whatever_the_numbers_are(training: pa.Table, values: list[float | None]) -> None:
    fitted = fit_preprocessing(training, ("number",), "standard", max_categories=3)
    matrix, _ = fitted.transform(pa.RecordBatch.from_pydict({"number": pa.array(values, pa.float64())}))
    assert np.isfinite(matrix).all()


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.decimal128(5, 0), pa.string()])
def test_a_whole_number_chooses_the_same_band_of_intervals_in_whatever_type_a_night_brings_it(
    kind: pa.DataType,
) -> None:
    values = ["94501", "7", None] if kind == pa.string() else [94501, 7, None]
    assert segment_text(pa.array(values, kind)).to_pylist() == ["94501", "7", None]
    assert segment_text(pa.array(values, kind).dictionary_encode()).to_pylist() == ["94501", "7", None]


def test_a_boolean_chooses_its_band_by_its_name() -> None:
    assert segment_text(pa.array([True, False, None])).to_pylist() == ["true", "false", None]
