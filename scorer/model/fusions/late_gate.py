"""The late gate: the score of the numbers, and a share of the way from there to a second opinion by the images."""

import keras
from keras import layers, ops

from scorer.model.fusions.concat import masked_mean


def build(
    numbers: keras.KerasTensor, embeddings: keras.KerasTensor, mask: keras.KerasTensor, most: int
) -> keras.KerasTensor:
    """Y = y_numbers + share(number of images) x (y_second - y_numbers), where share(0) is 0.

    The second opinion is linear in the mean embedding and in the numbers' scores. So it adds what the images know
    beyond the numbers; an opinion of the images alone could only be averaged with that of the numbers.

    Args:
        numbers: float32 [B, O], scores of the numbers alone.
        embeddings: float32 [B, K, D].
        mask: bool [B, K].
        most: images that the shares tell apart; more count as so many.

    Returns:
        float32 [B, O]; without any image the numbers' scores, to the last bit.
    """
    outputs = numbers.shape[-1]
    known = layers.Concatenate()([masked_mean(embeddings, mask), numbers])
    second = layers.Dense(outputs, name="second_score")(known)
    share = Share(most, outputs, name="share")(mask)
    return numbers + share * (second - numbers)


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
