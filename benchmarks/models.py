"""The benchmarked models, with random weights: as a bundle for us, as a Keras file with the same weights for the peers.

    python -m benchmarks.models 64 BUNDLE MODEL.keras

A process of its own, since TensorFlow stays in the memory of whoever imports it.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
from keras import layers, ops

from benchmarks.photographs import generated
from benchmarks.tables import FEATURES, features
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.model.bundle import BundleContent, save_bundle
from scorer.model.freezing import freeze
from scorer.model.fused import Recipe, build_fused
from scorer.model.golden import GoldenRow
from scorer.model.preprocessing import NumberFeature, Preprocessing
from scorer.model.target import TargetTransform
from scorer.model.towers import convolutions
from scorer.objectstore import ObjectStore
from scorer.settings import ImageLimits
from scorer.training.recipes import RECIPES

MAX_IMAGES = 8
SEED = 5
MEAN, SCALE = 200_000.0, 50_000.0


@dataclass(frozen=True)
class Kind:
    """One benchmarked model: how its image tower is made, the side of its square, the length of its embedding."""

    size: int
    embedding: int
    tower: Callable[[int], keras.Model]


def small(size: int) -> keras.Model:
    """The recipe `small`: two convolutions."""
    recipe = RECIPES["small"]
    return convolutions(size, "0..1", recipe.filters, recipe.embedding)


def mobilenet(size: int) -> keras.Model:
    """MobileNetV3-Small without its classifier; its own first layer scales the pixels."""
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    backbone = keras.applications.MobileNetV3Small(
        input_shape=(size, size, 3), include_top=False, weights=None, pooling="avg", include_preprocessing=True
    )
    return keras.Model(pixels, backbone(layers.Rescaling(1.0)(pixels), training=False), name="image_tower")


KINDS = {"64": Kind(64, 64, small), "224": Kind(224, 576, mobilenet)}


def make(name: str, bundle: str, keras_file: str) -> None:
    """Both forms of one model."""
    kind = KINDS[name]
    keras.utils.set_random_seed(SEED)
    tower = kind.tower(kind.size)
    small = RECIPES["small"]
    recipe = Recipe("convolutions", (4,), kind.embedding, small.number_tower, small.numbers, small.head)
    head = build_fused(len(FEATURES), 16, "0..1", recipe, "concat").head  # its own little image tower is dropped
    content = _content(name, kind, tower, head)
    save_bundle(content, bundle, ObjectStore())
    one_image(tower, head, kind).save(keras_file)
    scaler = {column: [float(np.mean(values)), float(np.std(values))] for column, values in trained_on().items()}
    Path(keras_file).with_name("scaler.json").write_text(json.dumps(scaler))


def one_image(tower: keras.Model, head: keras.Model, kind: Kind) -> keras.Model:
    """The whole for listings with exactly one image, in standard layers: any Keras loads it."""
    numbers = keras.Input((len(FEATURES),), name="features")
    pixels = keras.Input((kind.size, kind.size, 3), dtype="uint8", name="image")
    embeddings = layers.Reshape((1, kind.embedding))(tower(pixels))
    mask = ops.ones_like(embeddings[..., 0], dtype="bool")
    score = head({"features": numbers, "embeddings": embeddings, "mask": mask})["prediction"]
    return keras.Model({"features": numbers, "image": pixels}, layers.Rescaling(SCALE, MEAN)(score))


def trained_on() -> dict[str, npt.NDArray[np.float64]]:
    """The features that the scaler was fitted to."""
    return features(1000, seed=SEED)


def _content(name: str, kind: Kind, tower: keras.Model, head: keras.Model) -> BundleContent:
    spec = PixelSpec(size=kind.size)
    preprocessing = Preprocessing(
        tuple(
            NumberFeature(
                column,
                "double",
                fill=float(np.median(values)),
                shift=float(np.mean(values)),
                scale=float(np.std(values)),
                flag_missing=False,
            )
            for column, values in trained_on().items()
        )
    )
    target = TargetTransform("identity", MEAN, SCALE)
    golden = tuple(_golden(number, preprocessing, spec, target, tower, head) for number in range(8))
    signature = {
        "features": tf.TensorSpec([None, preprocessing.width], tf.float32),
        "embeddings": tf.TensorSpec([None, None, kind.embedding], tf.float32),
        "mask": tf.TensorSpec([None, None], tf.bool),
    }
    pixels = {"pixels": tf.TensorSpec([None, kind.size, kind.size, 3], tf.uint8)}
    return BundleContent(
        name=f"bench-{name}",
        version="1",
        preprocessing=preprocessing,
        pixels=spec,
        max_images=MAX_IMAGES,
        target_column="price",
        target=target,
        target_sd=SCALE,
        image_tower=freeze(lambda **inputs: tower(inputs["pixels"], training=False), pixels, ["embedding"]),
        head=freeze(lambda **inputs: head(inputs, training=False), signature),
        embedding_size=kind.embedding,
        outputs=("prediction",),
        metrics={},
        profile={},
        training={},
        golden=golden,
    )


def _golden(
    number: int,
    preprocessing: Preprocessing,
    spec: PixelSpec,
    target: TargetTransform,
    tower: keras.Model,
    head: keras.Model,
) -> GoldenRow:
    row: dict[str, Any] = {name: float(values[number]) for name, values in features(8, seed=SEED + 1).items()}
    files = tuple(generated(number % 3, width=240, height=160, seed=number))
    embeddings = np.zeros((1, MAX_IMAGES, tower.output_shape[-1]), np.float32)
    for place, data in enumerate(files):
        embeddings[0, place] = tower.predict(decode_image(data, spec, ImageLimits())[None], verbose=0)[0]
    inputs = {
        "features": preprocessing.transform(pa.RecordBatch.from_pylist([row]))[0],
        "embeddings": embeddings,
        "mask": np.arange(MAX_IMAGES)[None] < len(files),
    }
    score = target.inverse(head.predict(inputs, verbose=0)["prediction"])
    return GoldenRow(row, files, (), {"prediction": float(score[0])})


if __name__ == "__main__":
    make(*sys.argv[1:])
