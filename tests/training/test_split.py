import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scorer.training.split import group_rows, split_groups

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
