"""The shift of a log target: what it makes of means and of percentages."""

from typing import Literal

import numpy as np
import pytest

from scorer.model.target import TargetTransform
from scorer.training.correction import fit_shift, shifted

CHANCE = np.random.default_rng(0)
TOLD = CHANCE.normal(12.0, 0.7, 5000)
TRUTH = TOLD + CHANCE.normal(0.0, 0.4, 5000)
ONES = np.ones(5000)


def test_smeared_predictions_add_up_to_the_truths() -> None:
    shift = fit_shift("smearing", TRUTH, TOLD, ONES)
    assert shift == pytest.approx(0.4**2 / 2, abs=0.02)
    assert np.exp(TOLD + shift).sum() == pytest.approx(np.exp(TRUTH).sum(), rel=0.02)


def test_no_other_shift_has_a_smaller_mean_absolute_percentage_error() -> None:
    shift = fit_shift("shift", TRUTH, TOLD, ONES)

    def mape(by: float) -> float:
        return float(np.abs(np.exp(TOLD + by - TRUTH) - 1).mean())

    assert shift == pytest.approx(-(0.4**2), abs=0.03)
    assert all(mape(shift) <= mape(by) for by in np.linspace(-0.5, 0.5, 101))


@pytest.mark.parametrize("kind", ["smearing", "shift"])
def test_a_listing_of_weight_two_counts_as_two(kind: Literal["smearing", "shift"]) -> None:
    weights = CHANCE.integers(1, 4, 500)
    weighted = fit_shift(kind, TRUTH[:500], TOLD[:500], weights.astype(float))
    repeated = fit_shift(kind, TRUTH[:500].repeat(weights), TOLD[:500].repeat(weights), np.ones(weights.sum()))
    assert weighted == pytest.approx(repeated)


@pytest.mark.parametrize("kind", ["smearing", "shift"])
def test_where_nothing_that_is_known_counts_everything_counts_alike(kind: Literal["smearing", "shift"]) -> None:
    assert fit_shift(kind, TRUTH, TOLD, 0 * ONES) == fit_shift(kind, TRUTH, TOLD, ONES)


def test_a_shift_is_part_of_the_way_back_and_none_changes_nothing() -> None:
    target = TargetTransform("log", 12.0, 0.5)
    assert fit_shift("none", TRUTH, TOLD, ONES) == 0.0
    assert shifted(target, 0.0) is target
    np.testing.assert_allclose(shifted(target, 0.1).inverse([0.0, 1.0]), target.inverse([0.0, 1.0]) * np.exp(0.1))
