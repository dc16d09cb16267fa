"""Training, validation and test rows that share nothing: what hangs together stays on one side."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers, int64, ascending; together all rows, each once."""

    training: Rows
    validation: Rows
    test: Rows


def group_rows(keys: Sequence[Iterable[Hashable]]) -> Rows:
    """Number the groups: rows with a common key belong together, and so do rows that a chain of such rows connects.

    Args:
        keys: per row, everything that it must not share with another side (listing id, images, a user's group).

    Returns:
        int64 [n]: the first row of the group that each row is in.
    """
    parents = list(range(len(keys)))
    first_with: dict[Hashable, int] = {}

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = row = parents[parents[row]]
        return row

    for row, own in enumerate(keys):
        for key in own:
            one, other = sorted((root(row), root(first_with.setdefault(key, row))))
            parents[other] = one
    return np.array([root(row) for row in range(len(keys))], np.int64)


def split_groups(groups: Rows, *, validation_share: float, test_share: float, seed: int) -> Split:
    """Deal whole groups out, in random order, to whoever still has room: test, validation, else training.

    A share is never exceeded, so a group too large for test and validation (say, every listing with the same
    placeholder image) is trained on.

    Args:
        groups: int64 [n], equal for rows of one group.
        validation_share: of the rows.
        test_share: of the rows.
        seed: of the order.
    """
    names, sizes = np.unique(groups, return_counts=True)
    test_room, validation_room = round(test_share * len(groups)), round(validation_share * len(groups))
    test, validation = [], []
    for place in np.random.default_rng(seed).permutation(len(names)):
        if sizes[place] <= test_room:
            test.append(names[place])
            test_room -= sizes[place]
        elif sizes[place] <= validation_room:
            validation.append(names[place])
            validation_room -= sizes[place]
    in_test, in_validation = np.isin(groups, test), np.isin(groups, validation)
    return Split(
        training=np.flatnonzero(~in_test & ~in_validation),
        validation=np.flatnonzero(in_validation),
        test=np.flatnonzero(in_test),
    )
