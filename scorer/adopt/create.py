"""The story of an adoption: a model and what belongs to it in, a bundle out that scores as the model predicts."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from scorer.adopt.columns import read_preprocessing
from scorer.adopt.examples import Example, made_up, read_examples
from scorer.adopt.figures import read_figures
from scorer.adopt.keras_file import load_keras
from scorer.adopt.mlflow_folder import keras_file
from scorer.errors import SettingsError
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.model import golden
from scorer.model.bundle import BundleContent, insist_on_free_place, save_bundle
from scorer.model.freezing import freeze
from scorer.model.golden import GoldenRow
from scorer.model.predictor import verify_bundle
from scorer.model.preprocessing import Preprocessing
from scorer.model.split import Split, Wiring, split
from scorer.model.split.whole import padded
from scorer.model.target import TargetTransform
from scorer.objectstore import ObjectStore
from scorer.settings import CreateJob

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Created:
    """What came out.

    Attributes:
        uri: where the bundle is.
        name: of the bundle.
        version: of the bundle.
        digest: of the bundle.
        cut: where the model was cut, or why it was not, as a sentence.
        scores: of the golden rows, in the target's unit.
    """

    uri: str
    name: str
    version: str
    digest: str
    cut: str
    scores: tuple[float, ...]

    def __str__(self) -> str:
        scores = ", ".join(f"{score:,.6g}" for score in self.scores)
        return (
            f"{self.cut}\nThe examples score {scores}.\n"
            f"Bundle {self.name} {self.version} is at {self.uri} (digest {self.digest[:12]})."
        )


def create(job: CreateJob, store: ObjectStore, progress: Progress) -> Created:
    """Load, cut, prove, write, and try the bundle as a job would.

    Args:
        job: the model and what belongs to it.
        store: where all of it is, and the bundle will be.
        progress: gets a line of text now and then.

    Raises:
        SettingsError: a setting contradicts the model.
        BundleError: a file is not what it should be, or the model cannot be a bundle; says why. Nothing was written.
        InputError: the examples cannot be used.
        NotFound, Forbidden, StoreUnreachable: a file cannot be had.
    """
    insist_on_free_place(job.bundle, store)
    preprocessing = read_preprocessing(job.features, job.scaler, store)
    target = _target(job, store)
    model = load_keras(keras_file(job.model, store), store)
    _unroll(model)
    progress(f"{job.model} is loaded: {model.count_params():,} weights.")
    wiring = Wiring(job.size, job.scale, job.max_images, job.inputs, job.blank)
    found = split(model, wiring, job.outputs)
    _insist_on_width(found, preprocessing)
    progress(_cut(found))
    spec = PixelSpec(found.wired.size, job.resize, job.decode, job.scale, job.metadata)
    fewer = job.missing_images == "blank"
    examples = (
        read_examples(job, preprocessing, spec, found.wired.places, store)
        if job.examples
        else made_up(preprocessing, found.wired.places, fewer)
    )
    rows = _golden(examples, model, found, preprocessing, spec, target)
    content = _content(job, found, preprocessing, spec, target, rows)
    with tempfile.TemporaryDirectory(prefix="scorer-create-") as folder:
        # On trial first: what is once at its place is never overwritten.
        save_bundle(content, folder + "/bundle", store)
        verify_bundle(folder + "/bundle", store)
    bundle = save_bundle(content, job.bundle, store)
    scores = tuple(row.scores["prediction"] for row in rows)
    return Created(bundle.uri, bundle.name, bundle.version, bundle.digest, _cut(found), scores)


def _target(job: CreateJob, store: ObjectStore) -> TargetTransform:
    if job.target_scaler is None:
        return TargetTransform(job.target_transform, 0.0, 1.0)
    figures = read_figures(job.target_scaler, store)
    if len(figures.shift) != 1:
        raise SettingsError(
            f"{job.target_scaler} has figures for {len(figures.shift)} columns; the target is one. Nothing was written."
        )
    return TargetTransform(job.target_transform, float(figures.shift[0]), float(figures.scale[0]))


def _unroll(model: Any) -> None:
    """Recurrent layers over a fixed number of images or values, without the loop that no bundle may hold."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN):
            layer.unroll = True


def _insist_on_width(found: Split, preprocessing: Preprocessing) -> None:
    if found.wired.width == preprocessing.width:
        return
    takes = ", ".join(f"{part.name!r} {part.width}" for part in found.wired.features) or "none"
    gives = ", ".join(f"{feature.name} {feature.width}" for feature in preprocessing.features) or "none"
    raise SettingsError(
        f"The model takes {found.wired.width} columns of features ({takes}); the features make {preprocessing.width}"
        f" ({gives}). No bundle was written. A category makes one column for each of its values."
    )


