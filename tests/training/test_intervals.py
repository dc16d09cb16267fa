"""Intervals from out-of-fold residuals: what they hold, for whom, and what is said of it."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.model.intervals import Band, Intervals
from scorer.training.intervals import LEAST_IN_SEGMENT, OutOfFold, conformal_ends, coverage, fit_intervals

Floats = npt.NDArray[np.float64]


def seen(number: int = 2000, *, without: int = 0, seed: int = 0, spread: Floats | float = 1.0) -> OutOfFold:
    """Predictions whose error has a deviation of `spread` with images, and of twice that without."""
    chance = np.random.default_rng(seed)
    error = chance.normal(size=number) * spread
    has_images = np.arange(number) >= without
    return OutOfFold(
        truth=error,
        with_images=np.where(has_images, 0.0, -error),
        without=-error,
        has_images=has_images,
        fold=np.arange(number) % 5,
    )


def fitted(found: Intervals | None) -> dict[tuple[str | None, bool | None], Band]:
    assert found is not None
    return {(band.segment, band.images): band for band in found.bands}


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("skewed", [False, True])
def test_ends_hold_the_level_of_listings_that_they_were_not_made_from(level: float, skewed: bool) -> None:
    """The mean over many samples: what the finite-sample rank is for. 30 residuals, 3,000 others."""
    chance = np.random.default_rng(1)
    draw = chance.gamma(1.0, size=(400, 330)) if skewed else chance.standard_t(3, size=(400, 330))
    held = []
    for sample in draw:
        ends = conformal_ends(sample[:30], level)
        assert ends is not None
        held.append(((ends[0] <= sample[30:]) & (sample[30:] <= ends[1])).mean())
    assert level - 0.01 <= np.mean(held) <= level + 1 / 31 + 0.01


@given(
    st.lists(st.floats(-1e6, 1e6), max_size=60), st.sampled_from([0.5, 0.9, 0.99]), st.sampled_from(["both", "each"])
)
def test_the_prediction_is_never_outside_and_too_few_residuals_give_no_ends(
    residuals: list[float], level: float, tails: Literal["both", "each"]
) -> None:
    ends = conformal_ends(np.array(residuals, np.float64), level, tails)
    of_a_tail = level if tails == "both" else (1 + level) / 2
    assert (ends is None) == (np.ceil((len(residuals) + 1) * of_a_tail) > len(residuals))
    assert ends is None or ends[0] <= 0 <= ends[1]


def test_at_ninety_percent_nine_residuals_are_the_fewest() -> None:
    assert conformal_ends(np.arange(8.0), 0.9) is None
    assert conformal_ends(np.arange(9.0), 0.9) == (-8.0, 8.0)


def test_each_tail_by_itself_follows_a_skewed_prediction() -> None:
    residuals = np.random.default_rng(0).gamma(1.0, size=5000)  # a prediction below nearly every truth
    low, high = conformal_ends(residuals, 0.9, "each") or (np.nan, np.nan)
    assert low == 0.0
    assert high == pytest.approx(-np.log(0.05), rel=0.1)


def test_listings_without_images_have_residuals_of_their_own_where_there_are_enough() -> None:
    bands = fitted(fit_intervals(seen(without=500), 0.9))
    assert (bands[None, True].n, bands[None, False].n) == (1500, 500)
    assert not bands[None, False].images_taken_away
    assert bands[None, True].high == pytest.approx(1.645, abs=0.1)
    assert bands[None, False].high == pytest.approx(3.29, abs=0.3)


def test_else_those_of_all_listings_with_their_images_taken_away_and_that_is_said() -> None:
    bands = fitted(fit_intervals(seen(without=20), 0.9))
    assert (bands[None, False].n, bands[None, False].images_taken_away) == (2000, True)
    assert bands[None, False].high == pytest.approx(3.29, abs=0.2)


def test_the_coverage_that_is_told_is_that_of_folds_which_the_ends_have_not_seen() -> None:
    residuals = np.random.default_rng(3).normal(size=1000)
    fold = np.arange(1000) % 5
    assert coverage(residuals, fold, 0.9) == pytest.approx(0.9, abs=0.02)
    residuals[fold == 4] *= 10  # one fold that is nothing like the others
    told = coverage(residuals, fold, 0.9)
    assert told is not None
    assert told < 0.85
    whole = conformal_ends(residuals, 0.9)
    assert whole is not None
    assert ((whole[0] <= residuals) & (residuals <= whole[1])).mean() >= 0.9, "seen by themselves they would look fine"


def test_a_segment_with_enough_listings_has_a_band_of_its_own() -> None:
    number = 5 * LEAST_IN_SEGMENT
    segments = ["Lyon" if at % 2 else "Porto" for at in range(number - 10)] + [None] * 5 + ["Rome"] * 5
    spread = np.where(np.array(segments, object) == "Lyon", 3.0, 1.0)
    found = fit_intervals(OutOfFold(**{**vars(seen(number, spread=spread)), "segments": segments}), 0.9, by="city")
    bands = fitted(found)
    assert {segment for segment, _ in bands} == {None, "Lyon", "Porto"}
    assert bands["Lyon", True].high == pytest.approx(3 * 1.645, rel=0.15)
    assert bands["Porto", True].high == pytest.approx(1.645, rel=0.15)


def test_the_intervals_as_a_whole_hold_their_level_of_new_listings() -> None:
    found = fit_intervals(seen(3000, without=300), 0.9)
    assert found is not None
    fresh = seen(5000, without=1000, seed=9)
    told = np.where(fresh.has_images, fresh.with_images, fresh.without)
    low, high = found.ends(told, fresh.has_images, None)
    for rows in (fresh.has_images, ~fresh.has_images):
        inside = (low <= fresh.truth) & (fresh.truth <= high)
        assert inside[rows].mean() == pytest.approx(0.9, abs=0.025)


def test_too_few_listings_have_no_intervals() -> None:
    assert fit_intervals(seen(8), 0.9) is None
