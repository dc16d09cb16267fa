"""Changes to training images that leave the target as it is. Layers inside the graph, at work in training only."""

from collections.abc import Callable, Sequence

import keras
from keras import layers

from scorer.model.tables import choose

PIXEL_RANGE = (0, 255)

AUGMENTATIONS: dict[str, Callable[[int], keras.Layer]] = {
    "flip": lambda seed: layers.RandomFlip("horizontal", seed=seed),
    "shift": lambda seed: layers.RandomTranslation(0.08, 0.08, fill_mode="nearest", seed=seed),
    "zoom": lambda seed: layers.RandomZoom((-0.1, 0.1), fill_mode="nearest", seed=seed),
    "rotate": lambda seed: layers.RandomRotation(0.03, fill_mode="nearest", seed=seed),
    "brightness": lambda seed: layers.RandomBrightness(0.1, value_range=PIXEL_RANGE, seed=seed),
    "contrast": lambda seed: layers.RandomContrast(0.1, value_range=PIXEL_RANGE, seed=seed),
}


def augmentation_layers(names: Sequence[str], seed: int) -> list[keras.Layer]:
    """Fresh layers in the given order, float32 [T, S, S, 3] of 0 to 255 in and out.

    Raises:
        SettingsError: an unknown name; the message lists the known ones.
    """
    return [choose(AUGMENTATIONS, "augmentation", name)(seed + place) for place, name in enumerate(names)]
