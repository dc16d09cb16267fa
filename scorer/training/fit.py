"""The tf.data chain of a training run, and the run itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from scorer.errors import Terminal
from scorer.model.preprocessing import Mask, Matrix
from scorer.settings import TrainJob
from scorer.training.curves import Curve, Journal
from scorer.training.devices import evenly
from scorer.training.images import Embeddings, Pixels
from scorer.training.objective import Goal
from scorer.training.split import Rows, Split
from scorer.training.state import Checkpoint, listed, numbered

NOWHERE = Checkpoint()
"""Keeps nothing."""


@dataclass(frozen=True)
class Inputs:
    """What the network is fed with.

    Attributes:
        features: float32 [n, F].
        images: int32 [n, K], slots in `by_slot`, -1 where there is no image.
        by_slot: uint8 [slots, S, S, 3], pixels for a net with an image tower; or float32 [slots, D], embeddings for one
            without. Memory-mapped.
        goal: of the n listings.
        with_features: whether batches hold features; a net of the images alone takes none.
    """

    features: Matrix
    images: npt.NDArray[np.int32]
    by_slot: Pixels | Embeddings
    goal: Goal
    with_features: bool = True

    def dataset(self, rows: Rows, batch_rows: int) -> tf.data.Dataset:
        """Batches of ({"features", "images" or "embeddings", "mask"}, goal, weights) in the order of the rows."""
        chain = tf.data.Dataset.from_tensor_slices(rows)
        return chain.batch(batch_rows).map(self._batch).prefetch(2).with_options(_options())

    def _batch(self, rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        features, goal, weights = tf.numpy_function(self._numbers, [rows], [tf.float32] * 3)
        features.set_shape([None, self.features.shape[1]])
        goal.set_shape([None, self.goal.width])
        weights.set_shape([None])
        by_slot, mask = tf.numpy_function(self._images, [rows], [self.by_slot.dtype, tf.bool])
        by_slot.set_shape([None, self.images.shape[1], *self.by_slot.shape[1:]])
        mask.set_shape([None, self.images.shape[1]])
        name = "embeddings" if self.by_slot.ndim == 2 else "images"
        inputs = {name: by_slot, "mask": mask}
        return inputs | ({"features": features} if self.with_features else {}), goal, weights

    def _numbers(self, rows: Rows) -> tuple[Matrix, Matrix, Matrix]:
        """float32 [b, F], [b, O] and [b]."""
        goal = self.goal.take(rows)
        return self.features[rows], goal.values.astype(np.float32), goal.weights.astype(np.float32)

    def _images(self, rows: Rows) -> tuple[Pixels | Embeddings, Mask]:
        """uint8 [b, K, S, S, 3] or float32 [b, K, D], and bool [b, K]."""
        slots = self.images[rows]
        found = np.zeros((*slots.shape, *self.by_slot.shape[1:]), self.by_slot.dtype)
        found[slots >= 0] = self.by_slot[slots[slots >= 0]]
        return found, slots >= 0


def fit(
    model: keras.Model,
    inputs: Inputs,
    split: Split,
    job: TrainJob,
    seed: int,
    journal: Journal,
    checkpoint: Checkpoint = NOWHERE,
    slowly: Sequence[keras.Variable] = (),
) -> Curve:
    """Train in place; the weights that did best on the validation rows stay.

    A fit that was cut off goes on from its checkpoint and ends with the same weights: the order of the rows follows
    from seed and pass, and the states of dropout and augmentation are kept with the weights. A model that was built in
    the scope of several replicas has each batch divided among them; of each pass it leaves out the few last rows that
    cannot be.

    Args:
        model: fresh weights; its outputs by name, in the order of the goal's.
        inputs: of all rows.
        split: which rows to train on, and which decide when to stop.
        job: learning rates, batch size, epochs, patience.
        seed: of the order of the rows.
        journal: told of each pass.
        checkpoint: where the state after a pass is kept.
        slowly: weights that came trained, and are moved at `tower_learning_rate`.

    Raises:
        Terminal: the loss is not finite.
    """
    trained = _side_by_side(model)
    # All of it in the scope: an optimizer from outside keeps one state for all replicas, which each of them moves.
    with model.distribute_strategy.scope():
        optimizer = TwoRates(job.learning_rate, slowly, job.tower_learning_rate / job.learning_rate)
        # No XLA: it compiles anew for each number of images that a batch happens to hold.
        trained.compile(optimizer, _loss(inputs.goal), jit_compile=False)
        trained.optimizer.build(trained.trainable_variables)
        return _passes(trained, inputs, split, job, seed, journal, _Passes(trained, checkpoint))


def _passes(
    trained: keras.Model, inputs: Inputs, split: Split, job: TrainJob, seed: int, journal: Journal, progress: "_Passes"
) -> Curve:
    """Pass after pass, until they help no more."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    batch_rows, used = evenly(job.batch_rows, replicas), evenly(len(split.training), replicas)
    validation = inputs.dataset(split.validation, batch_rows)
    while progress.curve.passes < job.epochs and progress.curve.stale < job.patience:
        order = np.random.default_rng((seed, progress.curve.passes)).permutation(split.training)[:used]
        history = trained.fit(inputs.dataset(order, batch_rows), shuffle=False, verbose=0).history
        losses = float(history["loss"][0]), float(trained.evaluate(validation, verbose=0))
        if not np.isfinite(losses).all():
            raise Terminal(
                f"Training of {trained.name} diverged: its loss is not finite after {progress.curve.passes + 1} epochs."
                " No bundle was written. Try a smaller learning_rate."
            )
        progress.add(*losses)
        journal.tell(trained.name.replace("_", " "), progress.curve)
    return progress.end()


