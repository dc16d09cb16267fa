import numpy as np
import pyarrow as pa
import pytest

from scorer.errors import ContractError
from scorer.training.evaluate import bootstrap, compare, measure
from scorer.training.weighting import read_weights, weighted_quantile


def column(values: list[float | None], kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"listing_id": [f"L{n}" for n in range(len(values))], "w": pa.array(values, kind)})


def test_weights_are_one_on_average() -> None:
    assert read_weights(column([1.0, 0.0, 5.0]), "w").tolist() == [0.5, 0.0, 2.5]
    assert read_weights(column([3, 3], pa.int8()), "w").tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (column([1.0, -0.5]), r"negative in 1 rows \(listing_id L1\)\. Nothing was trained"),
        (column([float("nan"), 2.0, None]), r"in 2 rows \(listing_id L0, L2\)"),
        (column([float("inf"), 2.0]), r"infinite .* \(listing_id L0\)"),
        (column([0.0, 0.0]), "is 0 in every row"),
        (pa.table({"listing_id": ["L0"], "w": ["heavy"]}), "is string; expected a number"),
    ],
)
def test_weights_that_make_no_sense_are_refused_with_the_listings_that_have_them(table: pa.Table, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        read_weights(table, "w")


def test_metrics_of_a_listing_of_weight_three_are_those_of_three_listings() -> None:
    chance = np.random.default_rng(0)
    counts = chance.integers(0, 4, 200)
    many = np.repeat(np.arange(200), counts)
    actual = chance.gamma(2.0, size=200)
    numbers, fused = actual * np.exp(chance.normal(0, 0.3, (2, 200)))
    weighted, repeated = measure(actual, fused, counts / counts.mean()), measure(actual[many], fused[many])
    for name in ("mape", "r2", "mae"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name))
    one = compare(actual, numbers, fused, np.arange(200), 0, weights=counts / counts.mean())
    another = compare(actual[many], numbers[many], fused[many], many, 0)
    assert (one.numbers, one.fused) == pytest.approx((another.numbers, another.fused))
    assert one.high - one.low == pytest.approx(another.high - another.low, rel=0.15)


def test_quantiles_are_compared_by_the_loss_that_they_are_least_in() -> None:
    chance = np.random.default_rng(0)
    truth = chance.exponential(size=20_000)
    right, median = np.full(20_000, np.quantile(truth, 0.9)), np.full(20_000, np.median(truth))
    found = compare(truth, median, right, np.arange(20_000), 0, quantile=0.9)
    assert found.measure == "quantile loss"
    assert found.verdict.startswith("The images help: on 20,000 test listings the quantile loss is ")
    assert compare(truth, median, right, np.arange(20_000), 0).high < 0, "by absolute errors the median looks better"


def test_listings_without_weight_move_no_interval() -> None:
    chance = np.random.default_rng(0)
    values, weights = chance.normal(size=300), np.repeat([1.0, 0.0], 150)
    wild = np.where(weights > 0, values, values + 1000)
    assert bootstrap(values, np.arange(300), 0, weights) == bootstrap(wild, np.arange(300), 0, weights)


def test_the_weighted_quantile_of_equal_weights_is_the_plain_one() -> None:
    chance = np.random.default_rng(0)
    values = chance.normal(size=50)
    assert weighted_quantile(values, np.full(50, 2.0), 0.3) == np.quantile(values, 0.3)
    assert weighted_quantile(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 5.0]), 0.5) == 3.0