def _cut(found: Split) -> str:
    if found.not_reusable is not None:
        return f"Nothing to cut: {found.not_reusable}. Every night computes the whole model for every listing."
    return (
        f"Cut after {', '.join(found.cut_after)}: {found.embedding_size:,} values an image. On random listings the"
        f" halves give the model's own scores to within {found.difference:.1g} of the largest."
    )


def _golden(
    examples: Sequence[Example],
    model: Any,
    found: Split,
    preprocessing: Preprocessing,
    spec: PixelSpec,
    target: TargetTransform,
) -> tuple[GoldenRow, ...]:
    """The examples with the scores that Keras's own predict gives them."""
    size, places = found.wired.size, found.wired.places
    images = np.full((len(examples), places, size, size, 3), found.wired.blank, np.uint8)
    mask = np.zeros((len(examples), places), np.bool_)
    for row, example in enumerate(examples):
        for place, data in enumerate(example.images):
            decode_image(data, spec, golden.LIMITS, images[row, place])
            mask[row, place] = True
    blank_rows = [GoldenRow(example.features, example.images, (), {}) for example in examples]
    matrix = golden.features(blank_rows, preprocessing)
    scores = {name: target.inverse(values) for name, values in predict(model, found, matrix, images, mask).items()}
    return tuple(
        GoldenRow(row.features, row.images, (), {name: float(values[at]) for name, values in scores.items()})
        for at, row in enumerate(blank_rows)
    )


def predict(
    model: Any,
    found: Split,
    features: npt.NDArray[np.float32],
    images: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.bool_],
) -> dict[str, npt.NDArray[np.float32]]:
    """Keras's own predict.

    Args:
        model: whole.
        found: what its inputs and outputs mean.
        features: float32 [B, F].
        images: uint8 [B, K, S, S, 3], blank where there is none.
        mask: bool [B, K].

    Returns:
        float32 [B] by output.
    """
    given = found.wired.numbers(tf.constant(features), tf.constant(mask)) | found.wired.pictures(tf.constant(images))
    inputs = keras.tree.pack_sequence_as(model.input, [given[index].numpy() for index in range(len(given))])
    outputs = [tf.constant(values) for values in keras.tree.flatten(model.predict(inputs, verbose=0))]
    return {name: values.numpy() for name, values in found.columns.split(outputs).items()}


def _content(
    job: CreateJob,
    found: Split,
    preprocessing: Preprocessing,
    spec: PixelSpec,
    target: TargetTransform,
    rows: tuple[GoldenRow, ...],
) -> BundleContent:
    size, embedding = found.wired.size, found.embedding_size
    signature = {
        "features": tf.TensorSpec([None, preprocessing.width], tf.float32),
        "embeddings": tf.TensorSpec([None, None, embedding], tf.float32),
        "mask": tf.TensorSpec([None, None], tf.bool),
    }
    pixels = {"pixels": tf.TensorSpec([None, size, size, 3], tf.uint8)}
    return BundleContent(
        name=job.name or job.target,
        version=job.version,
        preprocessing=preprocessing,
        pixels=spec,
        max_images=found.wired.places,
        target_column=job.target,
        target=target,
        target_sd=_target_sd(job, target, rows),
        image_tower=freeze(found.tower, pixels, ["embedding"]),
        head=freeze(found.head if job.missing_images == "blank" else _insisting(found), signature),
        embedding_size=embedding,
        outputs=found.outputs,
        metrics={},
        profile={},
        training={
            "settings": job.model_dump(mode="json", exclude={"bundle"}),
            "cut": {"after": list(found.cut_after), "difference": found.difference},
        },
        golden=rows,
        not_reusable=found.not_reusable,
    )


def _insisting(found: Split) -> Callable[..., dict[str, tf.Tensor]]:
    """The head, without a score for listings that lack an image."""

    def head(features: tf.Tensor, embeddings: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        whole = tf.reduce_all(padded(mask, found.wired.places), axis=1)
        outputs = found.head(features, embeddings, mask)
        return {name: tf.where(whole, values, float("nan")) for name, values in outputs.items()}

    return head


def _target_sd(job: CreateJob, target: TargetTransform, rows: Sequence[GoldenRow]) -> float:
    if job.target_sd is not None:
        return job.target_sd
    if job.target_scaler is not None and target.kind == "identity":
        return target.scale
    return float(np.std([row.scores["prediction"] for row in rows]))
