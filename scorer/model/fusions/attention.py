"""Attention over the images of a listing: one learned question, the same for every listing, weighs them."""

import keras
from keras import layers, ops

WIDTH = 32
"""Of what the images are compared by, and of what they say."""

ABSENT = -1e9
"""Stands for the weight of an image that is not there; its exponential is zero in float32."""


def build(numbers: keras.KerasTensor, embeddings: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Put the weighted mean of the images beside the numbers.

    Args:
        numbers: float32 [B, N].
        embeddings: float32 [B, K, D].
        mask: bool [B, K].

    Returns:
        float32 [B, N + WIDTH].
    """
    present = only_present(embeddings, mask)
    weight = layers.Dense(1, name="fusion_weight")(layers.Dense(WIDTH, activation="tanh", name="fusion_key")(present))
    values = layers.Dense(WIDTH, activation="relu", name="fusion_value")(present)
    return layers.Concatenate()([numbers, weighted(values, ops.squeeze(weight, -1), mask)])


def only_present(embeddings: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """The embeddings, zeros where there is no image, even if NaN stood there: float32 [B, K, D]."""
    return ops.where(ops.expand_dims(mask, -1), embeddings, 0.0)


def weighted(values: keras.KerasTensor, scores: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Mean of values [B, K, V] by the softmax of scores [B, K] over the images that are there: float32 [B, V].

    Zeros for a listing without any; neither the order of the images nor the padding matters.
    """
    scores = ops.where(mask, scores, ABSENT)
    top = ops.max(scores, axis=1, keepdims=True, initial=ABSENT)
    share = ops.where(mask, ops.exp(scores - top), 0.0)
    total = ops.maximum(ops.sum(share, axis=1, keepdims=True), 1e-9)
    return ops.sum(values * ops.expand_dims(share / total, -1), axis=1)
