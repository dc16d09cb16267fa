"""Training, validation and test rows that share nothing: what hangs together stays on one side, in time or by lot."""

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


def split_by_time(groups: Rows, times: Rows, *, validation_share: float, test_share: float) -> Split:
    """The latest groups are the test, those before them the validation, the rest the training.

    A group is as late as its latest listing, so nothing that is trained on is later than the first day of the test. A
    share is never exceeded: a group that has no room any more, and whatever is earlier, belongs to the side before.

    Args:
        groups: int64 [n], equal for rows of one group.
        times: int64 [n], ascending with time; equal for the same moment, which is never divided.
        validation_share: of the rows.
        test_share: of the rows.
    """
    latest = latest_times(groups, times)
    moments, sizes = np.unique(latest, return_counts=True)
    later = np.cumsum(sizes[::-1])[::-1]  # rows at each moment and after it
    test_room = round(test_share * len(groups))
    in_test = np.isin(latest, moments[later <= test_room])
    room = in_test.sum() + round(validation_share * len(groups))
    in_validation = np.isin(latest, moments[later <= room]) & ~in_test
    return Split(
        training=np.flatnonzero(~in_test & ~in_validation),
        validation=np.flatnonzero(in_validation),
        test=np.flatnonzero(in_test),
    )


def latest_times(groups: Rows, times: Rows) -> Rows:
    """int64 [n]: for each row the latest time in its group."""
    _, group = np.unique(groups, return_inverse=True)
    latest = np.full(group.max(initial=-1) + 1, np.iinfo(np.int64).min)
    np.maximum.at(latest, group, times)
    return latest[group]


Fold = tuple[Rows, Rows]
"""Rows to fit on, and rows to be measured on: int64, ascending, no group in both."""


def group_folds(groups: Rows, count: int, seed: int) -> list[Fold]:
    """Deal whole groups out to `count` folds of about equal size; each is measured on by what the others taught.

    The largest groups are dealt first, each to the smallest fold so far; groups of one size in an order that the seed
    decides.
    """
    names, sizes = np.unique(groups, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of, filled = np.empty(len(names), np.int64), np.zeros(count, np.int64)
    for place in order:
        fold_of[place] = filled.argmin()
        filled[fold_of[place]] += sizes[place]
    of_row = fold_of[np.searchsorted(names, groups)]
    return [(np.flatnonzero(of_row != fold), np.flatnonzero(of_row == fold)) for fold in range(count)]


def time_folds(groups: Rows, times: Rows, count: int) -> list[Fold]:
    """Each fold is measured on by what all that was earlier taught; the earliest part is only learned from.

    Args:
        groups: int64 [n].
        times: int64 [n], ascending with time.
        count: folds; the rows are divided into one part more.
    """
    latest = latest_times(groups, times)
    moments, sizes = np.unique(latest, return_counts=True)
    part_of = np.minimum((np.cumsum(sizes) - sizes) * (count + 1) // len(groups), count)
    part = part_of[np.searchsorted(moments, latest)]
    folds = [(np.flatnonzero(part < fold), np.flatnonzero(part == fold)) for fold in range(1, count + 1)]
    return [(known, held_out) for known, held_out in folds if len(known) and len(held_out)]
