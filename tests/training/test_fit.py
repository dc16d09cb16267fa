from pathlib import Path

import keras
import numpy as np
import pytest

from scorer.errors import Terminal
from scorer.model.fused import Recipe, build_fused
from scorer.settings import TrainJob
from scorer.training.curves import Curve, Journal
from scorer.training.fit import Inputs, fit
from scorer.training.objective import Goal
from scorer.training.procedure import SILENT
from scorer.training.split import Split
from scorer.training.state import Checkpoint

SIZE = 8
TINY = Recipe("convolutions", (4,), 4, "dense", (4,), (4,))
JOB = TrainJob(listings="L", target="price", bundle="B", epochs=3, batch_rows=4)
SPLIT = Split(*(np.flatnonzero(np.isin(np.arange(20) % 5, sides)) for sides in ([0, 2, 4], [1], [3])))


def inputs() -> Inputs:
    """Twenty listings with up to three images; listing i has the feature i and image i, i + 1, ... of the level i."""
    random = np.random.default_rng(0)
    slots = np.where(random.random((20, 3)) < 0.6, np.arange(20)[:, None] + np.arange(3), -1).astype(np.int32)
    levels = np.arange(22, dtype=np.uint8)[:, None, None, None]
    pixels = np.broadcast_to(levels, (22, SIZE, SIZE, 3)).copy()
    return Inputs(np.arange(20, dtype=np.float32)[:, None], slots, pixels, Goal.of(np.linspace(-1, 1, 20)[:, None]))


def fused(augmentation: tuple[keras.Layer, ...] = ()) -> keras.Model:
    keras.utils.set_random_seed(5)
    return build_fused(1, SIZE, "0..1", TINY, "concat", augmentation, image_dropout=0.2, seed=5).whole


def predict(model: keras.Model, data: Inputs, rows: np.ndarray, batch_rows: int) -> np.ndarray:
    return np.asarray(model.predict(data.dataset(rows, batch_rows), verbose=0)["prediction"])


def test_a_batch_holds_each_listings_own_numbers_images_and_target() -> None:
    data = inputs()
    seen = []
    for given, goal, weights in data.dataset(np.array([7, 3, 19, 0, 4]), batch_rows=2):
        for row, features, images, mask, value in zip(
            given["features"].numpy()[:, 0].astype(int),
            given["features"],
            given["images"].numpy(),
            given["mask"].numpy(),
            goal.numpy()[:, 0],
            strict=True,
        ):
            seen.append(row)
            assert features.shape == (1,)
            assert mask.tolist() == (data.images[row] >= 0).tolist()
            assert images[mask][:, 0, 0, 0].tolist() == data.images[row][mask].tolist()
            assert not images[~mask].any()
            assert value == np.float32(data.goal.values[row, 0])
        assert weights.numpy().tolist() == [1.0] * len(goal)
    assert seen == [7, 3, 19, 0, 4]


