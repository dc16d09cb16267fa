"""Any functional Keras model in two: what one image alone decides, and the rest.

The cut goes through the last tensors that depend on one image alone. They become the image tower's embedding; the head
puts them back in their places and computes on. What was cut is compared with the whole model before anybody gets it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from scorer.errors import BundleError
from scorer.model.graphs import first_line
from scorer.model.split.columns import Columns
from scorer.model.split.expressions import called
from scorer.model.split.proof import Disproved, insist_on_rows_alone, prove, wired_for_made_up
from scorer.model.split.walk import OneImage, Ref, Step, Walk, is_functional
from scorer.model.split.whole import Packed, Whole, padded
from scorer.model.split.wiring import Wired, Wiring, wire

WORTH_KEEPING = 4096
"""Values of an embedding, above which it must be smaller than the image's own pixels: a feature map of an early layer
is many times as large as what it was computed from, and most of the work comes after it."""

MAX_REASON = 400
"""Characters of the reason that a bundle keeps."""

Tower = Callable[[tf.Tensor], tf.Tensor]
Head = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


@dataclass(frozen=True)
class Split:
    """A model in two, and whole.

    Attributes:
        wired: what its inputs take.
        columns: what its outputs hold.
        cut_after: the layers whose outputs are the embedding.
        embedding_size: D.
        not_reusable: why the image tower only passes pixels on, so that nothing of last night's can be used; None: it
            does what depends on the image alone.
        tower: uint8 [B, S, S, 3] "pixels" -> float32 [B, D].
        head: float32 [B, F] "features", float32 [B, any, D] "embeddings", bool [B, any] "mask" -> float32 [B] by
        output. whole: float32 [B, F] "features", uint8 [B, K, S, S, 3] "images", bool [B, K] "mask" -> float32 [B] by
            output, by the model itself. Where an image is absent the model sees a blank one.
        difference: the largest between split and whole on random listings, relative to the largest score.
    """

    wired: Wired
    columns: Columns
    cut_after: tuple[str, ...]
    embedding_size: int
    not_reusable: str | None
    tower: Tower
    head: Head
    whole: Head
    difference: float = 0.0

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the scores, `prediction` first."""
        return self.columns.in_order


def split(model: Any, wiring: Wiring | None = None, outputs: Sequence[str] = ()) -> Split:
    """Cut a model at the frontier between images and everything else.

    Args:
        model: a functional or sequential Keras model, with the weights that count.
        wiring: what its inputs mean, as far as it does not say so itself.
        outputs: names of its scores; see `Columns.of`.

    Returns:
        The model in two where that saves work, else a tower that passes pixels on, a head that is the whole model, and
        the reason. Either way split and whole gave the same scores on random listings.

    Raises:
        BundleError: the model cannot be scored by, cut or not; the message says why.
        SettingsError: the wiring or the names contradict the model.
    """
    if not is_functional(model):
        raise BundleError(
            f"The model is a {type(model).__name__}, which is code of its own and no graph of layers. No bundle was"
            " written. Rebuild it from keras.Input to keras.Model(inputs, outputs), or cut it yourself (see"
            " docs/your-own-model.md)."
        )
    wired, columns = wire(model, wiring or Wiring()), Columns.of(model, outputs)
    wired = wired_for_made_up(Whole(model, wired, columns))
    whole = Whole(model, wired, columns)
    insist_on_rows_alone(whole, wired)
    found = _proved_cut(model, whole)
    return found if found.not_reusable is None else replace(found, difference=prove(found))


