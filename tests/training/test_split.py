import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scorer.training.split import (
    group_folds,
    group_rows,
    latest_times,
    split_by_time,
    split_groups,
    time_folds,
)

keys = st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=60)
shares = st.floats(0, 0.5)


def side_of(keys: list[list[int]], validation: float, test: float, seed: int) -> np.ndarray:
    split = split_groups(group_rows(keys), validation_share=validation, test_share=test, seed=seed)
    sides = np.full(len(keys), -1)
    for side, rows in enumerate((split.training, split.validation, split.test)):
        assert (sides[rows] == -1).all(), "a row is on two sides"
        sides[rows] = side
    assert (sides >= 0).all(), "a row is on no side"
    return sides


@given(keys, shares, shares, st.integers(0, 5))
def test_rows_that_share_a_key_never_straddle_the_split(
    keys: list[list[int]], validation: float, test: float, seed: int
) -> None:
    sides = side_of(keys, validation, test, seed)
    for one, own in enumerate(keys):
        for other, others in enumerate(keys):
            if set(own) & set(others):
                assert sides[one] == sides[other]


@given(keys, shares, shares, st.integers(0, 5))
def test_no_side_exceeds_its_share(keys: list[list[int]], validation: float, test: float, seed: int) -> None:
    sides = side_of(keys, validation, test, seed)
    assert (sides == 1).sum() <= round(validation * len(keys))
    assert (sides == 2).sum() <= round(test * len(keys))


def test_a_chain_of_shared_keys_is_one_group() -> None:
    assert group_rows([["a"], ["b"], ["c"], ["b", "c"], ["d"], ["a", "c"]]).tolist() == [0, 0, 0, 0, 4, 0]


def test_rows_without_keys_are_groups_of_their_own() -> None:
    assert group_rows([[], [], []]).tolist() == [0, 1, 2]


def test_lone_rows_fill_the_shares_exactly() -> None:
    split = split_groups(np.arange(100), validation_share=0.2, test_share=0.1, seed=0)
    assert [len(rows) for rows in (split.training, split.validation, split.test)] == [70, 20, 10]


def test_the_seed_decides_who_is_where_and_nothing_else_does() -> None:
    one, same, other = (split_groups(np.arange(100), validation_share=0.2, test_share=0.2, seed=s) for s in (1, 1, 2))
    assert one.test.tolist() == same.test.tolist() != other.test.tolist()


def test_a_group_larger_than_test_and_validation_is_trained_on() -> None:
    split = split_groups(np.array([0] * 60 + list(range(60, 100))), validation_share=0.2, test_share=0.2, seed=0)
    assert set(range(60)) <= set(split.training.tolist())
    assert len(split.test) == len(split.validation) == 20


moments_of = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 9)), min_size=1, max_size=60)


@given(moments_of, shares, shares)
def test_by_time_what_is_tested_is_later_than_all_that_was_learned_from(
    rows: list[tuple[int, int]], validation: float, test: float
) -> None:
    groups, times = (np.array(values) for values in zip(*rows, strict=True))
    split = split_by_time(groups, times, validation_share=validation, test_share=test)
    parts = [split.training, split.validation, split.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(rows)))
    assert len(split.test) <= round(test * len(rows))
    latest = latest_times(groups, times)
    for earlier, later in [(0, 1), (0, 2), (1, 2)]:
        if len(parts[earlier]) and len(parts[later]):
            assert times[parts[earlier]].max() < latest[parts[later]].min()
            assert not set(groups[parts[earlier]]) & set(groups[parts[later]])


def test_by_time_lone_rows_fill_the_shares_with_the_latest() -> None:
    split = split_by_time(np.arange(10), np.arange(10)[::-1].copy(), validation_share=0.2, test_share=0.3)
    assert (split.test.tolist(), split.validation.tolist()) == ([0, 1, 2], [3, 4])


@given(keys, st.integers(2, 5), st.integers(0, 5))
def test_folds_hold_every_row_once_and_divide_no_group(keys: list[list[int]], count: int, seed: int) -> None:
    groups = group_rows(keys)
    folds = group_folds(groups, count, seed)
    assert sorted(np.concatenate([held_out for _, held_out in folds]).tolist()) == list(range(len(keys)))
    for known, held_out in folds:
        assert len(known) + len(held_out) == len(keys)
        assert not set(groups[known]) & set(groups[held_out])


def test_folds_are_of_about_equal_size_though_groups_are_not() -> None:
    groups = np.repeat(np.arange(30), np.arange(30) % 7 + 1)
    sizes = [len(held_out) for _, held_out in group_folds(groups, 5, seed=1)]
    assert max(sizes) - min(sizes) <= 2


def test_another_seed_deals_other_folds() -> None:
    one, same, other = (group_folds(np.arange(40), 4, seed) for seed in (1, 1, 2))
    assert [held_out.tolist() for _, held_out in one] == [held_out.tolist() for _, held_out in same]
    assert one[0][1].tolist() != other[0][1].tolist()


@given(moments_of, st.integers(1, 4))
def test_folds_in_time_are_learned_from_the_past_alone(rows: list[tuple[int, int]], count: int) -> None:
    groups, times = (np.array(values) for values in zip(*rows, strict=True))
    for known, held_out in time_folds(groups, times, count):
        assert latest_times(groups, times)[known].max() < latest_times(groups, times)[held_out].min()
        assert not set(groups[known]) & set(groups[held_out])


def test_folds_in_time_walk_through_all_but_the_earliest_part() -> None:
    folds = time_folds(np.arange(12), np.arange(12), 3)
    assert [held_out.tolist() for _, held_out in folds] == [[3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert [len(known) for known, _ in folds] == [3, 6, 9]
