"""What a model has to beat, on data whose law is known."""

import numpy as np
import pyarrow as pa
import pytest

from scorer.training import baselines
from scorer.training.baselines import BASELINES, Listings

N = 400
RANDOM = np.random.default_rng(0)
AREA = RANDOM.uniform(30, 200, N)
CITY = RANDOM.integers(0, 5, N)
TARGET = np.exp(6 + 1.1 * np.log(AREA) + 0.4 * CITY + RANDOM.normal(0, 0.05, N))


def listings(**columns: object) -> Listings:
    table = pa.table({"area": AREA, "city": [f"city {city}" for city in CITY], "new": CITY > 2, **columns})
    return Listings(table, tuple(table.column_names), TARGET, "log")


KNOWN, HELD_OUT = np.arange(300), np.arange(300, N)


def mape(name: str, given: Listings) -> float:
    predicted = BASELINES[name](given)(KNOWN, 0).predict(HELD_OUT)
    assert predicted.shape == (100,)
    return float(100 * np.mean(np.abs(predicted - TARGET[HELD_OUT]) / TARGET[HELD_OUT]))


def test_the_constant_is_the_median_of_what_it_was_fitted_on() -> None:
    assert set(BASELINES["constant"](listings())(KNOWN, 0).predict(HELD_OUT)) == {np.median(TARGET[KNOWN])}


@pytest.mark.parametrize(("name", "limit"), [("ridge", 6), ("gradient boosting", 9)])
def test_a_law_in_the_columns_is_learned(name: str, limit: float) -> None:
    assert mape("constant", listings()) > 40
    assert mape(name, listings()) < limit


@pytest.mark.parametrize(("name", "limit"), [("ridge", 30), ("gradient boosting", 30)])
def test_gaps_and_values_that_were_never_seen_are_no_error(name: str, limit: float) -> None:
    area = [None if row % 7 == 0 else value for row, value in enumerate(AREA)]
    city = [f"new city {row}" if row >= 350 else None if row % 9 == 0 else f"city {CITY[row]}" for row in range(N)]
    given = listings(area=area, city=city, empty=pa.array([None] * N, pa.float64()))
    assert mape(name, given) < limit


@pytest.mark.parametrize(("name", "limit"), [("ridge", 6), ("gradient boosting", 9)])
def test_whole_numbers_that_name_something_are_categories_where_that_is_said(name: str, limit: float) -> None:
    codes = np.array([40, 10, 30, 50, 20])[CITY]
    table = pa.table({"area": AREA, "code": codes})
    named = Listings(table, ("area", "code"), TARGET, "log", categories=("code",))
    assert mape(name, named) < limit
    assert mape("ridge", Listings(table, ("area", "code"), TARGET, "log")) > 20


def test_ridge_says_nothing_beyond_all_reason_of_a_listing_unlike_all_others() -> None:
    area = np.where(np.arange(N) == 350, 1e12, AREA)
    predicted = BASELINES["ridge"](listings(area=area))(KNOWN, 0).predict(np.array([350]))
    assert predicted[0] <= TARGET[KNOWN].max() ** 2 / TARGET[KNOWN].min() * 1.001


def test_of_many_listings_ridge_learns_from_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MOST_ROWS", 60)
    assert 0 < mape("ridge", listings()) < 10


@pytest.mark.parametrize("name", BASELINES)
def test_rows_that_were_held_out_change_nothing(name: str) -> None:
    first = BASELINES[name](listings())(KNOWN, 0).predict(HELD_OUT)
    area = np.where(np.arange(N) < 300, AREA, AREA * 50)
    target = np.where(np.arange(N) < 300, TARGET, 1.0)
    other = Listings(listings(area=area).table, listings().features, target, "log")
    before, after = (BASELINES[name](given)(KNOWN, 0).predict(KNOWN) for given in (listings(), other))
    np.testing.assert_array_equal(before, after)
    assert np.isfinite(first).all()
