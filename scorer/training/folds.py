"""Folds inside a fit: parts of its rows that some nets do not see."""

import numpy as np

from scorer.training.split import Rows

FOLDS = 5


def deal_folds(groups: Rows, count: int, seed: int) -> Rows:
    """int64 [m]: whole groups to folds 0 to count - 1, in an order that the seed decides."""
    names, group = np.unique(groups, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % count)[group]
