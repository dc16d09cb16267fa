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
    for channels in filters:
        maps = layers.MaxPooling2D(2)(layers.Conv2D(channels, 3, padding=padding, activation="relu")(maps))
    outputs = layers.Dense(embedding, activation="relu")(layers.Flatten()(maps))
    return keras.Model(pixels, outputs, name="image_tower")


def dense(inputs: keras.KerasTensor, units: Sequence[int]) -> keras.KerasTensor:
    """Dense layers with ReLU, one for each of `units`: float32 [B, F] -> float32 [B, units[-1]]."""
    for width in units:
        inputs = layers.Dense(width, activation="relu")(inputs)
    return inputs


IMAGE_TOWERS: dict[str, Callable[[int, str, Sequence[int], int], keras.Model]] = {"convolutions": convolutions}
NUMBER_TOWERS: dict[str, Callable[[keras.KerasTensor, Sequence[int]], keras.KerasTensor]] = {"dense": dense}
