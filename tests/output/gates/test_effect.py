"""How far two distributions are apart, and what chance alone does."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator

from scorer.output.distribution import Distribution
from scorer.output.gates.effect import CATEGORIES, Effect, compare

NORMAL = NormalDist()
EDGES = tuple(NORMAL.inv_cdf(level / 20) for level in range(1, 20))


def numbers(values: np.ndarray[Any, Any]) -> Distribution:
    counts = np.bincount(np.searchsorted(EDGES, values, side="right"), minlength=20)
    return Distribution(edges=EDGES, counts=tuple(counts.tolist()))


def distance(now: Distribution, then: Distribution, comparisons: int = 1) -> Effect:
    found = compare(now, then, comparisons)
    assert found is not None
    return found


@pytest.mark.parametrize("moved", [0.3, 0.7])
def test_normals_that_move_measure_what_theory_says(moved: float) -> None:
    rng = np.random.default_rng(0)
    found = distance(numbers(rng.normal(moved, 1, 200_000)), numbers(rng.normal(0, 1, 200_000)))
    assert found.psi == pytest.approx(moved**2, rel=0.08)
    assert found.ks == pytest.approx(2 * NORMAL.cdf(moved / 2) - 1, rel=0.03)


@pytest.mark.parametrize(("rows", "before"), [(200, 200), (200, 20_000), (20_000, 500), (60, 160)])
def test_chance_stays_below_the_noise_that_is_stated(rows: int, before: int) -> None:
    rng = np.random.default_rng(rows)
    for _ in range(200):
        found = distance(numbers(rng.normal(0, 1, rows)), numbers(rng.normal(0, 1, before)))
        assert found.psi < found.psi_noise
        assert found.ks is not None
        assert found.ks < found.ks_noise


def test_the_noise_shrinks_with_the_rows_and_grows_with_the_number_of_comparisons() -> None:
    rng = np.random.default_rng(5)
    few, many = numbers(rng.normal(0, 1, 500)), numbers(rng.normal(0, 1, 50_000))
    assert distance(many, many).psi_noise < 0.02 < distance(few, few).psi_noise
    assert distance(few, few, 100).psi_noise > distance(few, few, 1).psi_noise
    assert distance(few, few, 100).ks_noise > distance(few, few, 1).ks_noise


def _named(rng: Generator, rows: int, names: int) -> np.ndarray[Any, Any]:
    shares = 1 / np.arange(1, names + 1)
    drawn: np.ndarray[Any, Any] = rng.choice(names, rows, p=shares / shares.sum())
    return drawn


def test_values_that_chance_lifted_into_the_list_are_no_drift() -> None:
    """400 names, of which the training listed the 100 that it saw most: rare ones sink back on every later night."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        seen = np.bincount(_named(rng, 1_500, 400), minlength=400)
        top = np.argsort(-seen, kind="stable")[:100]
        later = np.bincount(_named(rng, 20_000, 400), minlength=400)
        then, now = (
            Distribution(
                kind="category",
                values=tuple(map(str, top)),
                counts=(*counts[top].tolist(), int(counts.sum() - counts[top].sum())),
            )
            for counts in (seen, later)
        )
        found = distance(now, then)
        assert found.psi < found.psi_noise


def test_a_category_of_many_values_counts_as_few_bins() -> None:
    values = tuple(f"v{number}" for number in range(100))
    even = Distribution(kind="category", values=values, counts=(*[1000] * 100, 0))
    found = distance(even, even)
    chi_square = 54.4  # its quantile at 1 - 0.5e-4 with 20 degrees of freedom: 20 values, and the rest
    assert CATEGORIES == 20
    assert found.psi_noise == pytest.approx(1.2 * chi_square * 2 / even.rows, rel=0.02)
    assert found.ks is None


def test_missing_values_are_a_bin_of_their_own() -> None:
    full = Distribution(edges=(0.0,), counts=(500, 500))
    gaps = Distribution(edges=(0.0,), counts=(350, 350), missing=300)
    found = distance(gaps, full)
    assert found.psi > 1
    assert found.ks == 0


def test_a_value_that_was_rare_and_takes_over_is_noticed() -> None:
    values = tuple(f"v{number}" for number in range(50))
    then = Distribution(kind="category", values=values, counts=(900, *[2] * 49, 2))
    now = Distribution(kind="category", values=values, counts=(500, *[2] * 48, 400, 4))
    assert distance(now, then).psi > 0.5


def test_other_bins_and_a_few_rows_are_not_compared() -> None:
    some = Distribution(edges=(0.0,), counts=(50, 50))
    assert compare(some, Distribution(edges=(1.0,), counts=(50, 50)), 1) is None
    assert compare(some, Distribution(edges=(0.0,), counts=(10, 9)), 1) is None
    assert compare(some, Distribution(), 1) is None


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=25),
    st.integers(0, 300),
    st.integers(0, 300),
    st.sampled_from(["number", "category"]),
)
def test_any_counts_give_finite_distances(pairs: list[tuple[int, int]], gone: int, gone_then: int, kind: str) -> None:
    bins: dict[str, Any] = {"edges": tuple(float(n) for n in range(len(pairs) - 1))}
    if kind == "category":
        bins = {"values": tuple(str(n) for n in range(len(pairs) - 1))}
    mine, theirs = zip(*pairs, strict=True)
    now = Distribution.model_validate({"kind": kind, **bins, "counts": mine, "missing": gone})
    then = Distribution.model_validate({"kind": kind, **bins, "counts": theirs, "missing": gone_then})
    found = compare(now, then, 3)
    assert (found is None) == (min(now.rows, then.rows) < 30)
    if found is not None:
        assert found.psi >= 0
        assert math.isfinite(found.psi)
        assert found.psi_noise >= 0
        assert found.ks is None or 0 <= found.ks <= 1
