"""The story of a training run: listings in, a bundle out, and the truth about how good it is."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf

from scorer.errors import InputChanged
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.partitions import Partition
from scorer.model.bundle import BundleContent, GoldenRow, insist_on_free_place, save_bundle
from scorer.model.document import versions_here
from scorer.model.freezing import freeze
from scorer.model.readout import MAIN, Readout, read_out
from scorer.model.towers import build_tower
from scorer.objectstore import ObjectStore
from scorer.settings import TrainJob
from scorer.training.assess import assess
from scorer.training.augmentation import augmentation_layers
from scorer.training.choice import choose_fusion
from scorer.training.curves import Journal
from scorer.training.embed import Embedded, embed_images
from scorer.training.examples import Examples, open_partitions, read_examples
from scorer.training.fitted import FittedNet
from scorer.training.golden import golden_rows
from scorer.training.images import Source
from scorer.training.judge_classes import judge_classes
from scorer.training.judge_numbers import judge_numbers
from scorer.training.prepare import gather, hold_out
from scorer.training.profile import profile
from scorer.training.recipes import Design, design_of
from scorer.training.schemes import Schemes
from scorer.training.split import Rows
from scorer.training.state import State, alone_in
from scorer.training.told import readout_of
from scorer.training.ways import Nets

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TrainReport:
    """What came out.

    Attributes:
        uri: where the bundle is.
        name: of the bundle.
        version: of the bundle.
        digest: of the bundle.
        metrics: plain JSON: errors of the model and of what it was compared with, and what the images added.
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
        SettingsError: a setting names what does not exist, or another training is at work in the state's folder.
        BundleError: there is something else where the bundle should go; nothing was read.
        InputError: the listings cannot be trained on; the message says why.
        Transient: the store is out of reach, or an image changed meanwhile. No bundle was written.
    """
    design = _checked(job)
    partitions = open_partitions(job, store)
    fingerprint = _fingerprint(job, partitions)
    with (
        alone_in(job.state),
        tempfile.TemporaryDirectory(prefix="scorer-train-") as folder,
        Fetcher(store, job.images, job.speed.fetch_concurrency) as fetcher,
    ):
        if not State.is_kept(job.state, fingerprint):
            insist_on_free_place(job.bundle, store)  # else this very training may have been killed after it wrote it
        places = ImagePlaces.of(partitions[0].base, job.sources)
        source = Source(fetcher, places, job.images, job.speed.fetch_concurrency)
        state = State.open(job.state, fingerprint)
        examples = read_examples(partitions, job, design.pixels, source, store, Path(folder), state.images())
        progress(_summary(examples))
        progress(examples.ties.text)
        known, test = hold_out(examples, job, progress)
        schemes = Schemes.of(job, examples, known)
        embedded = _embedded(design, examples, Path(folder), state, job.seed, progress)
        data = gather(examples, known, job, design, embedded, Path(folder), progress, state)
        data, tried = choose_fusion(data, schemes.choosing, progress)
        nets = Nets(data)
        journal = Journal(progress, Path(job.tensorboard) if job.tensorboard else None)
        fused = nets.fused(known, job.seed, journal)
        readout = readout_of(fused)
        if examples.classes:
            judged = judge_classes(fused, test)
        else:
            assessment = assess(nets, fused, test, schemes.judging, tried, progress)
            judged = judge_numbers(fused, test, assessment, readout)
        content = _content(
            fused,
            test,
            readout=readout,
            metrics=judged.metrics,
            training=_lineage(fused, test),
            golden=_golden(fused, source, readout, state),
            card=judged.card,
        )
        bundle = save_bundle(content, job.bundle, store)
        state.clear()  # with the folder still ours: the next training in it may have begun the moment that it is let go
    return TrainReport(bundle.uri, bundle.name, bundle.version, bundle.digest, judged.metrics, judged.text)


def _checked(job: TrainJob) -> Design:
    """What is built; every name that a table answers for is looked up before anything is read."""
    augmentation_layers(job.augmentation, job.seed)
    return design_of(job)


def _fingerprint(job: TrainJob, partitions: list[Partition]) -> dict[str, Any]:
    """All that the result depends on: a training whose state was kept goes on only if nothing of it changed."""
    settings = job.model_dump(mode="json", exclude={"bundle", "speed", "state", "tensorboard", "name", "version"})
    files = [[file.uri, file.etag] for partition in partitions for file in partition.files]
    return {"settings": settings, "files": files, "versions": versions_here()}


def _embedded(
    design: Design, examples: Examples, folder: Path, state: State, seed: int, progress: Progress
) -> Embedded | None:
    """The embeddings of all images, where the image tower stays as it is."""
    if not design.frozen:
        return None
    recipe = design.recipe
    keras.utils.set_random_seed(seed)  # weights that are random and stay so are part of the result, too
    tower = build_tower(design.pixels.size, design.pixels.scaling, recipe)
    progress(f"Embedding {len(set(examples.cache.slots.values())):,} images by {recipe.image_tower}.")
    return embed_images(tower, examples.cache, folder, progress, state.images())


def _golden(fused: FittedNet, source: Source, readout: Readout, state: State) -> tuple[GoldenRow, ...]:
    """The golden rows. Where an image of theirs has changed, what was kept is forgotten.

    Its fingerprint knows the files of listings, not the images: the same training started again would take the former
    image for decoded, choose the same rows and fail at the same image, for ever.
    """
    try:
        return golden_rows(fused, source, fused.data.job.seed, readout)
    except InputChanged as error:
        if state.folder is None:
            raise
        state.clear()
        raise InputChanged(
            f"{error} What was kept in {state.folder} (state) knew the former image and was removed: the next training"
            " begins anew."
        ) from None


def _content(fused: FittedNet, test: Rows, **reports: Any) -> BundleContent:
    """The bundle: both halves of the network frozen, and all that surrounds them; `reports` are finished parts."""
    job = fused.data.job
    return BundleContent(
        name=job.name or job.target,
        version=job.version,
        preprocessing=fused.prepared.preprocessing,
        pixels=fused.data.design.pixels,
        max_images=job.max_images,
        target_column=job.target,
        target=fused.target,
        target_sd=_spread(fused),
        image_tower=fused.embedded.graph,
        head=_frozen_head(fused),
        embedding_size=fused.embedded.size,
        outputs=fused.data.outputs,
        profile=_profile(fused, test, reports["readout"]),
        **reports,
    )


def _spread(fused: FittedNet) -> float:
    """Standard deviation of the target; of classes that of being one or not, the mean over them."""
    if fused.data.objective.classes:
        return float(np.std(fused.prepared.goal.values[fused.rows], axis=0).mean())
    return float(np.std(fused.data.examples.target[fused.rows]))


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


def _profile(fused: FittedNet, test: Rows, readout: Readout) -> dict[str, Any]:
    examples = fused.data.examples
    return profile(
        examples.table.take(pa.array(fused.rows)),
        fused.prepared.preprocessing,
        target=examples.target[fused.rows],
        scores=read_out(readout, fused.targets, fused.outputs(test)).scores[MAIN],
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
        "ties": examples.ties.to_plain(),
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
