"""The towers, as tables to which others are added: numbers to a vector, one image to an embedding."""

from collections.abc import Callable, Sequence

import keras
from keras import layers

from scorer.errors import SettingsError
from scorer.model.backbones import applications, lite0
from scorer.model.recipe import Recipe
from scorer.model.stages import train_last
from scorer.model.tables import choose

SCALINGS: dict[str, tuple[float, float]] = {"0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}
"""Factor and offset that turn uint8 pixels into what the image tower sees; its first layer, so the bundle's too."""


ImageTower = Callable[[int, str, Recipe], keras.Model]
"""Size, scaling and recipe to a model: uint8 [B, S, S, 3] -> float32 [B, D]."""


def convolutions(size: int, scaling: str, filters: Sequence[int], embedding: int) -> keras.Model:
    """A small convolutional net: convolve and pool for each of `filters`, flatten, one dense layer.

    Args:
        size: S, side of the square images in pixels.
        scaling: a name in `SCALINGS`.
        filters: channels of each 3x3 convolution.
        embedding: D, length of an image's embedding.

    Returns:
        uint8 [B, S, S, 3] -> float32 [B, D].
    """
    factor, offset = SCALINGS[scaling]
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    maps = layers.Rescaling(factor, offset)(pixels)
    # Without padding a 64-pixel image costs a sixth less; an image below 16 pixels would be used up by its borders.
    padding = "valid" if size >= 16 else "same"
    for place, channels in enumerate(filters):
        convolution = layers.Conv2D(channels, 3, padding=padding, activation="relu", name=f"convolution_{place}")
        maps = layers.MaxPooling2D(2)(convolution(maps))
    outputs = layers.Dense(embedding, activation="relu", name="embedding")(layers.Flatten()(maps))
    return keras.Model(pixels, outputs, name="image_tower")


def dense(inputs: keras.KerasTensor, units: Sequence[int], name: str) -> keras.KerasTensor:
    """Dense layers with ReLU, one for each of `units`: float32 [B, F] -> float32 [B, units[-1]].

    Layers with weights are named: Keras would count them through the process, and the same model would freeze to other
    bytes the second time.
    """
    for place, width in enumerate(units):
        inputs = layers.Dense(width, activation="relu", name=f"{name}_{place}")(inputs)
    return inputs


def _own(size: int, scaling: str, recipe: Recipe) -> keras.Model:
    if recipe.weights != "random":
        raise SettingsError(
            f"image_weights: the small convolutional net has no others than random, not {recipe.weights!r}."
            " Nothing was started. Choose --recipe lite0 for one that was trained on ImageNet."
        )
    return convolutions(size, scaling, recipe.filters, recipe.embedding)


def _backbone(build: Callable[[int, str], keras.Model]) -> ImageTower:
    """A backbone knows how its pixels are scaled; `embedding` adds one dense layer where it is not 0."""

    def tower(size: int, scaling: str, recipe: Recipe) -> keras.Model:
        net = build(size, recipe.weights)
        if not recipe.embedding:
            return net
        outputs = layers.Dense(recipe.embedding, activation="relu", name="narrowed")(net.output)
        return keras.Model(net.input, outputs, name="image_tower")

    return tower


IMAGE_TOWERS: dict[str, ImageTower] = {
    "convolutions": _own,
    "lite0": _backbone(lite0.build),
    **{name: _backbone(build) for name, build in applications.BACKBONES.items()},
}
NUMBER_TOWERS: dict[str, Callable[[keras.KerasTensor, Sequence[int], str], keras.KerasTensor]] = {"dense": dense}


def build_tower(size: int, scaling: str, recipe: Recipe, precision: str = "float32") -> keras.Model:
    """The image tower of a recipe, with as many of its last stages trainable as that says.

    Args:
        size: S, side of the square images in pixels.
        scaling: a name in `SCALINGS`.
        recipe: which tower.
        precision: of its arithmetic: float32, mixed_bfloat16 or mixed_float16. Weights are float32 all the same.

    Returns:
        uint8 [B, S, S, 3] -> [B, D].

    Raises:
        SettingsError: an unknown tower, or weights that it does not have.
    """
    build = choose(IMAGE_TOWERS, "image tower", recipe.image_tower)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        tower = build(size, scaling, recipe)
    finally:
        keras.config.set_dtype_policy(before)
    if recipe.trained_stages is not None:
        train_last(tower, recipe.trained_stages)
    return tower
