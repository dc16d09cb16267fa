import json

import numpy as np
import pytest

from scorer.training import evaluate
from scorer.training.evaluate import bootstrap, compare, measure, share_words, table, to_plain

ACTUAL = np.exp(np.random.default_rng(0).normal(12, 0.5, 200))
LONE = np.arange(200)


def noisy(share: float, seed: int) -> np.ndarray:
    return ACTUAL * np.exp(np.random.default_rng(seed).normal(0, share, len(ACTUAL)))


def test_metrics_are_what_their_names_say() -> None:
    metrics = measure(np.array([100.0, 200.0, 400.0]), np.array([110.0, 160.0, 400.0]))
    assert metrics.mape == pytest.approx(10)
    assert metrics.median_ape == pytest.approx(10)
    assert metrics.mae == pytest.approx(50 / 3)
    assert metrics.r2 == pytest.approx(1 - 1700 / 46666.6667)
    assert metrics.n == 3


def test_percentages_leave_targets_of_zero_out() -> None:
    assert measure(np.array([0.0, 100.0]), np.array([5.0, 110.0])).mape == pytest.approx(10)
    assert measure(np.array([0.0]), np.array([5.0])).mape is None


def test_a_constant_target_has_no_r2() -> None:
    assert measure(np.array([3.0, 3.0]), np.array([3.0, 4.0])).r2 is None


def test_images_that_clearly_help_are_said_to_help() -> None:
    found = compare(ACTUAL, noisy(0.4, 1), noisy(0.1, 2), LONE, seed=0)
    assert 0 < found.low < found.difference < found.high
    assert found.verdict.startswith("The images help: on 200 test listings the MAPE is ")


def test_images_that_clearly_harm_are_said_to_harm() -> None:
    assert compare(ACTUAL, noisy(0.1, 1), noisy(0.4, 2), LONE, seed=0).verdict.startswith("The images make it worse")


def test_a_difference_within_noise_is_called_that() -> None:
    found = compare(ACTUAL, noisy(0.2, 1), noisy(0.2, 2), LONE, seed=0)
    assert found.low < 0 < found.high
    assert "cannot be told" in found.verdict
    assert found.verdict.endswith("within noise.")


def test_listings_that_hang_together_count_as_fewer() -> None:
    """Two hundred copies of twenty listings tell no more than twenty."""
    copies = np.repeat(np.arange(20), 10)
    lone = compare(ACTUAL[copies], noisy(0.3, 1)[copies], noisy(0.2, 2)[copies], LONE, seed=0)
    grouped = compare(ACTUAL[copies], noisy(0.3, 1)[copies], noisy(0.2, 2)[copies], copies, seed=0)
    assert grouped.high - grouped.low > 2 * (lone.high - lone.low)


def test_targets_of_zero_are_compared_by_absolute_error() -> None:
    found = compare(np.array([0.0, 2.0]), np.array([1.0, 2.0]), np.array([0.0, 2.0]), np.arange(2), seed=0)
    assert (found.measure, found.numbers, found.fused) == ("MAE", 0.5, 0.0)


@pytest.mark.parametrize("shift", [-0.02, 0.0, 0.01])
def test_of_many_groups_the_interval_is_that_of_drawing_without_drawing(
    monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(4000), random.integers(1, 5, 4000))
    values = np.repeat(random.lognormal(0, 1, 4000) - np.exp(0.5), np.bincount(groups)) + shift
    drawn = bootstrap(values, groups, 0)
    monkeypatch.setattr(evaluate, "MANY_GROUPS", 4000)
    told, width = bootstrap(values, groups, 0), drawn[1] - drawn[0]
    assert told[0] == pytest.approx(drawn[0], abs=0.06 * width)
    assert told[1] == pytest.approx(drawn[1], abs=0.06 * width)
    assert told[2] == pytest.approx(drawn[2], abs=0.04)
    assert bootstrap(np.ones(4000), np.arange(4000), 0) == (1, 1, 1)


def test_the_verdict_says_how_often_chance_would_leave_it_as_it_is() -> None:
    found = compare(ACTUAL, noisy(0.22, 3), noisy(0.2, 2), LONE, seed=0)
    assert 0.5 < found.better < 1
    assert f"better with them in {100 * found.better:.0f} % of the resamples" in found.verdict


@pytest.mark.parametrize(("share", "words"), [(0.0, "under 1 %"), (0.5, "50 %"), (1, "over 99 %")])
def test_no_resampling_says_never_or_always(share: float, words: str) -> None:
    assert share_words(share) == words


def test_the_table_has_a_line_for_each_model_and_ends_with_the_verdict() -> None:
    models = {"constant": measure(np.array([0.0]), np.array([1.0])), "fused": measure(ACTUAL, noisy(0.1, 1))}
    comparison = compare(ACTUAL, noisy(0.4, 1), noisy(0.1, 2), LONE, seed=0)
    lines = table(models, comparison).splitlines()
    assert lines[1].split() == ["constant", "-", "-", "-", "1", "1"]
    assert lines[2].startswith("fused")
    assert lines[-1] == comparison.verdict


def test_it_all_is_plain_json() -> None:
    comparison = compare(ACTUAL, noisy(0.4, 1), noisy(0.1, 2), LONE, seed=0)
    plain = to_plain({"fused": measure(ACTUAL, noisy(0.1, 1))}, comparison)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
