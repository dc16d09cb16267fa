import json

import numpy as np
import pyarrow as pa
import pytest

from scorer.training.features import fit_preprocessing
from scorer.training.profile import BINS, TOP, column_profile, numbers_profile, profile


def test_a_number_column_is_described_by_quantiles_and_bins_of_about_equal_weight() -> None:
    found = numbers_profile(np.arange(1001.0))
    assert found["quantiles"]["0.5"] == 500
    assert found["quantiles"]["1.0"] == 1000
    assert len(found["edges"]) == BINS - 1
    assert found["shares"] == pytest.approx([1 / BINS] * BINS, abs=0.002)
    assert found["null_share"] == 0


def test_missing_numbers_are_a_share_of_their_own() -> None:
    found = numbers_profile(np.array([1.0, np.nan, np.inf, 3.0]))
    assert found["null_share"] == 0.5
    assert sum(found["shares"]) == pytest.approx(1)


def test_equal_numbers_share_one_bin() -> None:
    found = numbers_profile(np.array([2.0] * 99 + [5.0]))
    assert found["edges"] == [2.0]
    assert found["shares"] == [0.0, 1.0]


def test_a_category_column_is_described_by_its_most_frequent_values() -> None:
    values = ["often"] * TOP + [f"rare {number}" for number in range(TOP)] + [None] * TOP
    found = column_profile(pa.chunked_array([values]))
    assert found["top"]["often"] == pytest.approx(1 / 3)
    assert len(found["top"]) == TOP
    assert found["distinct"] == TOP + 1
    assert found["null_share"] == pytest.approx(1 / 3)
    assert found["other_share"] == pytest.approx(1 / (3 * TOP))


def test_a_boolean_column_is_described_by_the_share_of_true_and_false() -> None:
    assert column_profile(pa.chunked_array([[True, True, False, None]]))["top"] == {"True": 0.5, "False": 0.25}


def test_it_all_is_plain_json_even_of_an_empty_column() -> None:
    table = pa.table({"area": [1, 2], "city": ["a", None], "new": pa.array([None, None], pa.float32())})
    preprocessing = fit_preprocessing(table, ("area", "city", "new"), "standard", 64)
    found = profile(table, preprocessing, np.array([1.0, 2.0]), np.array([1.5]), np.array([0, 3]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["rows"] == 2
    assert found["images_per_listing"] == {"0": 1, "3": 1}
    assert found["features"]["new"]["null_share"] == 1
