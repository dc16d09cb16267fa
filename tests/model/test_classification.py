"""How well probabilities agree with what happened, against scikit-learn's figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from scorer.model.classification import auc, classification, reliability


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60))
def test_the_area_under_the_curve_is_scikit_learns_ties_and_all(rows: list[tuple[bool, int]]) -> None:
    happened, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.float64)
    if happened.all() or not happened.any():
        assert auc(happened, scores) is None
    else:
        assert auc(happened, scores) == pytest.approx(metrics.roc_auc_score(happened, scores))


@pytest.mark.parametrize("classes", [2, 4])
def test_the_figures_are_scikit_learns(classes: int) -> None:
    chance = np.random.default_rng(classes)
    probabilities = np.asarray(chance.dirichlet(np.ones(classes), 300), np.float64)
    actual = np.array([chance.choice(classes, p=row) for row in probabilities])
    found = classification(actual, probabilities)
    assert found.log_loss == pytest.approx(metrics.log_loss(actual, probabilities))
    assert found.accuracy == metrics.accuracy_score(actual, probabilities.argmax(axis=1))
    score = probabilities[:, 1] if classes == 2 else probabilities
    assert found.auc == pytest.approx(metrics.roc_auc_score(actual, score, multi_class="ovr"))
    if classes == 2:
        assert found.brier == pytest.approx(metrics.brier_score_loss(actual, probabilities[:, 1]))


def test_probabilities_that_come_true_have_a_small_calibration_error_and_others_a_large_one() -> None:
    chance = np.random.default_rng(5)
    said = chance.uniform(0.05, 0.95, 20_000)
    happened = chance.uniform(size=20_000) < said
    both = np.stack([1 - said, said], axis=1)
    assert classification(happened.astype(np.int64), both).calibration_error < 0.015
    sure = np.where(np.stack([said < 0.5, said >= 0.5], axis=1), 0.99, 0.01)
    assert classification(happened.astype(np.int64), sure).calibration_error > 0.15


def test_listings_of_one_probability_stay_in_one_bin_and_every_listing_is_in_one() -> None:
    said, happened = np.repeat([0.2, 0.7], [90, 10]), np.arange(100) % 5 == 0
    bins = reliability(said, happened)
    assert [one.n for one in bins] == [90, 10]
    np.testing.assert_allclose([one.said for one in bins], [0.2, 0.7])
