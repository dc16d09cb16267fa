"""FiLM: the images scale and shift the vector of the numbers, value by value."""

import keras
from keras import layers, ops

from scorer.model.fusions.concat import masked_mean


def build(numbers: keras.KerasTensor, embeddings: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Numbers x (1 + scale(images)) + shift(images).

    Args:
        numbers: float32 [B, N].
        embeddings: float32 [B, K, D].
        mask: bool [B, K].

    Returns:
        float32 [B, N]; without any image the numbers as they came in.
    """
    width = numbers.shape[-1]
    mean = masked_mean(embeddings, mask)
    there = ops.cast(ops.any(mask, axis=1, keepdims=True), "float32")
    hidden = layers.Dense(width, activation="relu", name="fusion_images")(mean)
    scale, shift = layers.Dense(width, name="fusion_scale")(hidden), layers.Dense(width, name="fusion_shift")(hidden)
    return numbers * (1 + there * scale) + there * shift
