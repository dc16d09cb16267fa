"""What each loss is least for, and what a listing's weight does."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from scorer.settings import TrainJob
from scorer.training.fitted import FittedNet
from scorer.training.late import best_share
from scorer.training.members import fit_members
from scorer.training.objective import Goal, objective_of
from scorer.training.procedure import SILENT, fit_fused
from scorer.training.ridge import fit_scores
from scorer.training.state import Checkpoint
from scorer.training.told import below, readout_of
from tests.training.test_procedure import KNOWN, TEST, data, tiny_recipes

__all__ = ["tiny_recipes"]

TRUTHS = np.random.default_rng(0).gamma(2.0, size=401)
LOSSES: list[dict[str, Any]] = [
    {"loss": "mse"},
    {"loss": "mae"},
    {"loss": "huber"},
    {"loss": "quantile", "quantile": 0.9},
]


def job(**settings: Any) -> TrainJob:
    return TrainJob.model_validate({"listings": "L", "target": "price", "bundle": "B", **settings})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LOSSES[0], TRUTHS.mean()),
        (LOSSES[1], np.median(TRUTHS)),
        (LOSSES[3], np.quantile(TRUTHS, 0.9)),
        ({"loss": "quantile", "quantile": 0.1}, np.quantile(TRUTHS, 0.1)),
    ],
)
def test_the_constant_with_the_least_loss_is_the_figure_that_the_loss_is_for(
    settings: dict[str, Any], expected: float
) -> None:
    goal = Goal.of(TRUTHS[:, None], objective_of(job(**settings)))
    tried = np.linspace(0, TRUTHS.max(), 2000)
    losses = [goal.mean_losses(np.full_like(goal.values, constant))[0] for constant in tried]
    assert tried[int(np.argmin(losses))] == pytest.approx(expected, abs=TRUTHS.max() / 1000)
    assert goal.usual() == pytest.approx(expected, abs=TRUTHS.max() / 1000), "and that is what is usual"


@pytest.mark.parametrize("settings", LOSSES, ids=lambda settings: settings["loss"])
def test_the_loss_of_numpy_is_the_loss_of_the_nets(settings: dict[str, Any]) -> None:
    objective = objective_of(job(**settings))
    scores, goal = np.random.default_rng(0).normal(size=(2, 50, 3)).astype(np.float32)
    in_a_net = keras.ops.convert_to_numpy(objective.losses(keras.ops.convert_to_tensor(scores), goal))
    np.testing.assert_allclose(objective.of_each(scores, goal), in_a_net, rtol=1e-6)


def test_auto_is_huber() -> None:
    assert objective_of(job()) == objective_of(job(loss="huber"))


@pytest.mark.parametrize("settings", LOSSES, ids=lambda settings: settings["loss"])
def test_a_listing_of_weight_three_counts_as_three_in_what_is_fitted_without_gradients(
    settings: dict[str, Any],
) -> None:
    chance = np.random.default_rng(0)
    counts = chance.integers(0, 4, 900)
    values, slots = chance.normal(size=(900, 5)).astype(np.float32), np.arange(900, dtype=np.int32)[:, None]
    truth, folds = (values[:, :1] + chance.normal(size=(900, 1))).astype(np.float64), np.arange(900) % 3
    many, objective = np.repeat(np.arange(900), counts), objective_of(job(**settings))
    weighted = Goal(truth, counts / counts.mean(), objective)
    repeated = Goal.of(truth[many], objective)
    one = fit_scores(values, slots, weighted, folds).whole
    another = fit_scores(values, slots[many], repeated, folds[many]).whole
    np.testing.assert_allclose(one.weights, another.weights, rtol=1e-9)
    # The quantile of repeated residuals may lie between two of them, that of weighted ones is one of them.
    np.testing.assert_allclose(one.bias, another.bias, atol=1e-9 if objective.share is None else 0.1)
    numbers, images = chance.normal(size=(2, 900, 1))
    found = best_share(numbers, images, weighted)
    np.testing.assert_allclose(found, best_share(numbers[many], images[many], repeated), atol=0.011)


def test_a_listing_of_weight_zero_teaches_the_nets_nothing() -> None:
    features = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
    truth, wrong = features[:, :1].astype(np.float64), np.arange(120) % 4 == 0
    weights = np.where(wrong, 0.0, 4 / 3)

    def predicted(by: float) -> np.ndarray:
        goal = Goal(np.where(wrong[:, None], truth + by, truth), weights)
        settings = job(epochs=5, learning_rate=0.01)
        fitted = fit_members(features, goal, np.arange(120), settings, (4,), 1, 0, SILENT, Checkpoint())
        return np.asarray(fitted.model(features))

    np.testing.assert_array_equal(predicted(0.0), predicted(100.0))


def quantiled(folder: Path, fusion: str, share: float, recipe: str = "frozen", **settings: Any) -> FittedNet:
    keras.utils.set_random_seed(0)  # of the tower, which stays as it is
    wanted = {"loss": "quantile", "quantile": share, "fusion": fusion, "epochs": 30, "patience": 30}
    return fit_fused(data(folder, recipe, **wanted, **settings), KNOWN, 1)


@pytest.mark.parametrize("target_transform", ["log", "identity"])
@pytest.mark.parametrize("share", [0.2, 0.9])
def test_so_large_a_share_of_new_listings_lies_below_a_quantile(
    tmp_path: Path, share: float, target_transform: str
) -> None:
    fused = quantiled(tmp_path, "late_gate", share, target_transform=target_transform)
    assert below(fused, TEST) == pytest.approx(share, abs=0.1)
    assert fused.numbers is not None
    assert below(fused.numbers, TEST) == pytest.approx(share, abs=0.1)


def test_a_fusion_that_is_trained_by_gradients_learns_a_quantile(tmp_path: Path) -> None:
    """300 listings, of which 54 say out of fold where the quantile lies."""
    assert below(quantiled(tmp_path, "concat", 0.8), TEST) == pytest.approx(0.8, abs=0.15)


def test_the_interval_around_a_quantile_reaches_further_down_than_up(tmp_path: Path) -> None:
    for band in readout_of(quantiled(tmp_path, "late_gate", 0.9)).intervals["prediction"].bands:
        assert -band.low > 2 * band.high


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_every_loss_learns(tmp_path: Path, loss: str) -> None:
    fused = fit_fused(data(tmp_path, "frozen", loss=loss, epochs=30, patience=30), KNOWN, 1)
    goal = fused.target.forward(fused.data.examples.target[TEST])
    assert np.abs(fused.predict(TEST) - goal).mean() < 0.75 * np.abs(goal).mean()
