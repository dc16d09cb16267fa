"""Changes to training images that leave the target as it is. Layers inside the graph, at work in training only."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from keras import layers

from scorer.model.tables import choose

PIXEL_RANGE = (0, 255)

SMALLEST_CROP = 0.7
"""Of either side."""

QUALITIES = (30, 95)
"""Of JPEG, as phones and websites use them."""


class RandomWindow(layers.Layer):  # type: ignore[misc] # Keras's classes come without types
    """A window of each image, anywhere in it, stretched back to the whole square."""

    def __init__(self, seed: int) -> None:
        super().__init__(dtype="float32")
        self.seeds = keras.random.SeedGenerator(seed)

    def call(self, pixels: tf.Tensor, training: bool = False) -> tf.Tensor:
        """float32 [T, S, S, 3] to the same."""
        if not training:
            return pixels
        count = tf.shape(pixels)[0]
        sides = keras.random.uniform((count, 2), SMALLEST_CROP, 1.0, seed=self.seeds)
        corners = keras.random.uniform((count, 2), seed=self.seeds) * (1 - sides)
        boxes = tf.concat([corners, corners + sides], axis=1)
        return tf.image.crop_and_resize(pixels, boxes, tf.range(count), tf.shape(pixels)[1:3])


class JpegQuality(layers.Layer):  # type: ignore[misc] # Keras's classes come without types
    """Each image as it looks after it was saved as a JPEG of some quality."""

    def __init__(self, seed: int) -> None:
        super().__init__(dtype="float32")
        self.seeds = keras.random.SeedGenerator(seed)

    def call(self, pixels: tf.Tensor, training: bool = False) -> tf.Tensor:
        """float32 [T, S, S, 3] of 0 to 255 to the same."""
        if not training:
            return pixels
        low, high = QUALITIES
        qualities = keras.random.randint((tf.shape(pixels)[0],), low, high + 1, seed=self.seeds)
        whole = tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)
        saved = tf.map_fn(
            lambda pair: tf.image.adjust_jpeg_quality(pair[0], pair[1]),
            (whole, qualities),
            fn_output_signature=tf.uint8,
        )
        return tf.cast(tf.ensure_shape(saved, pixels.shape), tf.float32)


AUGMENTATIONS: dict[str, Callable[[int], keras.Layer]] = {
    "flip": lambda seed: layers.RandomFlip("horizontal", seed=seed),
    "crop": lambda seed: RandomWindow(seed),
    "shift": lambda seed: layers.RandomTranslation(0.08, 0.08, fill_mode="nearest", seed=seed),
    "zoom": lambda seed: layers.RandomZoom((-0.1, 0.1), fill_mode="nearest", seed=seed),
    "rotate": lambda seed: layers.RandomRotation(0.03, fill_mode="nearest", seed=seed),
    "brightness": lambda seed: layers.RandomBrightness(0.1, value_range=PIXEL_RANGE, seed=seed),
    "contrast": lambda seed: layers.RandomContrast(0.1, value_range=PIXEL_RANGE, seed=seed),
    "colour": lambda seed: layers.RandomSaturation((0.35, 0.65), value_range=PIXEL_RANGE, seed=seed),
    "blur": lambda seed: layers.RandomGaussianBlur(0.5, 3, 1.0, value_range=PIXEL_RANGE, seed=seed),
    "jpeg": lambda seed: JpegQuality(seed),
}


def augmentation_layers(names: Sequence[str], seed: int) -> list[keras.Layer]:
    """Fresh layers in the given order, float32 [T, S, S, 3] of 0 to 255 in and out.

    Raises:
        SettingsError: an unknown name; the message lists the known ones.
    """
    return [choose(AUGMENTATIONS, "augmentation", name)(seed + place) for place, name in enumerate(names)]
