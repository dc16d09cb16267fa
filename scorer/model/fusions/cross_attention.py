"""Cross-attention: the numbers ask, the images answer; a house by the sea asks for another picture than a flat."""

import keras
from keras import layers, ops

from scorer.model.fusions.attention import only_present, weighted

HEADS, WIDTH = 4, 16
"""Questions that the numbers ask, and values of each answer."""


def build(numbers: keras.KerasTensor, embeddings: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Put what the images answer beside the numbers.

    Args:
        numbers: float32 [B, N].
        embeddings: float32 [B, K, D].
        mask: bool [B, K].

    Returns:
        float32 [B, N + HEADS x WIDTH].
    """
    present = only_present(embeddings, mask)
    parts = [numbers]
    for head in range(HEADS):
        question = layers.Dense(WIDTH, name=f"fusion_question_{head}")(numbers)
        keys = layers.Dense(WIDTH, name=f"fusion_key_{head}")(present)
        values = layers.Dense(WIDTH, activation="relu", name=f"fusion_value_{head}")(present)
        scores = ops.sum(keys * ops.expand_dims(question, 1), axis=-1) / WIDTH**0.5
        parts.append(weighted(values, scores, mask))
    return layers.Concatenate()(parts)
