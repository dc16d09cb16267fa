"""Targets that name something: from the column to calibrated probabilities."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorer.errors import ContractError, SettingsError
from scorer.model.calibration import sigmoid
from scorer.model.classification import classification
from scorer.model.fusions import FUSIONS
from scorer.training.calibrate import calibrated, fit_calibration
from scorer.training.classes import (
    as_goal,
    balance,
    cross_entropy,
    frequencies,
    outputs_of,
    probabilities,
    read_classes,
)
from scorer.training.fitted import FittedNet
from scorer.training.judge_classes import judge_classes
from scorer.training.objective import Goal, Objective
from scorer.training.prepare import Data
from scorer.training.procedure import fit_fused, fit_images_only, fit_numbers_only
from scorer.training.told import readout_of
from tests.training.test_procedure import KNOWN, TEST, data, tiny_recipes

__all__ = ["tiny_recipes"]

TWO, THREE = ("dear", "fair"), ("cheap", "dear", "fair")


def column(values: list[Any], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize(
    ("values", "names", "codes"),
    [
        (column(["b", "a", "b"]), ("a", "b"), [1, 0, 1]),
        (column(["b", "a", "b"]).dictionary_encode(), ("a", "b"), [1, 0, 1]),
        (column([True, False]), ("false", "true"), [1, 0]),
        (column([10, 9, 10, 0]), ("0", "9", "10"), [2, 1, 2, 0]),
    ],
)
def test_classes_are_in_the_order_of_their_names_and_numbers_in_theirs(
    values: pa.ChunkedArray, names: tuple[str, ...], codes: list[int]
) -> None:
    found, told = read_classes(values, "state")
    assert told == names
    assert found.tolist() == codes


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (column(["a", "a"]), "names 1 classes; 2 to 100 can be learned"),
        (column([str(n) for n in range(101)]), "names 101 classes"),
        (column([0.0, 1.0]), "is double; classes are named by text, booleans or whole numbers"),
        (column([["a"], ["b"]]), "is list"),
        (column(["a", "b\n"]), r"names a class 'b\\n'"),
        (column(["a", ""]), "names a class ''"),
        (column([2**60, 2**60 + 8, 1]), r"whole numbers beyond 2\^53 in 2 rows"),
    ],
)
def test_what_names_no_classes_is_refused(values: pa.ChunkedArray, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        read_classes(values, "state")


def test_every_class_of_several_has_an_output_of_its_own_name() -> None:
    assert outputs_of(()) == outputs_of(TWO) == ("prediction",)
    assert outputs_of(("To let", "to-let", "Zürich", "99", "!")) == (
        "p_to_let",
        "p_to_let_2",
        "p_z_rich",
        "p_99",
        "p_class",
    )


def test_logits_of_the_frequencies_say_the_frequencies() -> None:
    codes = np.random.default_rng(0).choice(3, 10_000, p=[0.6, 0.3, 0.1]).astype(np.float64)
    for count in (2, 3):
        goal = as_goal(np.minimum(codes, count - 1), count)
        told = probabilities(frequencies(goal, np.ones(len(goal)))[None])[0]
        np.testing.assert_allclose(told, goal.mean(axis=0), atol=1e-3)


@pytest.mark.parametrize("count", [2, 3])
def test_cross_entropy_is_the_log_loss(count: int) -> None:
    chance = np.random.default_rng(0)
    goal = as_goal(chance.integers(0, count, 50).astype(np.float64), count)
    logits = 5 * chance.normal(size=goal.shape)
    losses = Goal.of(goal, Objective(cross_entropy, classes=THREE[:count])).mean_losses(logits)
    assert losses.shape == (1,)
    actual = goal.argmax(axis=1) if count > 2 else goal[:, 0].astype(np.int64)
    assert losses[0] == pytest.approx(classification(actual, calibrated(logits, None)).log_loss)


def test_balanced_classes_count_alike_and_the_logits_can_be_brought_back() -> None:
    goal = as_goal(np.repeat([0.0, 1.0], [90, 10]), 2)
    weights, added = balance(goal, np.ones(100))
    assert weights[:90].sum() == pytest.approx(weights[90:].sum())
    assert weights.sum() == pytest.approx(100)
    assert frequencies(goal, weights) - added == pytest.approx(np.log(10 / 90), abs=0.05)


def test_an_overconfident_net_is_cooled_down() -> None:
    chance = np.random.default_rng(0)
    logits = 1.5 * chance.normal(size=(800, 1))
    actual = (chance.random(800) < sigmoid(logits[:, 0])).astype(np.int64)
    found = fit_calibration(3 * logits, actual, np.ones(800), np.arange(800) % 5)
    assert found is not None
    assert found.method == "temperature"
    assert found.temperature == pytest.approx(3, rel=0.2)
    assert found.log_loss is not None
    assert found.log_loss_before is not None
    assert found.log_loss < found.log_loss_before


def test_a_net_that_is_wrong_in_a_way_that_no_temperature_mends_gets_a_curve() -> None:
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(5000, 1))
    actual = (chance.random(5000) < np.where(logits[:, 0] > 0, 0.9, 0.3)).astype(np.int64)
    found = fit_calibration(logits, actual, np.ones(5000), np.arange(5000) % 5)
    assert found is not None
    assert found.method == "isotonic"
    told = calibrated(np.array([[-9.0], [9.0]]), found)[:, 1]
    assert told == pytest.approx([0.3, 0.9], abs=0.15)


def named(folder: Path, classes: tuple[str, ...], recipe: str = "frozen", **settings: Any) -> Data:
    """The listings of `test_procedure`, told apart by their price."""
    plain = data(folder, recipe, **{"target_transform": "auto", **settings})
    edges = np.quantile(plain.examples.target, np.linspace(0, 1, len(classes) + 1)[1:-1])
    codes = np.searchsorted(edges, plain.examples.target).astype(np.float64)
    return replace(plain, examples=replace(plain.examples, target=codes, classes=classes))


def losses(fitted: FittedNet, images: int | None = None) -> float:
    told = calibrated(fitted.raw(TEST, images), readout_of(fitted).calibration)
    return classification(fitted.data.examples.target[TEST].astype(np.int64), told).log_loss


RECIPES = [*(("frozen", fusion) for fusion in FUSIONS), ("trained", "late_gate")]


@pytest.mark.parametrize(
    ("recipe", "fusion", "classes"),
    [(recipe, fusion, (TWO, THREE)[place % 2]) for place, (recipe, fusion) in enumerate(RECIPES)],
)
def test_every_fusion_tells_classes_and_falls_back_to_the_numbers_alone(
    tmp_path: Path, recipe: str, fusion: str, classes: tuple[str, ...]
) -> None:
    given = named(tmp_path, classes, recipe, fusion=fusion, epochs=3)
    fused = fit_fused(given, KNOWN, 1)
    assert fused.raw(TEST).shape == (len(TEST), 1 if len(classes) == 2 else 3)
    np.testing.assert_array_equal(fused.raw(TEST, images=0), fit_numbers_only(given, KNOWN, 1).raw(TEST))
    readout = readout_of(fused)
    assert readout.classes == classes
    assert readout.calibration is not None
    assert not list(readout.problems(given.outputs))


@pytest.mark.parametrize("classes", [TWO, THREE], ids=["two", "three"])
def test_where_images_matter_both_together_tell_classes_better_than_either(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    given = named(tmp_path, classes, "backbone", epochs=30)
    fused, images = fit_fused(given, KNOWN, 1), fit_images_only(given, KNOWN, 1)
    assert fused.numbers is not None
    assert losses(fused) < 0.95 * losses(fused.numbers)
    assert losses(fused) < losses(images) < 1.02 * np.log(len(classes))
    judged = judge_classes(fused, TEST)
    told = judged.metrics["test"]
    assert told["numbers and images"]["auc"] > told["numbers only"]["auc"]
    assert told["constant (frequencies)"]["log_loss"] == pytest.approx(np.log(len(classes)), abs=0.05)
    assert "log loss is" in judged.text
    page, plain = (judged.card[name].decode() for name in ("card.html", "card.md"))
    matrix = plain.split("## What is taken for what")[1].split("##")[0]
    rows = [line.split("|")[2:-1] for line in matrix.splitlines() if line.startswith(tuple(f"| {n} " for n in classes))]
    counts = np.array(rows, int)
    assert counts.sum() == len(TEST)
    assert counts.sum(axis=1).tolist() == np.bincount(given.examples.target[TEST].astype(int)).tolist()
    assert np.trace(counts) / len(TEST) == pytest.approx(told["numbers and images"]["accuracy"])
    assert "Calibration in figures" in page
    assert judged.text.splitlines()[-1] in plain.replace("\\", "")


def test_balanced_weights_leave_the_probabilities_what_the_listings_are(tmp_path: Path) -> None:
    given = named(tmp_path, TWO, epochs=15)
    codes = np.where(given.examples.target + np.random.default_rng(0).random(len(given.examples)) > 1.8, 1.0, 0.0)
    rare = replace(given, examples=replace(given.examples, target=codes))
    balanced = replace(rare, job=rare.job.model_copy(update={"class_weight": "balanced"}))
    for fitted in (fit_fused(one, KNOWN, 1) for one in (rare, balanced)):
        told = calibrated(fitted.raw(TEST), readout_of(fitted).calibration)[:, 1]
        assert told.mean() == pytest.approx(codes.mean(), abs=0.06)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"loss": "mae"}, "loss: for targets that are numbers; 'price' names classes"),
        ({"correction": "shift"}, "correction"),
    ],
)
def test_settings_of_numbers_are_refused_for_classes(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        fit_numbers_only(named(tmp_path, TWO, **settings), KNOWN, 1)


def test_class_weights_are_refused_for_numbers(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="class_weight: 'price' is a number"):
        data(tmp_path, "frozen", class_weight="balanced")
