"""How numbers and images meet: one file each, the numbers and the images' embeddings in, one tensor out."""

from collections.abc import Callable

import keras

from scorer.model.fusions import attention, concat, cross_attention, film, gated

Fusion = Callable[[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]
"""float32 [B, N], float32 [B, K, D] and mask bool [B, K] -> float32 [B, M]."""

LATE_GATE = "late_gate"
"""Combines finished scores, not vectors, so it is built and fitted in a way of its own; see `late_gate`."""

VECTOR_FUSIONS: dict[str, Fusion] = {
    "concat": concat.build,
    "gated": gated.build,
    "attention": attention.build,
    "cross_attention": cross_attention.build,
    "film": film.build,
}
"""Trained by gradients, together with the layers around them."""

FUSIONS: dict[str, Fusion | None] = {**VECTOR_FUSIONS, LATE_GATE: None}
"""All that a setting may name."""
