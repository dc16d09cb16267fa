"""The story of a training run: listings in, a bundle out, and the truth about how good it is."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.partitions import Partition
from scorer.model.bundle import BundleContent, insist_on_free_place, save_bundle
from scorer.model.freezing import freeze
from scorer.model.fused import OUTPUT
from scorer.model.towers import build_tower
from scorer.objectstore import ObjectStore
from scorer.settings import TrainJob
from scorer.training import evaluate
from scorer.training.augmentation import augmentation_layers
from scorer.training.curves import Journal
from scorer.training.embed import Embedded, embed_images
from scorer.training.evaluate import Comparison, Metrics
from scorer.training.examples import Examples, open_partitions, read_examples
from scorer.training.fitted import FittedNet
from scorer.training.golden import golden_rows
from scorer.training.images import Source
from scorer.training.prepare import gather, hold_out
from scorer.training.procedure import fit_fused
from scorer.training.profile import profile
from scorer.training.recipes import Design, design_of
from scorer.training.split import Rows
from scorer.training.state import State
from scorer.training.told import below, held, in_words, readout_of, share_in_words
from scorer.training.weighting import weighted_quantile

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
    design = _checked(job)
    insist_on_free_place(job.bundle, store)
    partitions = open_partitions(job, store)
    with (
        tempfile.TemporaryDirectory(prefix="scorer-train-") as folder,
        Fetcher(store, job.images, job.speed.fetch_concurrency) as fetcher,
    ):
        places = ImagePlaces.of(partitions[0].base, job.sources)
        source = Source(fetcher, places, job.images, job.speed.fetch_concurrency)
        state = State.open(job.state, _fingerprint(job, partitions))
        examples = read_examples(partitions, job, design.pixels, source, store, Path(folder), state.images())
        progress(_summary(examples))
        known, test = hold_out(examples, job, progress)
        embedded = _embedded(design, examples, Path(folder), state, progress)
        data = gather(examples, job, design, embedded, Path(folder), progress, state)
        fused = fit_fused(data, known, job.seed, Journal(progress, Path(job.tensorboard) if job.tensorboard else None))
        models, comparison = _evaluate(fused, test)
        readout = readout_of(fused)
        on_test = held(fused, readout, test)
        metrics = evaluate.to_plain(models, comparison) | {"in_their_interval": on_test}
        if job.quantile is not None:
            metrics["at_or_below"] = below(fused, test)
        golden = golden_rows(fused, source, job.seed)
        content = _content(fused, test, readout=readout, metrics=metrics, training=_lineage(fused, test), golden=golden)
    bundle = save_bundle(content, job.bundle, store)
    state.clear()
    said = (evaluate.table(models, comparison), share_in_words(job, metrics), in_words(readout, on_test))
    text = "\n".join(part for part in said if part)
    return TrainReport(bundle.uri, bundle.name, bundle.version, bundle.digest, metrics, text)


def _checked(job: TrainJob) -> Design:
    """What is built; every name that a table answers for is looked up before anything is read."""
    augmentation_layers(job.augmentation, job.seed)
    return design_of(job)


def _fingerprint(job: TrainJob, partitions: list[Partition]) -> dict[str, Any]:
    """All that the result depends on: a training whose state was kept goes on only if nothing of it changed."""
    settings = job.model_dump(mode="json", exclude={"bundle", "speed", "state", "tensorboard", "name", "version"})
    files = [[file.uri, file.etag] for partition in partitions for file in partition.files]
    return {"settings": settings, "files": files}


def _embedded(design: Design, examples: Examples, folder: Path, state: State, progress: Progress) -> Embedded | None:
    """The embeddings of all images, where the image tower stays as it is."""
    if not design.frozen:
        return None
    recipe = design.recipe
    tower = build_tower(design.pixels.size, design.pixels.scaling, recipe)
    progress(f"Embedding {len(set(examples.cache.slots.values())):,} images by {recipe.image_tower}.")
    return embed_images(tower, examples.cache, folder, progress, state.images())


def _evaluate(fused: FittedNet, test: Rows) -> tuple[dict[str, Metrics], Comparison]:
    """Errors on the test listings, which neither fitting nor stopping has seen."""
    assert fused.numbers is not None
    examples, job = fused.data.examples, fused.data.job
    actual, weights = examples.target[test], examples.weight(test)
    name, share = ("constant (median)", 0.5) if job.quantile is None else ("constant (quantile)", job.quantile)
    constant = np.full(len(test), weighted_quantile(examples.target[fused.rows], examples.weight(fused.rows), share))
    without = fused.numbers.target.inverse(fused.numbers.predict(test))
    together = fused.target.inverse(fused.predict(test))
    models = {name: constant, "numbers only": without, "numbers and images": together}
    comparison = evaluate.compare(
        actual, without, together, examples.groups[test], job.seed, weights=weights, quantile=job.quantile
    )
    return {name: evaluate.measure(actual, predicted, weights) for name, predicted in models.items()}, comparison


def _content(fused: FittedNet, test: Rows, **reports: Any) -> BundleContent:
    """The bundle: both halves of the network frozen, and all that surrounds them; `reports` are finished parts."""
    job, examples = fused.data.job, fused.data.examples
    return BundleContent(
        name=job.name or job.target,
        version=job.version,
        preprocessing=fused.prepared.preprocessing,
        pixels=fused.data.design.pixels,
        max_images=job.max_images,
        target_column=job.target,
        target=fused.target,
        target_sd=float(np.std(examples.target[fused.rows])),
        image_tower=fused.embedded.graph,
        head=_frozen_head(fused),
        embedding_size=fused.embedded.size,
        outputs=(OUTPUT,),
        profile=_profile(fused, test),
        **reports,
    )


def _frozen_head(fused: FittedNet) -> bytes:
    def head(features: tf.Tensor, embeddings: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = {"features": features, "embeddings": embeddings, "mask": mask}
        outputs: dict[str, tf.Tensor] = fused.head(inputs, training=False)
        return outputs

    signature = {
        "features": tf.TensorSpec([None, fused.prepared.preprocessing.width], tf.float32),
        "embeddings": tf.TensorSpec([None, None, fused.embedded.size], tf.float32),
        "mask": tf.TensorSpec([None, None], tf.bool),
    }
    return freeze(head, signature)


def _profile(fused: FittedNet, test: Rows) -> dict[str, Any]:
    examples = fused.data.examples
    return profile(
        examples.table.take(pa.array(fused.rows)),
        fused.prepared.preprocessing,
        target=examples.target[fused.rows],
        scores=fused.target.inverse(fused.predict(test)),
        images_used=(examples.images[fused.rows] >= 0).sum(axis=1),
    )


def _lineage(fused: FittedNet, test: Rows) -> dict[str, Any]:
    """Where the bundle comes from, as plain JSON."""
    job, examples = fused.data.job, fused.data.examples
    return {
        "settings": job.model_dump(mode="json", exclude={"bundle", "speed", "state", "tensorboard"}),
        "partitions": list(examples.partitions),
        "rows": {"training": len(fused.rows), "test": len(test)},
        "rows_without_target": examples.without_target,
        "images": len(set(examples.cache.slots.values())),
        "images_not_used": dict(sorted(examples.cache.faults.items())),
        "recipe": {**asdict(fused.data.design.recipe), "fusion": fused.data.design.fusion},
        "epochs": fused.epochs,
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
