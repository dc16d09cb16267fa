"""How numbers and images meet: one file each, float32 [B, N] and the images' embeddings in, float32 [B, M] out."""

from collections.abc import Callable

import keras

from scorer.model.fusions import concat

FUSIONS: dict[str, Callable[[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]] = {
    "concat": concat.build,
}
