import keras
import numpy as np
import pytest

from scorer.errors import SettingsError
from scorer.model.tables import choose
from scorer.model.towers import IMAGE_TOWERS, SCALINGS


@pytest.mark.parametrize("name", IMAGE_TOWERS)
@pytest.mark.parametrize("size", [8, 15, 16, 64])
def test_an_image_tower_turns_uint8_pixels_of_any_size_into_float32_embeddings(name: str, size: int) -> None:
    tower = IMAGE_TOWERS[name](size, "0..1", (4, 8), 5)
    assert tower.inputs[0].dtype == "uint8"
    embeddings = tower.predict(np.full((3, size, size, 3), 200, np.uint8), verbose=0)
    assert embeddings.shape == (3, 5)
    assert embeddings.dtype == np.float32


@pytest.mark.parametrize(("scaling", "lowest", "highest"), [("0..1", 0.0, 1.0), ("-1..1", -1.0, 1.0)])
def test_pixels_are_scaled_inside_the_tower(scaling: str, lowest: float, highest: float) -> None:
    tower = IMAGE_TOWERS["convolutions"](8, scaling, (4,), 5)
    seen = keras.Model(tower.inputs, tower.layers[1].output)
    extremes = np.stack([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)])
    values = seen.predict(extremes, verbose=0)
    assert values[0] == pytest.approx(lowest, abs=1e-6)
    assert values[1] == pytest.approx(highest, abs=1e-6)


def test_every_scaling_of_the_settings_is_known() -> None:
    assert set(SCALINGS) == {"0..1", "-1..1"}


def test_a_typo_is_answered_with_the_choices() -> None:
    with pytest.raises(SettingsError, match=r"Unknown fusion 'gate'\. Known: attention, concat\. Nothing was started"):
        choose({"concat": 1, "attention": 2}, "fusion", "gate")
