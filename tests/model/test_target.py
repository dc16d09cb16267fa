import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.errors import BundleError
from scorer.model.target import TargetTransform

PRICES = np.exp(np.random.default_rng(0).normal(12, 0.8, 500))
HEIGHTS = np.random.default_rng(0).normal(175, 8, 500)


def test_a_skewed_positive_target_is_learned_as_its_logarithm() -> None:
    assert TargetTransform.fit(PRICES, "auto").kind == "log"


def test_a_symmetric_target_is_learned_as_it_is() -> None:
    assert TargetTransform.fit(HEIGHTS, "auto").kind == "identity"


def test_a_skewed_target_that_reaches_zero_is_learned_as_it_is() -> None:
    assert TargetTransform.fit(np.append(PRICES, 0.0), "auto").kind == "identity"


@pytest.mark.parametrize("kind", ["identity", "log"])
def test_what_the_network_learns_has_mean_0_and_deviation_1(kind: Any) -> None:
    learned = TargetTransform.fit(PRICES, kind).forward(PRICES)
    assert abs(learned.mean()) < 1e-9
    assert abs(learned.std() - 1) < 1e-9


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=20), st.sampled_from(["auto", "identity", "log"]))
def test_inverse_undoes_forward(values: list[float], kind: Any) -> None:
    target = np.array(values)
    transform = TargetTransform.fit(target, kind)
    np.testing.assert_allclose(transform.inverse(transform.forward(target)), target, rtol=1e-6, atol=1e-6)


def test_a_target_that_was_learned_as_the_logarithm_of_one_more_may_be_zero() -> None:
    transform = TargetTransform("log1p", 0.3, 2.0)
    np.testing.assert_allclose(transform.inverse(transform.forward([0.0, 9.0])), [0.0, 9.0], atol=1e-12)


def test_a_constant_target_stays_finite() -> None:
    transform = TargetTransform.fit(np.full(3, 7.0), "auto")
    assert transform.inverse(transform.forward([7.0])) == pytest.approx([7.0])


def test_an_output_too_large_for_a_float_becomes_infinity_without_a_warning() -> None:
    assert TargetTransform("log", 0.0, 1.0).inverse(np.array([1e9], np.float32)) == [np.inf]


def test_it_survives_json() -> None:
    transform = TargetTransform.fit(PRICES, "log")
    assert TargetTransform.from_dict(json.loads(json.dumps(transform.to_dict()))) == transform


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"kind": "log", "mean": 0.0},
        {"kind": "sqrt", "mean": 0.0, "scale": 1.0},
        {"kind": "log", "mean": "x", "scale": 1.0},
        {"kind": "log", "mean": float("nan"), "scale": 1.0},
        {"kind": "log", "mean": 0.0, "scale": 0.0},
        {"kind": [], "mean": 0.0, "scale": 1.0},
    ],
)
def test_anything_else_is_refused_as_a_bundle_error(damaged: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="target transform"):
        TargetTransform.from_dict(damaged)
