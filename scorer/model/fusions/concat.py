"""Concatenation: the numbers' vector beside the mean of the listing's image embeddings."""

import keras
from keras import layers, ops


def build(numbers: keras.KerasTensor, embeddings: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Put the vector of the numbers and the masked mean of the embeddings side by side.

    Args:
        numbers: float32 [B, N].
        embeddings: float32 [B, K, D]; what stands where `mask` is false has no influence, even if it is NaN.
        mask: bool [B, K], true where there is an image.

    Returns:
        float32 [B, N + D].
    """
    return layers.Concatenate()([numbers, masked_mean(embeddings, mask)])


def masked_mean(embeddings: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Mean over a listing's images, whatever their order and the padding; zeros for a listing without any.

    Args:
        embeddings: float32 [B, K, D].
        mask: bool [B, K].

    Returns:
        float32 [B, D].
    """
    present = ops.expand_dims(mask, -1)
    total = ops.sum(ops.where(present, embeddings, 0.0), axis=1)
    count = ops.sum(ops.cast(present, "float32"), axis=1)
    return total / ops.maximum(count, 1.0)
