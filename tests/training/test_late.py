from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from scorer.training.late import (
    best_share,
    fit_image_scores,
    fit_shares,
    mean_embeddings,
    some_images,
)


def embeddings(listings: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """float32 [slots, D] and int32 [m, 4]: none to four images a listing."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(3 * listings, width)).astype(np.float32)
    slots = np.where(random.random((listings, 4)) < 0.7, random.integers(0, 3 * listings, (listings, 4)), -1)
    return values, slots.astype(np.int32)


def test_the_mean_is_over_the_images_that_are_there() -> None:
    values, slots = embeddings(50, 6)
    means = mean_embeddings(values, slots)
    for row, mean in zip(slots, means, strict=True):
        expected = values[row[row >= 0]].mean(axis=0) if (row >= 0).any() else np.zeros(6)
        np.testing.assert_allclose(mean, expected, atol=1e-6)


@pytest.mark.parametrize("width", [8, 90], ids=["more listings than values", "fewer"])
def test_the_score_is_ridge_regression_also_without_each_fold(width: int) -> None:
    values, slots = embeddings(60, width)
    slots[:, 0] = np.arange(60)
    means, folds = mean_embeddings(values, slots), np.arange(60) % 3
    goal = (means @ np.linspace(-1, 1, width))[:, None] + np.random.default_rng(1).normal(size=(60, 1)) * 0.1
    found = fit_image_scores(values, slots, goal, folds)

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
    values, slots = embeddings(60, 8)
    slots[20:] = -1
    slots[:20, 0] = np.arange(20)
    goal = np.random.default_rng(1).normal(size=(60, 1))
    other = goal.copy()
    other[20:] += 100
    one, another = (fit_image_scores(values, slots, y, np.arange(60) % 3).whole for y in (goal, other))
    np.testing.assert_array_equal(one.weights, another.weights)


def test_where_no_listing_has_an_image_the_score_is_the_mean_and_no_image_counts() -> None:
    values, slots = embeddings(30, 8)
    slots[:] = -1
    goal, folds = np.full((30, 1), 2.0), np.arange(30) % 3
    scores = fit_image_scores(values, slots, goal, folds)
    assert scores.whole(np.ones((1, 8)))[0, 0] == 2.0
    assert fit_shares(goal, scores, values, slots, goal, folds, seed=0).tolist() == [[0.0]]


def test_a_row_that_was_never_held_out_has_no_score_out_of_fold() -> None:
    values, slots = embeddings(30, 8)
    folds = np.where(np.arange(30) < 10, 0, -1)
    scores = fit_image_scores(values, slots, np.random.default_rng(0).normal(size=(30, 1)), folds)
    found = scores.out_of_fold(mean_embeddings(values, slots), folds)
    assert np.isfinite(found[:10]).all()
    assert np.isnan(found[10:]).all()


def test_each_listing_keeps_so_many_different_images_of_its_own() -> None:
    _, slots = embeddings(200, 4)
    slots[:] = np.arange(800, dtype=np.int32).reshape(200, 4)
    slots[::2, 1] = -1
    kept = some_images(slots, 2, np.random.default_rng(0))
    for row, own in zip(kept, slots, strict=True):
        assert len(set(row)) == 2
        assert set(row) <= set(own[own >= 0])
    assert {int(column) for column in kept[1::2, 0] % 4} == {0, 1, 2, 3}, "any of them"


def test_the_share_is_the_one_with_the_least_loss() -> None:
    random = np.random.default_rng(0)
    numbers, images = random.normal(size=(500, 2)), random.normal(size=(500, 2))
    goal = numbers + np.array([0.25, 0.7]) * (images - numbers)
    assert best_share(numbers, images, goal).tolist() == pytest.approx([0.25, 0.7])
    assert best_share(numbers, images, numbers).tolist() == [0, 0]


def shares(useful: float, seed: int) -> np.ndarray:
    """Shares where numbers and images each know a part of the goal, and each image shows it through noise."""
    random = np.random.default_rng(seed)
    values, slots = embeddings(600, 8, seed)
    slots[:] = np.arange(1800).reshape(600, 3).repeat(2, axis=1)[:, :4]
    slots = np.where(np.arange(4)[None] < random.integers(0, 5, 600)[:, None], slots, -1).astype(np.int32)
    hidden = random.normal(size=600)
    for row, own in enumerate(slots):
        values[own[own >= 0], 0] += 2 * hidden[row]
    seen = random.normal(size=600)
    goal = (seen + useful * hidden)[:, None]
    folds = np.arange(600) % 5
    scores = fit_image_scores(values, slots, goal, folds)
    return fit_shares(seen[:, None], scores, values, slots, goal, folds, seed)[:, 0]


@pytest.mark.parametrize("seed", range(3))
def test_more_images_never_count_less_and_none_counts_nothing(seed: int) -> None:
    found = shares(1.0, seed)
    assert found[0] == 0
    assert (np.diff(found) >= 0).all()
    assert found[-1] > 0.2


def test_images_that_show_nothing_hardly_count() -> None:
    assert max(shares(0.0, seed)[-1] for seed in range(3)) < 0.1
