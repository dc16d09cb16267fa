"""Many small number nets side by side in one graph: trained at once, each on rows of its own, then averaged."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

Weights = list[npt.NDArray[np.float32]]


def build_members(width: int, units: Sequence[int], members: int, outputs: int, seed: int) -> keras.Model:
    """M nets of the same shape with weights of their own: dense layers with ReLU beside a linear path.

    The linear path begins at zero. It carries what is linear from category to output, so that the layers learn the
    rest: 28.0 instead of 28.3 % error out of fold on one split of 400 houses.

    Args:
        width: F, columns of the feature matrix.
        units: of the layers.
        members: M.
        outputs: O.
        seed: of the weights.

    Returns:
        float32 [B, F] -> float32 [B, M, O].
    """
    features = keras.Input((width,), dtype="float32", name="features")
    hidden, equation = features, "bf,mfh->bmh"
    for place, size in enumerate(units):
        name = f"members_{place}"
        hidden = _dense(hidden, equation, (members, size), seed + place, name, activation="relu")
        equation = "bmf,mfh->bmh"
    scores = _dense(hidden, equation, (members, outputs), seed + len(units), "members_output")
    linear = layers.EinsumDense("bf,mfo->bmo", (members, outputs), kernel_initializer="zeros", name="members_linear")(
        features
    )
    return keras.Model(features, scores + linear, name="members")


def _dense(
    inputs: keras.KerasTensor, equation: str, shape: tuple[int, int], seed: int, name: str, **options: Any
) -> keras.KerasTensor:
    layer = layers.EinsumDense(
        equation, shape, bias_axes=equation[-2:], kernel_initializer=GlorotEach(seed), name=name, **options
    )
    return layer(inputs)


class GlorotEach(keras.initializers.Initializer):  # type: ignore[misc] # Keras's classes come without types
    """Glorot's uniform weights for each member of [M, in, out]; Keras would count the members as inputs."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, shape: tuple[int, int, int], dtype: str | None = None, **options: Any) -> Any:
        """Weights of that shape."""
        limit = (6 / (shape[-2] + shape[-1])) ** 0.5
        return keras.random.uniform(shape, -limit, limit, dtype, seed=self.seed)


def some_members(model: keras.Model, chosen: npt.NDArray[np.int64], width: int, units: Sequence[int]) -> keras.Model:
    """A net of those members alone, with their weights."""
    outputs = model.output_shape[-1]
    smaller = build_members(width, units, len(chosen), outputs, seed=0)
    smaller.set_weights([values[chosen] for values in model.get_weights()])
    return smaller


def mean_of_members(features: keras.KerasTensor, members: keras.Model) -> keras.KerasTensor:
    """float32 [B, F] -> float32 [B, O]."""
    return ops.mean(members(features), axis=1)
