import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.output import distribution
from scorer.output.distribution import Distribution, Distributions
from tests.output.gates.market import images, listings, scores, sketcher


def whole_and_parts(rows: int, cuts: list[int]) -> tuple[Distributions, list[Distributions]]:
    """The same rows sketched at once, and unit by unit."""
    rng = np.random.default_rng(rows)
    table, used = listings(rng, rows), images(rng, rows)
    said = scores(table, rng)
    said[::17] = np.nan
    batch = table.combine_chunks().to_batches()[0]
    at = sorted({0, rows, *(cut % rows for cut in cuts)})
    parts = [
        sketcher().sketch(batch.slice(start, stop - start), said[start:stop], used[start:stop])
        for start, stop in itertools.pairwise(at)
    ]
    return sketcher().sketch(batch, said, used), parts


@given(st.integers(1, 300), st.lists(st.integers(0, 10_000), max_size=6))
def test_units_add_up_to_the_run(rows: int, cuts: list[int]) -> None:
    whole, parts = whole_and_parts(rows, cuts)
    together = distribution.add(parts)
    assert together.features == whole.features
    assert together.images == whole.images
    for name in ("histogram", "below", "above", "minimum", "maximum", "low", "high"):
        assert getattr(together.scores, name) == getattr(whole.scores, name)
    for name in ("mean", "deviation"):
        mine, theirs = getattr(together.scores, name), getattr(whole.scores, name)
        assert (mine is None and theirs is None) or math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-6)
    assert all(column.rows == rows for column in whole.features.values())


def test_a_sketch_survives_the_way_through_the_store() -> None:
    whole, _ = whole_and_parts(200, [])
    assert Distributions.model_validate_json(whole.model_dump_json()) == whole


def test_nothing_adds_nothing() -> None:
    whole, _ = whole_and_parts(50, [])
    assert distribution.add([]) == Distributions()
    assert distribution.add([Distributions(), whole]) == distribution.add([whole, Distributions()]) == whole


def test_counts_over_other_bins_are_never_added() -> None:
    with pytest.raises(ValueError, match="different bins"):
        Distribution(edges=(1.0,), counts=(1, 1)).plus(Distribution(edges=(2.0,), counts=(1, 1)))


def test_rows_whose_every_score_failed_leave_the_others_figures_alone() -> None:
    rng = np.random.default_rng(0)
    table, used = listings(rng, 20), images(rng, 20)
    batch = table.combine_chunks().to_batches()[0]
    failed = sketcher().sketch(batch, np.full(20, np.nan), used)
    assert (failed.scores.scored, failed.scores.histogram.missing, failed.scores.mean) == (0, 20, None)
    good = sketcher().sketch(batch, np.full(20, 250_000.0), used)
    both = failed.plus(good).scores
    assert (both.mean, both.deviation, both.minimum, both.scored) == (250_000.0, 0.0, 250_000.0, 20)