def test_a_fit_that_was_cut_off_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    def run(most: int, checkpoint: Checkpoint) -> tuple[Curve, keras.Model]:
        model = fused((keras.layers.RandomFlip("horizontal", seed=1),))
        job = JOB.model_copy(update={"epochs": most, "patience": 20})
        return fit(model, inputs(), SPLIT, job, 5, SILENT, checkpoint), model

    whole, expected = run(7, Checkpoint())
    run(3, Checkpoint(tmp_path / "fit.npz"))
    resumed, model = run(7, Checkpoint(tmp_path / "fit.npz"))
    assert resumed == whole
    for one, other in zip(model.trainable_weights, expected.trainable_weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_pass_sees_the_rows_in_an_order_that_seed_and_pass_decide() -> None:
    def weights(seed: int, passes: int) -> bytes:
        model = fused()
        fit(model, inputs(), SPLIT, JOB.model_copy(update={"epochs": passes, "patience": 9}), seed, SILENT)
        return b"".join(weight.numpy().tobytes() for weight in model.trainable_weights)

    assert weights(1, 1) != weights(2, 1)


def test_weights_that_came_trained_are_moved_by_their_own_rate() -> None:
    model = fused()
    tower = next(layer for layer in model.layers if layer.name == "per_image").tower
    before = [weight.numpy() for weight in model.trainable_weights]
    job = JOB.model_copy(update={"epochs": 1, "tower_learning_rate": 1e-12})
    fit(model, inputs(), SPLIT, job, 5, SILENT, slowly=tower.trainable_variables)
    slow = {id(variable) for variable in tower.trainable_variables}
    for weight, old in zip(model.trainable_weights, before, strict=True):
        moved = np.abs(weight.numpy() - old).max()
        assert moved < 1e-10 if id(weight) in slow else moved > 1e-5


def test_predicting_a_dataset_is_predicting_its_arrays() -> None:
    model, data = fused(), inputs()
    rows = np.arange(20)
    mask = data.images >= 0
    arrays = {"features": data.features, "images": data.by_slot[np.maximum(data.images, 0)], "mask": mask}
    expected = model.predict(arrays, verbose=0)["prediction"]
    np.testing.assert_allclose(predict(model, data, rows, batch_rows=7), expected, atol=1e-6)


def test_embeddings_that_lie_ready_are_batched_like_pixels() -> None:
    data = inputs()
    ready = Inputs(data.features, data.images, data.by_slot[:, 0, 0, :2].astype(np.float32), data.goal)
    (given, _, _), *_ = ready.dataset(np.array([7, 3]), batch_rows=2)
    assert given.keys() == {"features", "embeddings", "mask"}
    assert given["embeddings"].shape == (2, 3, 2)
    assert given["embeddings"].numpy()[given["mask"]][:, 0].tolist() == data.images[[7, 3]][given["mask"]].tolist()


def test_training_learns_and_says_so_once_an_epoch() -> None:
    lines: list[str] = []
    model, data = fused(), inputs()
    before = np.square(predict(model, data, SPLIT.training, 4) - data.goal.values[SPLIT.training, 0]).mean()
    job = JOB.model_copy(update={"epochs": 40, "patience": 40, "learning_rate": 0.01})
    assert fit(model, data, SPLIT, job, 5, Journal(lines.append)).passes == 40
    after = np.square(predict(model, data, SPLIT.training, 4) - data.goal.values[SPLIT.training, 0]).mean()
    assert after < before / 2
    assert len(lines) == 40
    assert lines[0].startswith("fused: epoch 1, loss ")
    assert lines[0].endswith(", best so far")


def test_the_weights_that_did_best_on_the_validation_rows_stay() -> None:
    lines: list[str] = []
    model, data = fused(), inputs()
    fit(
        model,
        data,
        SPLIT,
        JOB.model_copy(update={"epochs": 30, "patience": 3, "learning_rate": 0.3}),
        5,
        Journal(lines.append),
    )
    best = min(float(line.split("validation ")[1].split(",")[0]) for line in lines)
    kept = data.goal.take(SPLIT.validation).mean_losses(predict(model, data, SPLIT.validation, 4)[:, None])
    assert kept[0] == pytest.approx(best, abs=6e-4)


def test_the_same_seed_trains_the_same_weights_to_the_last_bit() -> None:
    def trained() -> list[np.ndarray]:
        model = fused((keras.layers.RandomFlip("horizontal", seed=1),))
        fit(model, inputs(), SPLIT, JOB, 5, SILENT)
        return [weight.numpy() for weight in model.trainable_weights]

    for one, other in zip(trained(), trained(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_in_which_no_listing_has_an_image_are_trained_on_like_any_other() -> None:
    data = inputs()
    data.images[:] = -1
    assert fit(fused(), data, SPLIT, JOB, 5, SILENT).passes == 3


@pytest.mark.parametrize("row", [SPLIT.training[0], SPLIT.validation[0]], ids=["training", "validation"])
def test_a_training_that_diverges_is_an_error_and_names_the_remedy(row: int) -> None:
    data = inputs()
    data.goal.values[row] = np.inf
    with pytest.raises(Terminal, match=r"fused diverged.*smaller learning_rate"):
        fit(fused(), data, SPLIT, JOB, 5, SILENT)
