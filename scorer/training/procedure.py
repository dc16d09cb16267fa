"""Ways to fit a model on some of the listings, all called alike: what is fitted looks at those rows and no others."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt

from scorer.model.fused import FusedModel, build_fused, build_head, build_images_only, on_embeddings
from scorer.model.fusions import LATE_GATE
from scorer.model.heads import images_head, late_head, numbers_head, selecting_head
from scorer.model.towers import build_tower
from scorer.training.augmentation import augmentation_layers
from scorer.training.curves import Curve, Journal
from scorer.training.devices import strategy
from scorer.training.embed import Embedded, embed_images
from scorer.training.fit import Inputs, fit
from scorer.training.fitted import Fitted, FittedNet
from scorer.training.folds import FOLDS, deal_folds
from scorer.training.late import fit_shares
from scorer.training.logits import fit_opinion, unexplained
from scorer.training.members import FittedMembers, fit_members, predict_in_chunks
from scorer.training.prepare import Data, Prepared, prepare, stopping_split
from scorer.training.recipes import Design
from scorer.training.ridge import Floats, mean_embeddings, with_beside
from scorer.training.split import Rows, Split
from scorer.training.state import Checkpoint
from scorer.training.told import corrected

__all__ = [
    "PROCEDURES",
    "Fitted",
    "FittedNet",
    "Procedure",
    "fit_fused",
    "fit_images_only",
    "fit_number_nets",
    "fit_numbers_only",
    "fit_shuffled",
]

SILENT = Journal(lambda line: None)
"""Tells nobody."""


class Procedure(Protocol):
    """A way to fit: preprocessing, nets and all that is chosen by their errors come from these rows alone."""

    def __call__(
        self, data: Data, rows: Rows, seed: int, journal: Journal = ..., members: FittedMembers | None = ...
    ) -> Fitted:
        """Fit on rows int64 [m], with this seed; `members`, where they are fitted already, are of the same three."""


def fit_number_nets(data: Data, rows: Rows, seed: int, journal: Journal = SILENT) -> FittedMembers:
    """The number nets, which do not depend on the images: one fit serves all that is built upon them."""
    return _members(data, rows, prepare(data, rows), seed, journal)


def fit_numbers_only(
    data: Data, rows: Rows, seed: int, journal: Journal = SILENT, members: FittedMembers | None = None
) -> FittedNet:
    """The numbers alone: several nets, averaged."""
    prepared = prepare(data, rows)
    return corrected(_numbers(data, rows, prepared, members or _members(data, rows, prepared, seed, journal)))


def fit_images_only(
    data: Data, rows: Rows, seed: int, journal: Journal = SILENT, members: FittedMembers | None = None
) -> FittedNet:
    """The images alone: a linear score of their mean embedding; without any image what is usual.

    Whatever number nets there are, they are not asked.
    """
    prepared = prepare(data, rows)
    side = _image_side(data, rows, _inputs(data, prepared), "images", seed, journal)
    slots, values = data.examples.images[rows], side.embedded.values
    goal = prepared.goal.take(rows)
    scores, usual = fit_opinion(values, slots, goal, side.folds), goal.usual()
    head = images_head(prepared.features.shape[1], side.embedded.size, scores.whole, usual, data.outputs)
    out_of_fold = scores.out_of_fold(mean_embeddings(values, slots), side.folds)
    out_of_fold[np.isfinite(out_of_fold).all(axis=1) & (slots < 0).all(axis=1)] = usual
    return corrected(FittedNet(data, rows, prepared, side.embedded, head, out_of_fold, side.curves))


def fit_fused(
    data: Data, rows: Rows, seed: int, journal: Journal = SILENT, members: FittedMembers | None = None
) -> FittedNet:
    """Numbers and images, by the fusion that the design names. Its `numbers` is what `fit_numbers_only` gives."""
    prepared = prepare(data, rows)
    members = members or _members(data, rows, prepared, seed, journal)
    fuse = _late if data.design.fusion == LATE_GATE else _vectors
    fused = fuse(data, rows, prepared, members, seed, journal)
    numbers = corrected(_numbers(data, rows, prepared, members, fused.embedded))
    return corrected(replace(fused, numbers=numbers))


def fit_shuffled(
    data: Data, rows: Rows, seed: int, journal: Journal = SILENT, members: FittedMembers | None = None
) -> FittedNet:
    """The same as `fit_fused`, each listing with another one's images: what it gains, it does not gain by looking."""
    return fit_fused(data.shuffled(seed), rows, seed, journal, members)


NUMBERS, IMAGES, SHUFFLED, FUSED = "numbers only", "images only", "shuffled images", "numbers and images"

PROCEDURES: dict[str, Procedure] = {
    NUMBERS: fit_numbers_only,
    IMAGES: fit_images_only,
    SHUFFLED: fit_shuffled,
    FUSED: fit_fused,
}
"""The model, last, and what is told of it by leaving out or spoiling half of what it is given."""


