"""The model as it is: what a cut one is held to, and what scores where there is nothing to cut."""

from typing import Any

import keras
import tensorflow as tf

from scorer.model.split.columns import Columns
from scorer.model.split.wiring import Wired


class Whole:
    """A model from a listing's features and pixels to its scores."""

    def __init__(self, model: Any, wired: Wired, columns: Columns) -> None:
        self._model = model
        self.wired, self.columns = wired, columns

    def __call__(self, features: tf.Tensor, images: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """float32 [B, F], uint8 [B, K, S, S, 3] and bool [B, K] to float32 [B] by output."""
        blank = tf.constant(self.wired.blank, tf.uint8)
        images = tf.where(mask[..., None, None, None], images, blank)
        given = self.wired.numbers(features, mask) | self.wired.pictures(images)
        inputs = [given[index] for index in range(len(given))]
        outputs = self._model(keras.tree.pack_sequence_as(self._model.input, inputs), training=False)
        return self.columns.split(keras.tree.flatten(outputs))


class Packed:
    """A tower that passes pixels on, and the whole model as the head behind it.

    The three bytes of a pixel travel as one float32, R + 256 G + 65536 B: whole numbers below 2^24,
    which it holds exactly.
    """

    def __init__(self, whole: Whole) -> None:
        self._whole = whole

    @property
    def size(self) -> int:
        """D: pixels of an image."""
        return self._whole.wired.size**2

    def tower(self, pixels: tf.Tensor) -> tf.Tensor:
        """uint8 [B, S, S, 3] -> float32 [B, D]."""
        values = tf.cast(pixels, tf.float32)
        packed = values[..., 0] + 256.0 * values[..., 1] + 65536.0 * values[..., 2]
        return tf.reshape(packed, [-1, self.size])

    def head(self, features: tf.Tensor, embeddings: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `Split.head`."""
        wired = self._whole.wired
        packed = tf.reshape(padded(embeddings, wired.places), [-1, wired.places, wired.size, wired.size])
        colours = [tf.math.floormod(tf.floor(packed / by), 256.0) for by in (1.0, 256.0, 65536.0)]
        images = tf.cast(tf.stack(colours, axis=-1), tf.uint8)
        return self._whole(features, images, padded(mask, wired.places))


def padded(values: tf.Tensor, places: int) -> tf.Tensor:
    """[B, any, ...] to [B, places, ...]: cut off, or filled up with zeros."""
    short = tf.maximum(places - tf.shape(values)[1], 0)
    filled = tf.pad(values, [[0, 0], [0, short], *([[0, 0]] * (len(values.shape) - 2))])
    return tf.reshape(filled[:, :places], [-1, places, *values.shape[2:]])