def _side_by_side(model: keras.Model) -> keras.Model:
    """The same net with its outputs as one matrix [B, O], so that a loss sees them together.

    It is made outside of the scope of the devices, and trained inside. One that is made inside has Keras take the mean
    of the devices' first batches to learn their shape, which fails for masks and for parts of unequal size.
    """
    matrix = keras.ops.stack(list(model.output.values()), axis=1)
    return keras.Model(model.input, matrix, name=model.name)


def _loss(goal: Goal) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """As Keras wants it: float32 [B], the mean over the outputs; Keras weighs the listings."""

    def loss(wanted: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(goal.objective.losses(scores, wanted), axis=-1)

    return loss


class TwoRates(keras.optimizers.Adam):  # type: ignore[misc] # Keras's classes come without types
    """Adam that moves some weights by a factor of the learning rate: those that others have trained."""

    def __init__(self, learning_rate: float, slowly: Sequence[keras.Variable], factor: float) -> None:
        super().__init__(learning_rate)
        self._slow_ids, self._factor = {id(variable) for variable in slowly}, factor
        self._slow_places: set[int] = set()

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Remember the places of those weights: on several devices the variables that arrive are others."""
        super().build(variables)
        self._slow_places = {place for place, variable in enumerate(variables) if id(variable) in self._slow_ids}

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        """One step of one weight."""
        slow = self._get_variable_index(variable) in self._slow_places
        super().update_step(gradient, variable, learning_rate * self._factor if slow else learning_rate)


class _Passes:
    """The state of a fit after each pass, and the best weights so far."""

    def __init__(self, model: keras.Model, checkpoint: Checkpoint) -> None:
        self._model, self._checkpoint = model, checkpoint
        self.curve, self._best = Curve(), _values(model.variables)
        if (kept := checkpoint.load()) is not None:
            for variable, values in zip(self._variables(), listed("state", kept), strict=True):
                variable.assign(values)
            self.curve, self._best = Curve.from_arrays(kept), listed("best", kept)

    def add(self, training: float, validation: float) -> None:
        self.curve = self.curve.then(training, validation)
        if not self.curve.stale:
            self._best = _values(self._model.variables)
        self._save(last=False)

    def end(self) -> Curve:
        """Go back to the best weights."""
        self._save(last=True)
        for variable, values in zip(self._model.variables, self._best, strict=True):
            variable.assign(values)
        return self.curve

    def _variables(self) -> list[keras.Variable]:
        return [*self._model.variables, *self._model.optimizer.variables]

    def _save(self, last: bool) -> None:
        if self._checkpoint.due(last):
            state = numbered("state", _values(self._variables())) | numbered("best", self._best)
            self._checkpoint.save(state | self.curve.arrays())


def _values(variables: Sequence[keras.Variable]) -> list[npt.NDArray[Any]]:
    return [variable.numpy() for variable in variables]


def _options() -> tf.data.Options:
    options = tf.data.Options()
    # With autotune, deleting an iterator stalled up to 5 s in about half of the tries; with it off, never.
    options.autotune.enabled = False
    return options