@dataclass(frozen=True)
class _ImageSide:
    """An image tower that is done, its embeddings, and the rows that it has not been trained on, by fold."""

    embedded: Embedded
    folds: Rows
    curves: Mapping[str, Curve] = field(default_factory=dict)


def _members(data: Data, rows: Rows, prepared: Prepared, seed: int, journal: Journal) -> FittedMembers:
    recipe = data.design.recipe
    found = fit_members(
        prepared.features[rows],
        prepared.fitting.take(rows),
        data.examples.groups[rows],
        data.job,
        recipe.numbers,
        recipe.members,
        seed,
        journal,
        _checkpoint(data, "members", rows, seed),
    )
    if prepared.offset.any():
        _lower(found.model.get_layer("members_output"), prepared.offset)
    return replace(found, out_of_fold=found.out_of_fold - prepared.offset)


def _lower(layer: keras.layers.Layer, by: Floats) -> None:
    """Take float64 [O] off the scores that a layer gives."""
    layer.bias.assign(layer.bias.numpy() - by.astype(np.float32))


def _numbers(
    data: Data, rows: Rows, prepared: Prepared, members: FittedMembers, embedded: Embedded | None = None
) -> FittedNet:
    # Whatever the tower is, it is not looked at; one value an image is the least that a head can take.
    images = embedded or Embedded(b"", np.zeros((len(data.examples.cache.pixels), 1), np.float32))
    head = numbers_head(prepared.features.shape[1], images.size, members.model, data.outputs)
    return FittedNet(data, rows, prepared, images, head, members.out_of_fold, {"numbers only": members.curve})


def _late(data: Data, rows: Rows, prepared: Prepared, members: FittedMembers, seed: int, journal: Journal) -> FittedNet:
    """The late gate: what the images say beside the numbers, then how much that counts, each on rows out of fold."""
    goal, slots = prepared.goal.take(rows), data.examples.images[rows]
    numbers = _told_by_numbers(prepared, rows, members)
    rest = unexplained(goal, numbers)  # a tower that is trained learns what the numbers do not know
    left = np.zeros(prepared.goal.values.shape)
    left[rows] = rest.values
    inputs = replace(_inputs(data, prepared), goal=replace(prepared.goal, values=left, objective=rest.objective))
    side = _image_side(data, rows, inputs, "second", seed, journal, members.folds)
    values = side.embedded.values
    second = fit_opinion(values, slots, goal, side.folds, numbers)
    shares = fit_shares(members.out_of_fold, second, values, slots, goal, side.folds, seed)
    journal.progress(f"The images count {_percent(shares[1:, 0])} with 1 to {len(shares) - 1} of them.")
    width = prepared.features.shape[1]
    head = late_head(width, side.embedded.size, members.model, second.whole, shares, data.outputs)
    share = shares[(slots >= 0).sum(axis=1)]
    opinion = second.out_of_fold(with_beside(mean_embeddings(values, slots), numbers), side.folds)
    fused = np.where(share > 0, members.out_of_fold + share * (opinion - members.out_of_fold), members.out_of_fold)
    curves = {"numbers only": members.curve, **side.curves}
    return FittedNet(data, rows, prepared, side.embedded, head, fused, curves)


def _told_by_numbers(prepared: Prepared, rows: Rows, members: FittedMembers) -> Floats:
    """The numbers' score of each row, float64 [m, O]: out of fold as far as there is one.

    Rows that all nets have seen are of many (`members.MANY_ROWS`), which small nets that stop in time cannot learn by
    heart.
    """
    if np.isfinite(members.out_of_fold).all():
        return members.out_of_fold
    seen = predict_in_chunks(members.model, prepared.features[rows]).mean(axis=1)
    return np.where(np.isfinite(members.out_of_fold), members.out_of_fold, seen)


def _vectors(
    data: Data, rows: Rows, prepared: Prepared, members: FittedMembers, seed: int, journal: Journal
) -> FittedNet:
    """A fusion that is trained by gradients; where a listing has no image, the number nets alone have the word."""
    split = stopping_split(data, rows, seed)
    width, inputs, design = prepared.features.shape[1], _inputs(data, prepared), data.design
    if data.embedded is not None:
        inputs, embedded = replace(inputs, by_slot=data.embedded.values), data.embedded
        heads, curves = _heads(data, rows, width, inputs, split, seed, journal)
    else:
        fused, keep = _built(data, width, seed), _checkpoint(data, design.fusion, rows, seed)
        slow = slowly(fused.image_tower, design)
        curves = {"fused": fit(fused.whole, inputs, split, data.job, seed, journal, keep, slow)}
        heads, embedded = [fused.head], _embed(data, fused.image_tower, journal)
    for fitted in heads if prepared.offset.any() else ():
        _lower(fitted.get_layer("output"), prepared.offset)
    head = selecting_head(width, embedded.size, members.model, heads, data.outputs)
    curves = {"numbers only": members.curve, **curves}
    found = FittedNet(data, rows, prepared, embedded, head, members.out_of_fold, curves)
    held_out = np.isin(rows, split.validation)
    known = np.full(members.out_of_fold.shape, np.nan)
    known[held_out] = found.raw(rows[held_out])
    # Without an image the number nets have the word, and those that count have learned from every row.
    bare = held_out & ~(data.examples.images[rows] >= 0).any(axis=1)
    known[bare] = members.out_of_fold[bare]
    return replace(found, out_of_fold=known)


