from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from scorer.errors import SettingsError
from scorer.model.recipe import Recipe
from scorer.model.tables import choose
from scorer.model.towers import IMAGE_TOWERS, SCALINGS


def recipe(tower: str, **changes: Any) -> Recipe:
    return replace(Recipe(tower, (4, 8), 5, "dense", (4,), (4,)), **changes)


SIZES = [("convolutions", 8), ("convolutions", 15), ("convolutions", 64), *((name, 32) for name in IMAGE_TOWERS)]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_an_image_tower_turns_uint8_pixels_of_any_size_into_float32_embeddings(name: str, size: int) -> None:
    tower = IMAGE_TOWERS[name](size, "0..1", recipe(name))
    assert tower.inputs[0].dtype == "uint8"
    embeddings = tower.predict(np.full((3, size, size, 3), 200, np.uint8), verbose=0)
    assert embeddings.shape == (3, 5)
    assert embeddings.dtype == np.float32


@pytest.mark.parametrize(("scaling", "lowest", "highest"), [("0..1", 0.0, 1.0), ("-1..1", -1.0, 1.0)])
def test_pixels_are_scaled_inside_the_tower(scaling: str, lowest: float, highest: float) -> None:
    tower = IMAGE_TOWERS["convolutions"](8, scaling, recipe("convolutions"))
    seen = keras.Model(tower.inputs, tower.layers[1].output)
    extremes = np.stack([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)])
    values = seen.predict(extremes, verbose=0)
    assert values[0] == pytest.approx(lowest, abs=1e-6)
    assert values[1] == pytest.approx(highest, abs=1e-6)


def test_every_scaling_of_the_settings_is_known() -> None:
    assert set(SCALINGS) == {"0..1", "-1..1"}


@pytest.mark.parametrize("name", IMAGE_TOWERS)
def test_weights_that_a_tower_does_not_have_are_refused_before_anything_starts(name: str) -> None:
    with pytest.raises(SettingsError, match=r"image_weights: .*Nothing was started"):
        IMAGE_TOWERS[name](32, "0..1", recipe(name, weights="places365"))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras with numpy 2
def test_a_backbone_begins_with_the_weights_of_a_local_file(tmp_path: Path) -> None:
    build = IMAGE_TOWERS["mobilenet_v3_small"]
    net = keras.applications.MobileNetV3Small(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    net.save_weights(tmp_path / "mine.weights.h5")
    tower = build(32, "0..1", recipe("mobilenet_v3_small", embedding=0, weights=str(tmp_path / "mine.weights.h5")))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    np.testing.assert_allclose(
        tower.predict(pixels, verbose=0), net.predict(pixels.astype(np.float32), verbose=0), atol=1e-6
    )


def test_a_typo_is_answered_with_the_choices() -> None:
    with pytest.raises(SettingsError, match=r"Unknown fusion 'gate'\. Known: attention, concat\. Nothing was started"):
        choose({"concat": 1, "attention": 2}, "fusion", "gate")
