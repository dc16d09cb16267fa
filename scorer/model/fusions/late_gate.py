"""The late gate: two finished scores, and a share of the way from that of the numbers to that of the images."""

import keras
from keras import layers, ops

from scorer.model.fusions.concat import masked_mean


def build(
    numbers: keras.KerasTensor, embeddings: keras.KerasTensor, mask: keras.KerasTensor, most: int
) -> keras.KerasTensor:
    """Y = y_numbers + share(number of images) x (y_images - y_numbers), where share(0) is 0.

    Args:
        numbers: float32 [B, O], scores of the numbers alone.
        embeddings: float32 [B, K, D].
        mask: bool [B, K].
        most: images that the shares tell apart; more count as so many.

    Returns:
        float32 [B, O]; without any image the numbers' scores, to the last bit.
    """
    images = image_score(embeddings, mask, numbers.shape[-1])
    share = Share(most, numbers.shape[-1], name="share")(mask)
    return numbers + share * (images - numbers)


def image_score(embeddings: keras.KerasTensor, mask: keras.KerasTensor, outputs: int) -> keras.KerasTensor:
    """A linear function of the mean embedding: float32 [B, O]."""
    return layers.Dense(outputs, name="image_score")(masked_mean(embeddings, mask))


class Share(layers.Layer):  # type: ignore[misc] # Keras's classes come without types
    """How much the images count, by how many there are. Found by `scorer.training.late`, not by gradients."""

    def __init__(self, most: int, outputs: int, name: str) -> None:
        super().__init__(name=name)
        self.most = most
        self.shares = self.add_weight(
            shape=(most + 1, outputs), initializer="zeros", trainable=False, name="shares", dtype="float32"
        )

    def call(self, mask: keras.KerasTensor) -> keras.KerasTensor:
        """Mask bool [B, K] to shares float32 [B, O]."""
        count = ops.sum(ops.cast(mask, "int32"), axis=1)
        return ops.take(self.shares, ops.minimum(count, self.most), axis=0)
