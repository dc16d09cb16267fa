"""A gate for each value: how much of the image's vector goes in, decided by numbers and images together."""

import keras
from keras import layers, ops

from scorer.model.fusions.concat import masked_mean


def build(numbers: keras.KerasTensor, embeddings: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Add the images' vector, brought to the numbers' length and weighted value by value, to that of the numbers.

    Args:
        numbers: float32 [B, N].
        embeddings: float32 [B, K, D].
        mask: bool [B, K].

    Returns:
        float32 [B, N]; without any image the numbers as they came in.
    """
    width = numbers.shape[-1]
    mean = masked_mean(embeddings, mask)
    seen = layers.Dense(width, activation="tanh", name="fusion_images")(mean)
    gate = layers.Dense(width, activation="sigmoid", name="fusion_gate")(layers.Concatenate()([numbers, mean]))
    there = ops.cast(ops.any(mask, axis=1, keepdims=True), "float32")
    return numbers + there * gate * seen
