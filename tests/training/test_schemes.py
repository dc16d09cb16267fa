"""How listings are divided for a cross-validation."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scorer.errors import InputError
from scorer.settings import TrainJob
from scorer.training.examples import Examples
from scorer.training.images import ImageCache
from scorer.training.schemes import Schemes, scheme_of
from scorer.training.split import latest_times


def examples(groups: list[int], times: list[int] | None = None) -> Examples:
    n = len(groups)
    cache = ImageCache(np.zeros((0, 8, 8, 3), np.uint8), {}, {}, Counter())
    none = np.full((n, 1), -1, np.int32)
    moments = None if times is None else np.array(times)
    table = pa.table({"listing_id": [str(row) for row in range(n)]})
    return Examples(table, (), np.ones(n), [], none, none, cache, np.array(groups), 0, times=moments)


ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6), st.booleans()), min_size=4, max_size=60)


@given(ROWS, st.integers(2, 5), st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_no_listing_of_a_fold_shares_a_group_with_one_that_was_fitted_on(
    rows: list[tuple[int, int, bool]], folds: int, repeats: int, in_time: bool, seed: int
) -> None:
    groups, times, chosen = (list(values) for values in zip(*rows, strict=True))
    given_ = examples(groups, times if in_time else None)
    some = np.flatnonzero(chosen)
    try:
        scheme = scheme_of(f"{folds}x{repeats}", given_, some, seed)
    except InputError:
        assume(False)
    assert len(scheme.repeats) == repeats
    for turn in scheme.repeats:
        assert len(turn) == folds
        for known, held_out in turn:
            assert len(known)
            assert len(held_out)
            assert not set(given_.groups[known]) & set(given_.groups[held_out])
            assert set(known) | set(held_out) <= set(some)
            if in_time:
                latest = latest_times(given_.groups[some], np.array(times)[some])
                at = dict(zip(some, latest, strict=True))
                assert max(at[row] for row in known) < min(at[row] for row in held_out)
        held = np.concatenate([held_out for _, held_out in turn])
        assert len(set(held)) == len(held), "no listing is predicted twice a repetition"
        if not in_time:
            assert set(held) == set(some)


def test_repetitions_are_dealt_out_differently() -> None:
    scheme = scheme_of("3x2", examples(list(range(30))), np.arange(30), 0)
    first, second = (turn[0][1].tolist() for turn in scheme.repeats)
    assert first != second


@pytest.mark.parametrize(("wanted", "words"), [("5x1", "once"), ("5x2", "twice"), ("5x3", "3 times")])
def test_a_scheme_says_what_it_is(wanted: str, words: str) -> None:
    assert scheme_of(wanted, examples(list(range(9))), np.arange(9), 0).words == (
        f"5 folds of whole groups, dealt out {words}"
    )
    assert "walking forward" in scheme_of(wanted, examples(list(range(9)), list(range(9))), np.arange(9), 0).words


def test_fewer_groups_than_folds_are_refused_with_both_figures() -> None:
    with pytest.raises(InputError, match=r"9 listings in 3 parts that must not be divided do not fill 5 folds"):
        scheme_of("5x1", examples([0, 0, 0, 1, 1, 1, 2, 2, 2]), np.arange(9), 0)
    with pytest.raises(InputError, match="9 listings in 2 parts"):
        scheme_of("2x1", examples(list(range(9)), [0] * 5 + [1] * 4), np.arange(9), 0)


def job(**settings: object) -> TrainJob:
    return TrainJob.model_validate({"listings": "L", "target": "price", "bundle": "B", **settings})


def test_a_fusion_is_chosen_without_a_look_at_the_test_listings_and_only_where_there_is_a_choice() -> None:
    known = np.arange(20)
    schemes = Schemes.of(job(fusion="all", cross_validate="4x2"), examples(list(range(30))), known)
    assert schemes.choosing is not None
    assert schemes.judging is not None
    assert {row for turn in schemes.choosing.repeats for fold in turn for rows in fold for row in rows} == set(known)
    assert {row for turn in schemes.judging.repeats for _, rows in turn for row in rows} == set(range(30))
    assert Schemes.of(job(), examples(list(range(30))), known) == Schemes(None, None)
    assert Schemes.of(job(fusion="all"), examples(list(range(30))), known).judging is None


@pytest.mark.parametrize("wanted", ["1x3", "5", "5x0", "x", "5x3x2", "five"])
def test_what_names_no_folds_is_refused(wanted: str) -> None:
    with pytest.raises(ValueError, match="cross_validate"):
        job(cross_validate=wanted)
