"""The story of a training run: listings in, a bundle out, and the truth about how good it is."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf

from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.pixels import PixelSpec
from scorer.model import graphs
from scorer.model.bundle import BundleContent, insist_on_free_place, save_bundle
from scorer.model.fused import OUTPUT, FusedModel, Recipe, build_fused, build_numbers_only
from scorer.model.fusions import FUSIONS
from scorer.model.tables import choose
from scorer.objectstore import ObjectStore
from scorer.settings import TrainJob
from scorer.training import evaluate
from scorer.training.augmentation import augmentation_layers
from scorer.training.evaluate import Comparison, Metrics
from scorer.training.examples import Examples, open_partitions, read_examples
from scorer.training.fit import fit, predict
from scorer.training.golden import golden_rows
from scorer.training.images import Source
from scorer.training.prepare import Prepared, prepare
from scorer.training.profile import profile
from scorer.training.recipes import RECIPES

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TrainReport:
    """What came out.

    Attributes:
        uri: where the bundle is.
        name: of the bundle.
        version: of the bundle.
        digest: of the bundle.
        metrics: plain JSON: errors of the constant, the numbers-only and the fused model, and what the images added.
        text: the same as a table for people.
    """

    uri: str
    name: str
    version: str
    digest: str
    metrics: dict[str, Any]
    text: str

    def __str__(self) -> str:
        return f"{self.text}\n\nBundle {self.name} {self.version} is at {self.uri} (digest {self.digest[:12]})."


def train(job: TrainJob, store: ObjectStore, progress: Progress) -> TrainReport:
    """Read, split, fit, compare with simpler models on listings that were held back, write the bundle.

    Args:
        job: what to train on, how, and where the bundle goes.
        store: where the listings and images are, and the bundle will be.
        progress: gets a line of text now and then.

    Raises:
        SettingsError: a setting names what does not exist.
        BundleError: there is something else where the bundle should go; nothing was read.
        InputError: the listings cannot be trained on; the message says why.
        Transient: the store is out of reach, or an image changed meanwhile. No bundle was written.
    """
    recipe = _checked(job)
    insist_on_free_place(job.bundle, store)
    partitions = open_partitions(job, store)
    with (
        tempfile.TemporaryDirectory(prefix="scorer-train-") as folder,
        Fetcher(store, job.images, job.speed.fetch_concurrency) as fetcher,
    ):
        places = ImagePlaces.of(partitions[0].base, job.sources)
        source = Source(fetcher, places, job.images, job.speed.fetch_concurrency)
        examples = read_examples(partitions, job, _pixels(job), source, store, Path(folder))
        progress(_summary(examples))
        data = prepare(examples, job, progress)
        numbers = _fit_numbers_only(data, recipe, job, progress)
        fused, epochs = _fit_fused(data, recipe, job, progress)
        models, comparison = _evaluate(data, numbers, fused, job)
        metrics = evaluate.to_plain(models, comparison)
        golden = golden_rows(data, fused.whole, source, job.seed)
        content = _content(data, fused, job, metrics=metrics, training=_lineage(data, epochs, job), golden=golden)
    bundle = save_bundle(content, job.bundle, store)
    text = evaluate.table(models, comparison)
    return TrainReport(bundle.uri, bundle.name, bundle.version, bundle.digest, metrics, text)


def _checked(job: TrainJob) -> Recipe:
    """The recipe; every name that a table answers for is looked up before anything is read."""
    choose(FUSIONS, "fusion", job.fusion)
    augmentation_layers(job.augmentation, job.seed)
    return choose(RECIPES, "recipe", job.recipe)


def _fit_numbers_only(data: Prepared, recipe: Recipe, job: TrainJob, progress: Progress) -> keras.Model:
    keras.utils.set_random_seed(job.seed)
    model = build_numbers_only(data.preprocessing.width, recipe)
    fit(model, data.inputs.without_images(), data.split, job, progress)
    return model


def _pixels(job: TrainJob) -> PixelSpec:
    return PixelSpec(job.image_size, job.image_filter, job.image_decode, job.image_scaling)


def _fit_fused(data: Prepared, recipe: Recipe, job: TrainJob, progress: Progress) -> tuple[FusedModel, int]:
    """The trained model, and the epochs it took."""
    keras.utils.set_random_seed(job.seed)
    fused = build_fused(
        data.preprocessing.width,
        job.image_size,
        job.image_scaling,
        recipe,
        job.fusion,
        augmentation_layers(job.augmentation, job.seed),
        job.image_dropout,
        job.seed,
    )
    return fused, fit(fused.whole, data.inputs, data.split, job, progress)


def _evaluate(
    data: Prepared, numbers: keras.Model, fused: FusedModel, job: TrainJob
) -> tuple[dict[str, Metrics], Comparison]:
    """Errors on the test listings, which neither fitting nor stopping has seen."""
    test = data.split.test
    actual = data.examples.target[test]
    constant = np.full(len(test), np.median(data.examples.target[data.split.training]))
    without = data.target.inverse(predict(numbers, data.inputs.without_images(), test, job.batch_rows))
    together = data.target.inverse(predict(fused.whole, data.inputs, test, job.batch_rows))
    models = {"constant (median)": constant, "numbers only": without, "numbers and images": together}
    comparison = evaluate.compare(actual, without, together, data.examples.groups[test], job.seed)
    return {name: evaluate.measure(actual, predicted) for name, predicted in models.items()}, comparison


def _content(data: Prepared, fused: FusedModel, job: TrainJob, **reports: Any) -> BundleContent:
    """The bundle: both halves of the network frozen, and all that surrounds them; `reports` are finished parts."""
    embedding = fused.image_tower.output_shape[-1]
    return BundleContent(
        name=job.name or job.target,
        version=job.version,
        preprocessing=data.preprocessing,
        pixels=_pixels(job),
        max_images=job.max_images,
        target_column=job.target,
        target=data.target,
        target_sd=float(np.std(data.examples.target[data.split.training])),
        image_tower=_frozen_tower(fused, job.image_size),
        head=_frozen_head(fused, data.preprocessing.width, embedding),
        embedding_size=embedding,
        outputs=(OUTPUT,),
        profile=_profile(data, fused, job),
        **reports,
    )


def _frozen_tower(fused: FusedModel, size: int) -> bytes:
    pixels = tf.TensorSpec([None, size, size, 3], tf.uint8)
    return graphs.freeze(fused.image_tower, {"pixels": pixels}, outputs=("embedding",))


def _frozen_head(fused: FusedModel, width: int, embedding: int) -> bytes:
    def head(features: tf.Tensor, embeddings: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = {"features": features, "embeddings": embeddings, "mask": mask}
        outputs: dict[str, tf.Tensor] = fused.head(inputs, training=False)
        return outputs

    signature = {
        "features": tf.TensorSpec([None, width], tf.float32),
        "embeddings": tf.TensorSpec([None, None, embedding], tf.float32),
        "mask": tf.TensorSpec([None, None], tf.bool),
    }
    return graphs.freeze(head, signature)


def _profile(data: Prepared, fused: FusedModel, job: TrainJob) -> dict[str, Any]:
    training, held_back = data.split.training, np.concatenate([data.split.validation, data.split.test])
    return profile(
        data.examples.table.take(pa.array(training)),
        data.preprocessing,
        target=data.examples.target[training],
        scores=data.target.inverse(predict(fused.whole, data.inputs, held_back, job.batch_rows)),
        images_used=(data.examples.images[training] >= 0).sum(axis=1),
    )


def _lineage(data: Prepared, epochs: int, job: TrainJob) -> dict[str, Any]:
    """Where the bundle comes from, as plain JSON."""
    examples, split = data.examples, data.split
    return {
        "settings": job.model_dump(mode="json", exclude={"bundle", "speed"}),
        "partitions": list(examples.partitions),
        "rows": {"training": len(split.training), "validation": len(split.validation), "test": len(split.test)},
        "rows_without_target": examples.without_target,
        "images": len(set(examples.cache.slots.values())),
        "images_not_used": dict(sorted(examples.cache.faults.items())),
        "epochs": epochs,
    }


def _summary(examples: Examples) -> str:
    faults = ", ".join(f"{reason} {count:,}" for reason, count in sorted(examples.cache.faults.items()))
    left_out = f"; {examples.without_target:,} rows without target left out" if examples.without_target else ""
    return (
        f"{len(examples):,} listings from {len(examples.partitions):,} partitions,"
        f" {len(set(examples.cache.slots.values())):,} distinct images"
        + (f" ({faults})" if faults else "")
        + left_out
        + "."
    )
