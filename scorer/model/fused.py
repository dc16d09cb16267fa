"""Towers + fusion + head: one network to train, cut at the image embeddings into the two models that a bundle holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import layers

from scorer.model.fusions import VECTOR_FUSIONS
from scorer.model.fusions.concat import masked_mean
from scorer.model.recipe import Recipe
from scorer.model.tables import choose
from scorer.model.towers import NUMBER_TOWERS, build_tower, dense

__all__ = [
    "OUTPUT",
    "FusedModel",
    "Recipe",
    "build_fused",
    "build_head",
    "build_images_only",
    "on_embeddings",
]

OUTPUT = "prediction"


@dataclass(frozen=True)
class FusedModel:
    """One set of weights seen three ways."""

    image_tower: keras.Model
    """uint8 [B, S, S, 3] -> float32 [B, D]."""

    head: keras.Model
    """features f32 [B, F], embeddings f32 [B, K, D], mask bool [B, K] -> {"prediction": f32 [B]}; K is free."""

    whole: keras.Model
    """features f32 [B, F], images uint8 [B, K, S, S, 3], mask bool [B, K] -> {"prediction": f32 [B]}; to train."""


def build_fused(
    width: int,
    size: int,
    scaling: str,
    recipe: Recipe,
    fusion: str,
    augmentation: Sequence[keras.Layer] = (),
    image_dropout: float = 0.0,
    seed: int = 0,
    precision: str = "float32",
    outputs: tuple[str, ...] = (OUTPUT,),
) -> FusedModel:
    """A fresh fused model with random weights.

    Args:
        width: F, columns of the feature matrix.
        size: S, side of the square images in pixels.
        scaling: a name in `scorer.model.towers.SCALINGS`.
        recipe: towers and sizes.
        fusion: a name in `VECTOR_FUSIONS`.
        augmentation: layers on float32 pixels [T, S, S, 3] of 0 to 255; at work in training only.
        image_dropout: share of listings that train without their images.
        seed: of the image dropout.
        precision: of the image tower's arithmetic.
        outputs: names.

    Raises:
        SettingsError: an unknown tower or fusion; the message lists the known ones.
    """
    tower = build_tower(size, scaling, recipe, precision)
    head = build_head(width, tower.output_shape[-1], recipe, fusion, outputs)

    features, mask = _features(width), keras.Input((None,), dtype="bool", name="mask")
    images = keras.Input((None, size, size, 3), dtype="uint8", name="images")
    present = ImageDropout(image_dropout, seed)(mask)
    embedded = PerImage(tower, augmentation)(images, present)
    inputs = {"features": features, "images": images, "mask": mask}
    whole = keras.Model(inputs, head({"features": features, "embeddings": embedded, "mask": present}), name="fused")
    return FusedModel(tower, head, whole)


def build_head(
    width: int, embedding: int, recipe: Recipe, fusion: str, outputs: tuple[str, ...] = (OUTPUT,)
) -> keras.Model:
    """The part after the image tower, with random weights.

    Args:
        width: F, columns of the feature matrix.
        embedding: D, length of an image's embedding.
        recipe: number tower and sizes.
        fusion: a name in `VECTOR_FUSIONS`.
        outputs: names.

    Returns:
        features f32 [B, F], embeddings f32 [B, K, D], mask bool [B, K] -> f32 [B] each output.
    """
    fuse = choose(VECTOR_FUSIONS, "fusion", fusion)
    features, mask = _features(width), keras.Input((None,), dtype="bool", name="mask")
    embeddings = keras.Input((None, embedding), name="embeddings")
    numbers = choose(NUMBER_TOWERS, "number tower", recipe.number_tower)(features, recipe.numbers, "numbers")
    scores = _named(dense(fuse(numbers, embeddings, mask), recipe.head, "head"), outputs)
    return keras.Model({"features": features, "embeddings": embeddings, "mask": mask}, scores, name="head")


def on_embeddings(head: keras.Model, image_dropout: float, seed: int) -> keras.Model:
    """A head as it is trained where the image tower is not: with image dropout, on embeddings that lie ready."""
    features, mask = _features(head.input["features"].shape[-1]), keras.Input((None,), dtype="bool", name="mask")
    embeddings = keras.Input((None, head.input["embeddings"].shape[-1]), name="embeddings")
    present = ImageDropout(image_dropout, seed)(mask)
    outputs = head({"features": features, "embeddings": embeddings, "mask": present})
    return keras.Model({"features": features, "embeddings": embeddings, "mask": mask}, outputs, name="fused")


def build_images_only(
    size: int,
    scaling: str,
    recipe: Recipe,
    augmentation: Sequence[keras.Layer] = (),
    precision: str = "float32",
    outputs: tuple[str, ...] = (OUTPUT,),
) -> tuple[keras.Model, keras.Model]:
    """An image tower, and how it is trained by itself: a linear score of the listing's mean embedding.

    Returns:
        The tower, uint8 [B, S, S, 3] -> f32 [B, D]; and images uint8 [B, K, S, S, 3], mask bool [B, K] -> f32 [B] each
        output.
    """
    tower = build_tower(size, scaling, recipe, precision)
    images = keras.Input((None, size, size, 3), dtype="uint8", name="images")
    mask = keras.Input((None,), dtype="bool", name="mask")
    mean = masked_mean(PerImage(tower, augmentation)(images, mask), mask)
    return tower, keras.Model({"images": images, "mask": mask}, _named(mean, outputs), name="images_only")


class PerImage(layers.Layer):  # type: ignore[misc] # Keras's classes come without types
    """Applies the image tower to the images that are there: a listing with k images costs k, not K padded ones."""

    def __init__(self, tower: keras.Model, augmentation: Sequence[keras.Layer] = ()) -> None:
        super().__init__(name="per_image", dtype="float32")
        self.tower = tower
        self.augmentation = list(augmentation)
        self.built = True  # the tower brought its weights

    def call(self, images: tf.Tensor, mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Embed.

        Args:
            images: uint8 [B, K, S, S, 3].
            mask: bool [B, K].
            training: augment first. The tower gets uint8 all the same: it sees in training what it sees in scoring.

        Returns:
            float32 [B, K, D], zeros where there is no image.
        """
        places = tf.where(mask)
        # One blank image goes along: TensorFlow's fused convolutions refuse a batch of none (oneDNN, 2.21).
        blank = tf.zeros((1, *images.shape[2:]), images.dtype)
        pixels = tf.concat([tf.gather_nd(images, places), blank], axis=0)
        if training and self.augmentation:
            values = tf.cast(pixels, tf.float32)
            for layer in self.augmentation:
                values = layer(values, training=True)
            pixels = tf.cast(tf.clip_by_value(tf.round(values), 0, 255), tf.uint8)
        embeddings = tf.cast(self.tower(pixels, training=training)[:-1], tf.float32)
        shape = tf.concat([tf.shape(mask, out_type=tf.int64), [self.tower.output_shape[-1]]], axis=0)
        return tf.scatter_nd(places, embeddings, shape)

    def compute_output_spec(
        self, images: keras.KerasTensor, mask: keras.KerasTensor, training: bool = False
    ) -> keras.KerasTensor:
        """The shape alone: gather and scatter have no symbolic form in Keras."""
        return keras.KerasTensor((*images.shape[:2], self.tower.output_shape[-1]), dtype="float32")


class ImageDropout(layers.Layer):  # type: ignore[misc] # Keras's classes come without types
    """Takes all images away from a share of the listings while training, so that missing images degrade gently."""

    def __init__(self, rate: float, seed: int) -> None:
        super().__init__(name="image_dropout")
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Mask bool [B, K] to mask bool [B, K]."""
        if not training or not self.rate:
            return mask
        kept = keras.random.uniform((tf.shape(mask)[0], 1), seed=self.seed_generator) >= self.rate
        return tf.logical_and(mask, kept)

    def compute_output_spec(self, mask: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """As the mask that came in."""
        return keras.KerasTensor(mask.shape, dtype="bool")


def _features(width: int) -> keras.KerasTensor:
    return keras.Input((width,), dtype="float32", name="features")


def _named(hidden: keras.KerasTensor, outputs: tuple[str, ...]) -> dict[str, keras.KerasTensor]:
    scores = layers.Dense(len(outputs), name="output")(hidden)
    columns = [scores] if len(outputs) == 1 else [scores[:, at : at + 1] for at in range(len(outputs))]
    return {name: layers.Reshape((), name=name)(column) for name, column in zip(outputs, columns, strict=True)}
