"""Backbones of keras.applications: random weights, ImageNet's where Keras can download them, or a local file."""

from collections.abc import Callable
from pathlib import Path

import keras
from keras import applications

from scorer.errors import SettingsError

Backbone = Callable[[int, str], keras.Model]


def _builder(name: str, application: Callable[..., keras.Model]) -> Backbone:
    def build(size: int, weights: str) -> keras.Model:
        if weights not in ("random", "imagenet") and not Path(weights).is_file():
            raise SettingsError(
                f"image_weights: {name} has random and imagenet, or takes a file that Keras saved; {weights!r} is"
                " neither. Nothing was started."
            )
        pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
        try:
            net = application(
                include_top=False,
                weights=None if weights == "random" else weights,
                input_tensor=keras.layers.Rescaling(1.0, name="scale")(pixels),
                pooling="avg",
                include_preprocessing=True,
            )
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"image_weights: {name} could not get {weights!r}: {error}. Nothing was trained. Where there is no"
                " network, name a file of weights, or use lite0, which brings its own."
            ) from None
        return keras.Model(pixels, net.output, name="image_tower")

    return build


BACKBONES: dict[str, Backbone] = {
    "mobilenet_v3_small": _builder("mobilenet_v3_small", applications.MobileNetV3Small),
    "mobilenet_v3_large": _builder("mobilenet_v3_large", applications.MobileNetV3Large),
    "efficientnet_v2_b0": _builder("efficientnet_v2_b0", applications.EfficientNetV2B0),
}
