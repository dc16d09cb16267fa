"""A bundle whose scores can be worked out by hand: what the tests of bundles and predictors start from."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from scorer.intake.pixels import PixelSpec, decode_image
from scorer.model.bundle import BundleContent
from scorer.model.digests import NAME, Digests
from scorer.model.freezing import freeze
from scorer.model.golden import LIMITS, GoldenRow
from scorer.model.preprocessing import CategoryFeature, NumberFeature, Preprocessing
from scorer.model.target import TargetTransform
from tests import images

SIZE = 8
WEIGHTS = np.array([0.5, -1.0, 2.0], np.float32)
TARGET = TargetTransform("identity", 100.0, 10.0)
PIXELS = PixelSpec(size=SIZE)


def tower(pixels: tf.Tensor) -> tf.Tensor:
    """Mean colour, 0 to 1: float32 [B, 3]."""
    return tf.reduce_mean(tf.cast(pixels, tf.float32), [1, 2]) / 255.0


def head(features: tf.Tensor, embeddings: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
    """Sum of the features and of the images' weighted colours."""
    colours = tf.where(mask[..., None], embeddings, 0.0)
    return {"prediction": tf.reduce_sum(features, 1) + tf.linalg.matvec(tf.reduce_sum(colours, 1), WEIGHTS)}


def by_hand(features: npt.NDArray[Any], colours: npt.NDArray[Any]) -> float:
    """The same for one listing: float32 [F] and float32 [images, 3]."""
    return float(TARGET.inverse(features.sum() + (colours.sum(axis=0) @ WEIGHTS if len(colours) else 0.0)))


def frozen_tower(function: Callable[..., Any] = tower, size: int = SIZE) -> bytes:
    return freeze(function, {"pixels": tf.TensorSpec([None, size, size, 3], tf.uint8)}, ["embedding"])


def frozen_head(function: Callable[..., Any] = head, width: int = 3) -> bytes:
    signature = {
        "features": tf.TensorSpec([None, width], tf.float32),
        "embeddings": tf.TensorSpec([None, None, 3], tf.float32),
        "mask": tf.TensorSpec([None, None], tf.bool),
    }
    return freeze(function, signature)


@cache
def plain_content() -> BundleContent:
    """Two features, one of them a category of two values; two golden rows with two images and with none."""
    preprocessing = Preprocessing(
        (
            NumberFeature("area", "double", fill=1.0, shift=0.0, scale=1.0, flag_missing=False),
            CategoryFeature("city", "string", values=("Lyon", "Porto"), flag_missing=False),
        )
    )
    files = tuple(images.photographs(2, width=40, height=30))
    colours = np.stack([decode_image(file, PIXELS, LIMITS).mean(axis=(0, 1)) / 255.0 for file in files])
    with_images = by_hand(np.array([2.0, 1.0, 0.0]), colours)
    without = by_hand(np.array([1.0, 0.0, 0.0]), np.empty((0, 3)))
    return BundleContent(
        name="houses",
        version=None,
        preprocessing=preprocessing,
        pixels=PIXELS,
        max_images=4,
        target_column="price",
        target=TARGET,
        target_sd=10.0,
        image_tower=frozen_tower(),
        head=frozen_head(),
        embedding_size=3,
        outputs=("prediction",),
        metrics={"fused": {"mape": 12.5}},
        profile={"area": {"median": 1.0}},
        training={"rows": 2},
        golden=(
            GoldenRow({"area": 2.0, "city": "Lyon"}, files, (), {"prediction": with_images}),
            GoldenRow({"area": float("nan"), "city": "Rome"}, (), (), {"prediction": without}),
        ),
    )


def content(**changes: Any) -> BundleContent:
    return replace(plain_content(), **changes)


def reseal(folder: Path) -> None:
    """Digests anew, as somebody would who may write to the bundle's place."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != NAME
    }
    (folder / NAME).write_bytes(Digests.of(files).to_json())


def edit_json(file: Path, change: Callable[[Any], Any]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
