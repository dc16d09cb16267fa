import numpy as np
import pytest
import tensorflow as tf

from scorer.training.augmentation import AUGMENTATIONS, augmentation_layers

PIXELS = np.clip(
    np.linspace(0, 255, 6 * 32 * 32 * 3).reshape(6, 32, 32, 3)[:, :, ::-1]
    + np.random.default_rng(0).normal(0, 20, (6, 32, 32, 3)),
    0,
    255,
).astype(np.float32)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_changes_some_images_keeps_their_kind_and_works_in_training_only(
    name: str, graph: bool
) -> None:
    (layer,) = augmentation_layers([name], seed=1)
    call = tf.function(layer) if graph else layer
    np.testing.assert_array_equal(call(tf.constant(PIXELS), training=False), PIXELS)
    found = np.asarray(call(tf.constant(PIXELS), training=True))
    assert found.shape == PIXELS.shape
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    moved = np.abs(found - PIXELS).mean(axis=(1, 2, 3))
    assert moved.max() > 0.5
    assert moved.mean() < 80, "still the same picture"
