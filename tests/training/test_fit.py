import keras
import numpy as np
import pytest

from scorer.errors import Terminal
from scorer.model.fused import Recipe, build_fused, build_numbers_only
from scorer.settings import TrainJob
from scorer.training.fit import Inputs, fit, predict
from scorer.training.split import Split

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
    return Inputs(np.arange(20, dtype=np.float32)[:, None], slots, pixels, np.linspace(-1, 1, 20))


def fused(augmentation: tuple[keras.Layer, ...] = ()) -> keras.Model:
    keras.utils.set_random_seed(5)
    return build_fused(1, SIZE, "0..1", TINY, "concat", augmentation, image_dropout=0.2, seed=5).whole


def test_a_batch_holds_each_listings_own_numbers_images_and_target() -> None:
    data = inputs()
    seen = []
    for given, target in data.dataset(np.array([7, 3, 19, 0, 4]), batch_rows=2):
        for row, features, images, mask, value in zip(
            given["features"].numpy()[:, 0].astype(int),
            given["features"],
            given["images"].numpy(),
            given["mask"].numpy(),
            target["prediction"].numpy(),
            strict=True,
        ):
            seen.append(row)
            assert features.shape == (1,)
            assert mask.tolist() == (data.images[row] >= 0).tolist()
            assert images[mask][:, 0, 0, 0].tolist() == data.images[row][mask].tolist()
            assert not images[~mask].any()
            assert value == np.float32(data.target[row])
    assert seen == [7, 3, 19, 0, 4]


def test_every_pass_has_every_row_once_in_a_new_order_that_the_seed_decides() -> None:
    def passes(seed: int) -> list[list[float]]:
        chain = inputs().dataset(np.arange(20), batch_rows=6, shuffle_seed=seed)
        return [np.concatenate([given["features"][:, 0] for given, _ in chain]).tolist() for _ in range(2)]

    first, second = passes(1)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert passes(1) == [first, second]
    assert passes(2)[0] != first


def test_predicting_a_dataset_is_predicting_its_arrays() -> None:
    model, data = fused(), inputs()
    rows = np.arange(20)
    mask = data.images >= 0
    arrays = {"features": data.features, "images": data.pixels[np.maximum(data.images, 0)], "mask": mask}
    expected = model.predict(arrays, verbose=0)["prediction"]
    np.testing.assert_allclose(predict(model, data, rows, batch_rows=7), expected, atol=1e-6)


def test_training_learns_and_says_so_once_an_epoch() -> None:
    lines: list[str] = []
    model, data = fused(), inputs()
    before = np.square(predict(model, data, SPLIT.training, 4) - data.target[SPLIT.training]).mean()
    job = JOB.model_copy(update={"epochs": 40, "patience": 40, "learning_rate": 0.01})
    assert fit(model, data, SPLIT, job, lines.append) == 40
    after = np.square(predict(model, data, SPLIT.training, 4) - data.target[SPLIT.training]).mean()
    assert after < before / 2
    assert len(lines) == 40
    assert lines[0].startswith("fused: epoch 1, loss ")
    assert lines[0].endswith(", best so far")


def test_the_weights_that_did_best_on_the_validation_rows_stay() -> None:
    lines: list[str] = []
    model, data = build_numbers_only(1, TINY), inputs().without_images()
    fit(model, data, SPLIT, JOB.model_copy(update={"epochs": 30, "patience": 3, "learning_rate": 0.3}), lines.append)
    best = min(float(line.split("validation ")[1].split(",")[0]) for line in lines)
    kept = np.square(predict(model, data, SPLIT.validation, 4) - data.target[SPLIT.validation]).mean()
    assert kept == pytest.approx(best, abs=6e-4)


def test_the_same_seed_trains_the_same_weights_to_the_last_bit() -> None:
    def trained() -> list[np.ndarray]:
        model = fused((keras.layers.RandomFlip("horizontal", seed=1),))
        fit(model, inputs(), SPLIT, JOB, lambda line: None)
        return [weight.numpy() for weight in model.trainable_weights]

    for one, other in zip(trained(), trained(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_in_which_no_listing_has_an_image_are_trained_on_like_any_other() -> None:
    data = inputs()
    data.images[:] = -1
    assert fit(fused(), data, SPLIT, JOB, lambda line: None) == 3


@pytest.mark.parametrize("row", [SPLIT.training[0], SPLIT.validation[0]], ids=["training", "validation"])
def test_a_training_that_diverges_is_an_error_and_names_the_remedy(row: int) -> None:
    data = inputs()
    data.target[row] = np.inf
    with pytest.raises(Terminal, match=r"fused diverged.*smaller learning_rate"):
        fit(fused(), data, SPLIT, JOB, lambda line: None)
