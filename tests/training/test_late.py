import numpy as np
import pytest

from scorer.training.late import best_share, fit_shares, some_images
from scorer.training.objective import Goal
from scorer.training.ridge import fit_scores
from tests.training.listings import random_embeddings


def test_each_listing_keeps_so_many_different_images_of_its_own() -> None:
    _, slots = random_embeddings(200, 4)
    slots[:] = np.arange(800, dtype=np.int32).reshape(200, 4)
    slots[::2, 1] = -1
    kept = some_images(slots, 2, np.random.default_rng(0))
    for row, own in zip(kept, slots, strict=True):
        assert len(set(row)) == 2
        assert set(row) <= set(own[own >= 0])
    assert {int(column) for column in kept[1::2, 0] % 4} == {0, 1, 2, 3}, "any of them"


def test_the_share_is_the_one_with_the_least_loss() -> None:
    random = np.random.default_rng(0)
    numbers, second = random.normal(size=(500, 2)), random.normal(size=(500, 2))
    goal = numbers + np.array([0.25, 0.7]) * (second - numbers)
    assert best_share(numbers, second, Goal.of(goal)).tolist() == pytest.approx([0.25, 0.7])
    assert best_share(numbers, second, Goal.of(numbers)).tolist() == [0, 0]


def test_where_no_listing_has_an_image_none_counts() -> None:
    values, slots = random_embeddings(30, 8)
    slots[:] = -1
    goal, folds = Goal.of(np.full((30, 1), 2.0)), np.arange(30) % 3
    second = fit_scores(values, slots, goal, folds, goal.values)
    assert fit_shares(goal.values, second, values, slots, goal, folds, seed=0).tolist() == [[0.0]]


def shares(useful: float, seed: int) -> np.ndarray:
    """Shares where numbers and images each know a part of the goal, and each image shows it through noise."""
    random = np.random.default_rng(seed)
    values, slots = random_embeddings(600, 8, seed)
    slots[:] = np.arange(1800).reshape(600, 3).repeat(2, axis=1)[:, :4]
    slots = np.where(np.arange(4)[None] < random.integers(0, 5, 600)[:, None], slots, -1).astype(np.int32)
    hidden = random.normal(size=600)
    for row, own in enumerate(slots):
        values[own[own >= 0], 0] += 2 * hidden[row]
    seen = random.normal(size=600)
    goal = Goal.of((seen + useful * hidden)[:, None])
    folds = np.arange(600) % 5
    second = fit_scores(values, slots, goal, folds, seen[:, None])
    return fit_shares(seen[:, None], second, values, slots, goal, folds, seed)[:, 0]


@pytest.mark.parametrize("seed", range(3))
def test_more_images_never_count_less_and_none_counts_nothing(seed: int) -> None:
    found = shares(1.0, seed)
    assert found[0] == 0
    assert (np.diff(found) >= 0).all()
    assert found[-1] > 0.2


def test_images_that_show_nothing_hardly_count() -> None:
    assert max(shares(0.0, seed)[-1] for seed in range(3)) < 0.1