def _heads(
    data: Data, rows: Rows, width: int, inputs: Inputs, split: Split, seed: int, journal: Journal
) -> tuple[list[keras.Model], dict[str, Curve]]:
    """As many heads as there are number nets, from different beginnings."""
    assert data.embedded is not None
    heads, curves, recipe = [], {}, data.design.recipe
    for place in range(recipe.members):
        keras.utils.set_random_seed(seed + place)
        head = build_head(width, data.embedded.size, recipe, data.design.fusion, data.outputs)
        trained = on_embeddings(head, data.job.image_dropout, seed + place)
        keep = _checkpoint(data, data.design.fusion, rows, seed, place)
        curves[f"fused {place}"] = fit(trained, inputs, split, data.job, seed + place, journal, keep)
        heads.append(head)
    return heads, curves


def _image_side(
    data: Data, rows: Rows, inputs: Inputs, name: str, seed: int, journal: Journal, folds: Rows | None = None
) -> _ImageSide:
    """The frozen tower with the folds of the number nets; or one that is trained, with the rows that stopped it.

    Args:
        data: all of it.
        rows: to learn from.
        inputs: images, and what a tower that is trained learns from them.
        name: of its checkpoint.
        seed: of weights and order.
        journal: told of each pass.
        folds: of a frozen tower; by default dealt anew.
    """
    if data.embedded is not None:
        return _ImageSide(data.embedded, _some_folds(data, rows, seed) if folds is None else folds)
    split = stopping_split(data, rows, seed)
    keras.utils.set_random_seed(seed)
    design, job, keep = data.design, data.job, _checkpoint(data, name, rows, seed)
    augmentation = augmentation_layers(job.augmentation, seed)
    with strategy().scope():
        tower, whole = build_images_only(
            design.pixels.size, job.image_scaling, design.recipe, augmentation, job.training_precision, data.outputs
        )
    with_images, slow = _with_images(split, data), slowly(tower, design)
    curve = fit(whole, replace(inputs, with_features=False), with_images, job, seed, journal, keep, slow)
    folds = np.where(np.isin(rows, split.validation), 0, -1)
    return _ImageSide(_embed(data, tower, journal), folds, {"images only": curve})


def _with_images(split: Split, data: Data) -> Split:
    """The rows that have an image, as far as there are any."""

    def some(rows: Rows) -> Rows:
        found = rows[(data.examples.images[rows] >= 0).any(axis=1)]
        return found if len(found) else rows

    return Split(some(split.training), some(split.validation), split.test)


def _built(data: Data, width: int, seed: int) -> FusedModel:
    keras.utils.set_random_seed(seed)
    job, design = data.job, data.design
    with strategy().scope():
        return build_fused(
            width,
            design.pixels.size,
            job.image_scaling,
            design.recipe,
            design.fusion,
            augmentation_layers(job.augmentation, seed),
            job.image_dropout,
            seed,
            job.training_precision,
            data.outputs,
        )


def slowly(tower: keras.Model, design: Design) -> list[keras.Variable]:
    """The weights of a tower that came trained, and shall not be moved far at a time."""
    return [] if design.recipe.weights == "random" else list(tower.trainable_variables)


def _inputs(data: Data, prepared: Prepared) -> Inputs:
    examples = data.examples
    return Inputs(prepared.features, examples.images, examples.cache.pixels, prepared.fitting)


def _embed(data: Data, tower: keras.Model, journal: Journal) -> Embedded:
    """Embeddings by a tower that was trained, as the bundle will compute them: on one device, in float32."""
    recipe = replace(data.design.recipe, weights="random", trained_stages=None)
    plain = build_tower(data.design.pixels.size, data.job.image_scaling, recipe)
    plain.set_weights(tower.get_weights())
    return embed_images(plain, data.examples.cache, data.folder, journal.progress)


def _checkpoint(data: Data, *names: Any) -> Checkpoint:
    return data.state.checkpoint(data.tag, *names)


def _some_folds(data: Data, rows: Rows, seed: int) -> Rows:
    return deal_folds(data.examples.groups[rows], FOLDS, seed)


def _percent(shares: npt.NDArray[np.float32]) -> str:
    return ", ".join(f"{100 * share:.0f}" for share in shares) + " %"
