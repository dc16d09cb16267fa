"""The stages of an image tower, so that its last ones can be trained and the others left as they are."""

import re
from itertools import groupby

import keras

STAGE = re.compile(r"[a-z]+?(_conv|_[0-9]+|[0-9]+)(?=[^0-9]|$)|[a-z]+")
"""What the names of a stage's layers begin with: `stage3`, `block2`, `expanded_conv`, `convolution_0`, `top`."""


def stages(tower: keras.Model) -> list[tuple[str, list[keras.Layer]]]:
    """Layers with weights by stage, first to last, as their names say.

    EfficientNet's blocks 6a to 6h are one stage; MobileNetV3's blocks are numbered one by one, and each is one.
    """
    layers = [layer for layer in tower.layers if layer.weights]
    return [(name, list(group)) for name, group in groupby(layers, _stage)]


def train_last(tower: keras.Model, count: int) -> list[keras.Layer]:
    """Freeze all but the last stages, and all normalisation: its statistics are better than those of a few batches.

    Returns:
        The layers that are still trained.
    """
    trained = [layer for _, group in stages(tower)[-count:] for layer in group] if count else []
    for layer in tower.layers:
        layer.trainable = any(layer is one for one in trained) and not isinstance(
            layer, keras.layers.BatchNormalization
        )
    return [layer for layer in trained if layer.trainable]


def _stage(layer: keras.Layer) -> str:
    name = re.sub(r"expanded_conv_([0-9]+)", r"block\1", layer.name)
    found = STAGE.match(name)
    return found.group() if found else layer.name
