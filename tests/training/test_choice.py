"""Which fusion is taken."""

import numpy as np

from scorer.training.choice import best_fusion
from scorer.training.crossval import CrossValidation, Scheme, cross_validate
from scorer.training.split import Rows, group_folds

N = 200
TARGET = np.exp(np.random.default_rng(0).normal(12, 0.5, N))


class Off:
    """Predicts with errors of one size."""

    def __init__(self, share: float, seed: int) -> None:
        self.values = TARGET * np.exp(np.random.default_rng(seed).normal(0, share, N))

    def predict(self, rows: Rows) -> np.ndarray:
        return np.asarray(self.values[rows])


def tried(**shares: tuple[float, int]) -> CrossValidation:
    ways = {name: (lambda rows, seed, off=Off(*share): off) for name, share in shares.items()}
    scheme = Scheme((tuple(group_folds(np.arange(N), 4, 0)),), "4 folds")
    return cross_validate(ways, list(ways), TARGET, np.arange(N), scheme, 0, lambda line: None)


def test_a_fusion_that_is_clearly_better_than_the_recipes_own_is_taken() -> None:
    fusion, why = best_fusion(tried(concat=(0.1, 1), late_gate=(0.3, 2)), "late_gate")
    assert fusion == "concat"
    assert "clearly better than late_gate" in why


def test_where_the_best_cannot_be_told_from_the_recipes_own_the_recipes_own_stays() -> None:
    found = tried(concat=(0.19, 1), late_gate=(0.2, 2))
    assert found.ours == "concat"
    assert best_fusion(found, "late_gate") == (
        "late_gate",
        "late_gate, the recipe's own, was taken, since the best is not clearly better.",
    )


def test_the_recipes_own_stays_where_it_is_the_best() -> None:
    found = tried(concat=(0.3, 1), late_gate=(0.2, 2))
    assert best_fusion(found, "late_gate") == ("late_gate", "late_gate, the recipe's own, was taken.")
