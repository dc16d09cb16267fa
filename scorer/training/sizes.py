"""How the error falls with the number of listings that are learned from: whether more of them would help."""

from collections.abc import Iterator

import numpy as np

from scorer.training.evaluate import Floats
from scorer.training.fitted import FittedNet
from scorer.training.folds import deal_folds
from scorer.training.split import Rows
from scorer.training.ways import InUnits, Nets

PARTS = 4
FEWEST = 60
"""Listings, and a third as many groups: fewer teach nothing that a curve could show."""


def predict_by_size(nets: Nets, fused: FittedNet, test: Rows) -> dict[int, Floats]:
    """What the model says of the test listings, had it learned from a quarter or half of its rows; and as it is.

    Returns:
        Listings learned from -> float64 [len(test)] in the target's unit; parts that are too small are left out.
    """
    seed = fused.data.job.seed
    found = {len(rows): InUnits(nets.fused(rows, seed)).predict(test) for rows in _parts(fused, seed)}
    return {**found, len(fused.rows): InUnits(fused).predict(test)}


def _parts(fused: FittedNet, seed: int) -> Iterator[Rows]:
    """A quarter and half of the rows, whole groups at a time."""
    groups = fused.data.examples.groups[fused.rows]
    part = deal_folds(groups, PARTS, seed)
    for parts in (1, 2):
        chosen = part < parts
        if chosen.sum() >= FEWEST and len(np.unique(groups[chosen])) >= FEWEST // 3:
            yield fused.rows[chosen]
