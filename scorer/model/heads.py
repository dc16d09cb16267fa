"""From features, embeddings and mask to the outputs: the half of a bundle that runs once for each listing."""

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from scorer.model.fusions import late_gate
from scorer.model.linear import LinearScore
from scorer.model.members import mean_of_members

Outputs = dict[str, keras.KerasTensor]


def numbers_head(width: int, embedding: int, members: keras.Model, outputs: tuple[str, ...]) -> keras.Model:
    """The numbers alone, whatever the images: what a fused model is compared with, and falls back to.

    Args:
        width: F.
        embedding: D; embeddings are taken, so that every head is called alike, and not looked at.
        members: float32 [B, F] -> float32 [B, M, O].
        outputs: names, O of them.

    Returns:
        features f32 [B, F], embeddings f32 [B, K, D], mask bool [B, K] -> f32 [B] each output; so do all heads here.
    """
    features, embeddings, mask = _inputs(width, embedding)
    return _head((features, embeddings, mask), mean_of_members(features, members), outputs)


def images_head(
    width: int, embedding: int, image: LinearScore, without: npt.NDArray[np.float64], outputs: tuple[str, ...]
) -> keras.Model:
    """The images alone: linear in their mean embedding.

    Args:
        width: F.
        embedding: D.
        image: score of a mean embedding.
        without: float64 [O], of a listing without any image: no embedding lies where all of its values are zero.
        outputs: names, O of them.
    """
    features, embeddings, mask = _inputs(width, embedding)
    score = late_gate.image_score(embeddings, mask, len(outputs))
    told = ops.where(ops.any(mask, axis=1, keepdims=True), score, without.astype(np.float32))
    head = _head((features, embeddings, mask), told, outputs)
    _put(image, head.get_layer("image_score"))
    return head


def late_head(
    width: int,
    embedding: int,
    members: keras.Model,
    second: LinearScore,
    shares: npt.NDArray[np.float32],
    outputs: tuple[str, ...],
) -> keras.Model:
    """The late gate over both.

    Args:
        width: F.
        embedding: D.
        members: float32 [B, F] -> float32 [B, M, O].
        second: linear score of the mean embedding and, after it, the scores of the numbers: D + O values.
        shares: float32 [most + 1, O], row 0 zero: how much so many images count.
        outputs: names, O of them.
    """
    features, embeddings, mask = _inputs(width, embedding)
    numbers = mean_of_members(features, members)
    fused = late_gate.build(numbers, embeddings, mask, most=len(shares) - 1)
    head = _head((features, embeddings, mask), fused, outputs)
    _put(second, head.get_layer("second_score"))
    head.get_layer("share").set_weights([shares])
    return head


def selecting_head(
    width: int, embedding: int, members: keras.Model, fused: list[keras.Model], outputs: tuple[str, ...]
) -> keras.Model:
    """The fused nets' mean where there is an image, else the numbers alone.

    Args:
        width: F.
        embedding: D.
        members: float32 [B, F] -> float32 [B, M, O].
        fused: heads that were trained with images: features, embeddings, mask -> f32 [B] each output.
        outputs: names, O of them.
    """
    features, embeddings, mask = _inputs(width, embedding)
    for place, net in enumerate(fused):
        net.name = f"fused_{place}"  # a model's layers must have names of their own
    given = {"features": features, "embeddings": embeddings, "mask": mask}
    found = [net(given) for net in fused]
    with_images = ops.stack([sum(one[name] for one in found) / len(found) for name in outputs], axis=1)
    there = ops.any(mask, axis=1, keepdims=True)
    chosen = ops.where(there, with_images, mean_of_members(features, members))
    return _head((features, embeddings, mask), chosen, outputs)


def _put(score: LinearScore, layer: keras.Layer) -> None:
    layer.set_weights([score.weights.astype(np.float32), score.bias.astype(np.float32)])


def _inputs(width: int, embedding: int) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    return (
        keras.Input((width,), dtype="float32", name="features"),
        keras.Input((None, embedding), dtype="float32", name="embeddings"),
        keras.Input((None,), dtype="bool", name="mask"),
    )


def _head(
    inputs: tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor],
    scores: keras.KerasTensor,
    outputs: tuple[str, ...],
) -> keras.Model:
    """Name the columns of scores [B, O]."""
    columns = [layers.Reshape((), name=name)(scores[:, place : place + 1]) for place, name in enumerate(outputs)]
    named = dict(zip(outputs, columns, strict=True))
    return keras.Model(dict(zip(("features", "embeddings", "mask"), inputs, strict=True)), named, name="head")
