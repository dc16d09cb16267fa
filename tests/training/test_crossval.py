"""Cross-validation on ways to predict whose errors are known beforehand."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from scorer.training.crossval import (
    CrossValidation,
    Fits,
    Floats,
    Predicts,
    Scheme,
    choice_words,
    cross_validate,
    images_verdict,
    table,
)
from scorer.training.split import Rows, group_folds

N = 200
TARGET = np.exp(np.random.default_rng(0).normal(12, 0.5, N))
LONE = np.arange(N)


@dataclass(frozen=True)
class Off:
    """Predicts with an error of its own for each listing."""

    share: float
    seed: int
    asked: Callable[[Rows], None] = lambda rows: None

    def predict(self, rows: Rows) -> Floats:
        self.asked(rows)
        noise = np.random.default_rng(self.seed).normal(0, self.share, N)
        return np.asarray(TARGET * np.exp(noise))[rows]


@dataclass(frozen=True)
class Says:
    """Predicts these values, whatever it was fitted on."""

    values: Floats

    def predict(self, rows: Rows) -> Floats:
        return self.values[rows]


def off(share: float, seed: int) -> Fits:
    return lambda rows, turn: Off(share, 100 * seed + turn)


def scheme(repeats: int = 2, groups: Rows = LONE) -> Scheme:
    return Scheme(tuple(tuple(group_folds(groups, 4, seed)) for seed in range(repeats)), "4 folds, twice")


def validated(ways: dict[str, Fits], groups: Rows = LONE, target: Floats = TARGET) -> CrossValidation:
    return cross_validate(ways, ["fused"], target, groups, scheme(groups=groups), 0, lambda line: None)


GOOD: dict[str, Fits] = {"fused": off(0.1, 1), "numbers": off(0.3, 2), "shuffled": off(0.3, 3)}


def test_nothing_is_measured_on_a_row_that_it_was_fitted_on_and_every_row_once_a_repetition() -> None:
    seen: list[int] = []

    def fit(known: Rows, seed: int) -> Predicts:
        def asked(rows: Rows) -> None:
            assert not set(known) & set(rows)
            seen.extend(rows.tolist())

        return Off(0.1, 1, asked)

    found = validated({"fused": fit})
    assert sorted(seen) == sorted([*range(N)] * 2)
    assert (found.rows, found.fits) == (N, 8)


def test_a_way_is_given_the_same_folds_and_seeds_as_the_others() -> None:
    given: dict[str, list[tuple[list[int], int]]] = {"fused": [], "numbers": []}

    def noting(name: str) -> Fits:
        def fit(known: Rows, seed: int) -> Predicts:
            given[name].append((known.tolist(), seed))
            return Off(0.1, 1)

        return fit

    validated({name: noting(name) for name in given})
    assert given["fused"] == given["numbers"]
    assert {seed for _, seed in given["fused"]} == {0, 1}


def test_scores_are_the_errors_of_the_predictions() -> None:
    found = validated({"fused": lambda rows, seed: Off(0.0, 0)})
    score = found.scores["fused"]
    assert (score.metrics.mape, score.low, score.high, score.fold_sd) == (0, 0, 0, 0)
    twice = validated(
        {"fused": lambda rows, seed: type("Twice", (), {"predict": lambda self, rows: 2 * TARGET[rows]})()}
    )
    assert twice.scores["fused"].metrics.mape == pytest.approx(100)


def test_what_is_clearly_better_is_said_to_help_and_what_it_showed_to_be_the_reason() -> None:
    found = validated(GOOD)
    difference = found.against("numbers")
    assert 0 < difference.low < difference.mean < difference.high
    assert difference.better == 1
    said = images_verdict(found, "numbers", "shuffled")
    assert said.startswith(
        "The images help: over 200 listings, each predicted by models that had not seen it, the MAPE"
    )
    assert "better in over 99 % of the resamples" in said
    assert "it is what they show that helps" in said


def test_what_is_clearly_worse_is_said_to_harm() -> None:
    found = validated({"fused": off(0.3, 1), "numbers": off(0.1, 2)})
    assert images_verdict(found, "numbers", None).startswith("The images make it worse")


def test_a_difference_within_noise_is_called_that_and_nothing_is_concluded_from_it() -> None:
    found = validated({"fused": off(0.2, 1), "numbers": off(0.2, 2), "shuffled": off(0.2, 3)})
    said = images_verdict(found, "numbers", "shuffled")
    assert said.startswith("Whether the images help cannot be told")
    assert "within noise" in said
    assert "has not been seen to matter" in said
    assert "it is what they show that helps" not in said


def test_shuffled_images_that_do_as_well_take_the_credit_away() -> None:
    found = validated({"fused": off(0.1, 1), "numbers": off(0.3, 2), "shuffled": off(0.1, 3)})
    said = images_verdict(found, "numbers", "shuffled")
    assert said.startswith("The images help")
    assert "has not been seen to matter" in said


def test_listings_that_hang_together_count_as_fewer() -> None:
    def by_group(share: float, seed: int) -> Fits:
        """Listings of a group are missed by the same factor."""
        noise = np.repeat(np.random.default_rng(seed).normal(0, share, N // 10), 10)
        return lambda rows, turn: Says(TARGET * np.exp(noise))

    ways = {"fused": by_group(0.2, 1), "numbers": by_group(0.3, 2)}
    together = validated(ways, np.repeat(np.arange(N // 10), 10)).against("numbers")
    apart = validated(ways).against("numbers")
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_targets_of_zero_are_measured_by_absolute_error() -> None:
    target = TARGET.copy()
    target[0] = 0
    assert validated(GOOD, target=target).measure == "MAE"


def test_of_several_candidates_the_best_is_what_the_others_are_compared_with() -> None:
    found = cross_validate(GOOD, ["numbers", "fused"], TARGET, LONE, scheme(), 0, lambda line: None)
    assert found.ours == "fused"
    assert [difference.other for difference in found.differences] == ["numbers", "shuffled"]


def test_of_several_the_best_is_named_with_those_that_cannot_be_told_from_it() -> None:
    close = validated({"fused": off(0.2, 1), "gated": off(0.2003, 1), "worse": off(0.4, 3)})
    assert choice_words(close).startswith("fused has the lowest MAPE")
    clear = validated(GOOD)
    assert choice_words(clear).endswith("every other is clearly behind.")


def test_the_table_has_a_line_for_each_and_the_whole_is_plain_json() -> None:
    found = validated(GOOD)
    lines = table(found).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["fused", "numbers", "shuffled"]
    assert lines[0] == "cross-validated (4 folds, twice)"
    plain = found.to_plain()
    assert json.loads(json.dumps(plain, allow_nan=False)) == json.loads(json.dumps(plain))
