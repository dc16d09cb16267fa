from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from scorer.training.objective import Goal
from scorer.training.ridge import fit_scores, mean_embeddings, with_beside
from tests.training.listings import random_embeddings


def test_the_mean_is_over_the_images_that_are_there() -> None:
    values, slots = random_embeddings(50, 6)
    means = mean_embeddings(values, slots)
    for row, mean in zip(slots, means, strict=True):
        expected = values[row[row >= 0]].mean(axis=0) if (row >= 0).any() else np.zeros(6)
        np.testing.assert_allclose(mean, expected, atol=1e-6)


@pytest.mark.parametrize("width", [8, 90], ids=["more listings than values", "fewer"])
def test_the_score_is_ridge_regression_also_without_each_fold(width: int) -> None:
    values, slots = random_embeddings(60, width)
    slots[:, 0] = np.arange(60)
    means, folds = mean_embeddings(values, slots), np.arange(60) % 3
    goal = (means @ np.linspace(-1, 1, width))[:, None] + np.random.default_rng(1).normal(size=(60, 1)) * 0.1
    found = fit_scores(values, slots, Goal.of(goal), folds)

    def apart(score: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> float:
        """How far the score is from scikit-learn's with the best of all strengths."""
        predicted = np.asarray(score(means))
        strengths = np.logspace(-6, 6, 200)
        models = (Ridge(alpha).fit(means[rows], goal[rows]) for alpha in strengths)
        return float(min(np.abs(model.predict(means).reshape(-1, 1) - predicted).max() for model in models))

    assert apart(found.whole, np.arange(60)) < 0.05
    for fold, score in found.of_fold.items():
        assert apart(score, np.flatnonzero(folds != fold)) < 0.05
    assert np.corrcoef(found.out_of_fold(means, folds)[:, 0], goal[:, 0])[0, 1] > (0.9 if width == 8 else 0.3)


def test_listings_without_images_teach_the_image_score_nothing() -> None:
    values, slots = random_embeddings(60, 8)
    slots[20:] = -1
    slots[:20, 0] = np.arange(20)
    goal = np.random.default_rng(1).normal(size=(60, 1))
    other = goal.copy()
    other[20:] += 100
    one, another = (fit_scores(values, slots, Goal.of(y), np.arange(60) % 3).whole for y in (goal, other))
    np.testing.assert_array_equal(one.weights, another.weights)


def test_where_no_listing_has_an_image_the_score_is_the_mean() -> None:
    values, slots = random_embeddings(30, 8)
    slots[:] = -1
    scores = fit_scores(values, slots, Goal.of(np.full((30, 1), 2.0)), np.arange(30) % 3)
    assert scores.whole(np.ones((1, 8)))[0, 0] == 2.0


def test_a_row_that_was_never_held_out_has_no_score_out_of_fold() -> None:
    values, slots = random_embeddings(30, 8)
    folds = np.where(np.arange(30) < 10, 0, -1)
    scores = fit_scores(values, slots, Goal.of(np.random.default_rng(0).normal(size=(30, 1))), folds)
    found = scores.out_of_fold(mean_embeddings(values, slots), folds)
    assert np.isfinite(found[:10]).all()
    assert np.isnan(found[10:]).all()


@pytest.mark.parametrize("width", [8, 90], ids=["more listings than values", "fewer"])
def test_what_stands_beside_the_embeddings_is_not_penalised(width: int) -> None:
    values, slots = random_embeddings(60, width)
    slots[:, 0] = np.arange(60)
    random = np.random.default_rng(2)
    means, folds = mean_embeddings(values, slots), np.arange(60) % 3
    beside = means[:, :1] + random.normal(size=(60, 1))  # half of it, the embeddings know, too
    goal = 3 * beside + means[:, 1:2] + random.normal(size=(60, 1)) * 0.1
    found = fit_scores(values, slots, Goal.of(goal), folds, beside)
    told = found.whole(with_beside(means, beside))
    inputs = with_beside(means, 1e3 * beside)  # so great a value has so small a weight that its penalty is nothing

    def apart(strength: float) -> float:
        """How far the score is from scikit-learn's."""
        model = Ridge(strength, solver="svd").fit(inputs, goal)
        return float(np.abs(model.predict(inputs).reshape(-1, 1) - told).max())

    assert min(apart(strength) for strength in np.logspace(-3, 4, 60)) < 0.05
    assert found.whole.weights[-1, 0] == pytest.approx(3, abs=0.3)


def test_embeddings_that_tell_nothing_leave_the_best_function_of_what_stands_beside_them() -> None:
    values, slots = random_embeddings(400, 40)
    slots[:, 0] = np.arange(400)
    beside = np.random.default_rng(3).normal(size=(400, 1))
    goal = 0.8 * beside + 0.3
    found = fit_scores(values, slots, Goal.of(goal), np.arange(400) % 5, beside).whole
    np.testing.assert_allclose(found(with_beside(mean_embeddings(values, slots), beside)), goal, atol=1e-6)


def test_what_stands_beside_the_embeddings_may_be_constant() -> None:
    values, slots = random_embeddings(60, 8)
    goal, folds = np.random.default_rng(1).normal(size=(60, 1)), np.arange(60) % 3
    means = mean_embeddings(values, slots)
    alone = fit_scores(values, slots, Goal.of(goal), folds).whole(means)
    both = fit_scores(values, slots, Goal.of(goal), folds, np.ones((60, 1))).whole(with_beside(means, np.ones((60, 1))))
    np.testing.assert_allclose(both, alone, atol=1e-9)
