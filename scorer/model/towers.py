"""The towers, as tables to which others are added: numbers to a vector, one image to an embedding."""

from collections.abc import Callable, Sequence

import keras
from keras import layers

SCALINGS: dict[str, tuple[float, float]] = {"0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}
"""Factor and offset that turn uint8 pixels into what the image tower sees; its first layer, so the bundle's too."""


def convolutions(size: int, scaling: str, filters: Sequence[int], embedding: int) -> keras.Model:
    """A small convolutional net: convolve and pool for each of `filters`, flatten, one dense layer.

    Args:
        size: S, side of the square images in pixels.
        scaling: a name in `SCALINGS`.
        filters: channels of each 3x3 convolution.
        embedding: D, length of an image's embedding.

    Returns:
        uint8 [B, S, S, 3] -> float32 [B, D].
    """
    factor, offset = SCALINGS[scaling]
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    maps = layers.Rescaling(factor, offset)(pixels)
    # Without padding a 64-pixel image costs a sixth less; an image below 16 pixels would be used up by its borders.
    padding = "valid" if size >= 16 else "same"
    for place, channels in enumerate(filters):
        convolution = layers.Conv2D(channels, 3, padding=padding, activation="relu", name=f"convolution_{place}")
        maps = layers.MaxPooling2D(2)(convolution(maps))
    outputs = layers.Dense(embedding, activation="relu", name="embedding")(layers.Flatten()(maps))
    return keras.Model(pixels, outputs, name="image_tower")


def dense(inputs: keras.KerasTensor, units: Sequence[int], name: str) -> keras.KerasTensor:
    """Dense layers with ReLU, one for each of `units`: float32 [B, F] -> float32 [B, units[-1]].

    Layers with weights are named: Keras would count them through the process, and the same model would freeze to other
    bytes the second time.
    """
    for place, width in enumerate(units):
        inputs = layers.Dense(width, activation="relu", name=f"{name}_{place}")(inputs)
    return inputs


IMAGE_TOWERS: dict[str, Callable[[int, str, Sequence[int], int], keras.Model]] = {"convolutions": convolutions}
NUMBER_TOWERS: dict[str, Callable[[keras.KerasTensor, Sequence[int], str], keras.KerasTensor]] = {"dense": dense}
