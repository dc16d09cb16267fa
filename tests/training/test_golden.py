import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scorer.training.golden import GOLDEN_ROWS, choose_rows


def chosen(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Images per row, target, gaps, and the rows chosen."""
    random = np.random.default_rng(seed)
    images = np.where(random.random((rows, 4)) < 0.5, 1, -1).astype(np.int32)
    gaps = {reason: random.random(rows) < 0.05 for reason in ("feature_missing", "category_unseen")}
    target = random.normal(size=rows)
    return (images >= 0).sum(axis=1), target, gaps, choose_rows(images, gaps, target, seed)


@given(st.integers(1, 100), st.integers(0, 20))
def test_rows_are_distinct_and_eight_where_there_are_as_many(rows: int, seed: int) -> None:
    *_, found = chosen(rows, seed)
    assert len(set(found.tolist())) == len(found) == min(rows, GOLDEN_ROWS)


@given(st.integers(20, 100), st.integers(0, 20))
def test_they_include_the_extremes_and_every_kind_of_gap_that_occurs(rows: int, seed: int) -> None:
    counts, target, gaps, found = chosen(rows, seed)
    assert counts[found].max() == counts.max()
    assert counts[found].min() == counts.min()
    assert target[found].min() == target.min()
    assert target[found].max() == target.max()
    for mask in gaps.values():
        assert mask[found].any() == mask.any()