@dataclass(frozen=True)
class Piece:
    """One of the tensors that an embedding consists of.

    Attributes:
        start: where it begins within the embedding.
        shape: of one image, without the batch.
        dtype: to be brought back to.
    """

    start: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Values."""
        return int(np.prod(self.shape, dtype=np.int64))


class Cut:
    """A walk cut at its frontier."""

    def __init__(self, walk: Walk, columns: Columns) -> None:
        self._walk, self._columns = walk, columns
        self.steps = _needed_steps(walk)
        frontier = [value for step in self.steps for value in step.inputs] + list(walk.outputs)
        self.frontier = tuple(dict.fromkeys(value for value in frontier if isinstance(walk.facts[value], OneImage)))
        self._parts = tuple(dict.fromkeys(_fact(walk, value).part for value in self.frontier))
        self._pieces: dict[int, Piece] = {}
        self._blank: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        if not self._parts:
            return
        size = walk.wired.size
        probe = self._evaluate(tf.fill([1, size, size, 3], tf.constant(walk.wired.blank, tf.uint8)))
        for part, tensor in zip(self._parts, probe, strict=True):
            self._pieces[part] = Piece(self.embedding_size, tuple(tensor.shape[1:]), tensor.dtype.name)
        self._blank = self._flat(probe).numpy()[0]

    @property
    def embedding_size(self) -> int:
        """D."""
        return sum(piece.size for piece in self._pieces.values())

    @property
    def learned(self) -> bool:
        """Whether the tower has weights."""
        return self._walk.expressions.learned(self._parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The layers behind which the cut goes."""
        makers = {value: step.operation.name for step in self._walk.steps for value in step.outputs}
        return tuple(dict.fromkeys(makers.get(value, self._walk.tensors[value].name) for value in self.frontier))

    def meetings(self) -> list[str]:
        """Where an image first meets something else, in words."""
        return [
            f"{step} takes in {', '.join(sorted(map(repr, self._walk.sources[step.outputs[0]])))}"
            for step in self.steps
            if set(step.inputs) & set(self.frontier)
        ]

    def tower(self, pixels: tf.Tensor) -> tf.Tensor:
        """uint8 [B, S, S, 3] -> float32 [B, D]."""
        return self._flat(self._evaluate(pixels))

    def head(self, features: tf.Tensor, embeddings: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """The rest of the model; see `Split`."""
        walk, places = self._walk, self._walk.wired.places
        embeddings, mask = padded(embeddings, places), padded(mask, places)
        # What the model saw in training where a listing had no image, whatever stands there now.
        embeddings = tf.where(mask[..., None], embeddings, self._blank)
        values: dict[int, Any] = {value: self._restored(value, embeddings) for value in self.frontier}
        for index, tensor in walk.wired.numbers(features, mask).items():
            values[walk.inputs[index]] = tensor
        for step in self.steps:
            args, kwargs = keras.tree.map_structure(
                lambda leaf: values[leaf.value] if isinstance(leaf, Ref) else leaf, (step.args, step.kwargs)
            )
            outputs = keras.tree.flatten(called(step.operation)(*args, **kwargs))
            values.update(zip(step.outputs, outputs, strict=True))
        return self._columns.split([values[value] for value in walk.outputs])

    def _evaluate(self, pixels: tf.Tensor) -> list[tf.Tensor]:
        wired = self._walk.wired
        return self._walk.expressions.evaluate(self._parts, lambda stacked, dtype: wired.image(pixels, stacked, dtype))

    def _flat(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        """The pieces, [B, ...] each, as one float32 [B, D]."""
        flat = [
            tf.reshape(tf.cast(tensor, tf.float32), [-1, self._pieces[part].size])
            for part, tensor in zip(self._parts, tensors, strict=True)
        ]
        return tf.concat(flat, axis=1)

    def _restored(self, value: int, embeddings: tf.Tensor) -> tf.Tensor:
        """A tensor of the frontier as the model has it, from float32 [B, K, D]."""
        fact = _fact(self._walk, value)
        piece = self._pieces[fact.part]
        found = embeddings[..., piece.start : piece.start + piece.size]
        if fact.slots != tuple(range(self._walk.wired.places)):
            found = tf.stack([found[:, slot] for slot in fact.slots], axis=1)
        shape = (len(fact.slots), *piece.shape[1:]) if fact.layout == "stack" else piece.shape
        return tf.cast(tf.reshape(found, [-1, *shape]), piece.dtype)


def _proved_cut(model: Any, whole: Whole) -> Split:
    """The model in two; or whole, because that saves nothing or does not give the same."""
    cut = None
    try:
        cut = Cut(Walk.through(model, whole.wired), whole.columns)
        if why := _not_worth(cut, whole.wired):
            return _uncut(whole, why)
        found = Split(whole.wired, whole.columns, cut.names, cut.embedding_size, None, cut.tower, cut.head, whole)
        return replace(found, difference=prove(found))
    except Disproved as disproved:
        assert cut is not None
        return _uncut(whole, f"the model was cut after {', '.join(cut.names)}, but {disproved}")
    except Exception as error:  # a layer may refuse to be called on its own, with whatever exception it likes
        return _uncut(whole, f"the model could not be taken apart ({type(error).__name__}: {first_line(error)})")


def _uncut(whole: Whole, why: str) -> Split:
    packed, why = Packed(whole), " ".join(why.split())[:MAX_REASON]
    return Split(whole.wired, whole.columns, (), packed.size, why, packed.tower, packed.head, whole)


def _not_worth(cut: Cut, wired: Wired) -> str | None:
    """Why the cut would save nothing; None if it does."""
    if not cut.frontier:
        return "no output depends on an image"
    meetings = "; ".join(cut.meetings()[:3])
    if not cut.learned:
        return f"no layer with weights sees an image alone: {meetings}"
    if cut.embedding_size > max(wired.pixel_values, WORTH_KEEPING):
        return (
            f"what depends on one image alone ends after {', '.join(cut.names[:3])}, where it is {cut.embedding_size:,}"
            f" values, more than the {wired.pixel_values:,} of its pixels: {meetings}"
        )
    return None


def _needed_steps(walk: Walk) -> list[Step]:
    """The steps behind the frontier, in order."""
    makers = {value: step for step in walk.steps for value in step.outputs}
    needed: set[int] = set()
    waiting = [value for value in walk.outputs if not isinstance(walk.facts[value], OneImage)]
    while waiting:
        step = makers.get(waiting.pop())
        if step is not None and id(step) not in needed:
            needed.add(id(step))
            waiting.extend(value for value in step.inputs if not isinstance(walk.facts[value], OneImage))
    return [step for step in walk.steps if id(step) in needed]


def _fact(walk: Walk, value: int) -> OneImage:
    fact = walk.facts[value]
    assert isinstance(fact, OneImage)
    return fact
