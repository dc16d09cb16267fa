"""Number nets, trained side by side: some on all rows, some without a fold each, which tell when to stop."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from scorer.errors import InputError, Terminal
from scorer.model.members import build_members, some_members
from scorer.model.preprocessing import Matrix
from scorer.settings import TrainJob
from scorer.training.curves import Curve, Journal
from scorer.training.folds import FOLDS, deal_folds
from scorer.training.objective import Goal
from scorer.training.split import Rows
from scorer.training.state import Checkpoint, listed, numbered

Floats = npt.NDArray[np.float64]

MANY_ROWS = 20_000
"""From here on one part of the rows, held out from all nets, tells enough: folds would multiply the work by six."""

HELD_OUT_OF_MANY = 7
"""One part of so many."""

MEMORY = 0.98
"""Of the running mean of the weights, a step: some fifty steps. The weights themselves jump with the last few batches:
on 400 houses the error out of fold went from 26.1 to 27.6 % and back within twelve passes, that of the means by 0.1."""

CHUNK = 8192
"""Rows predicted at a time."""


@dataclass(frozen=True)
class FittedMembers:
    """What came out.

    Attributes:
        model: float32 [B, F] -> float32 [B, M, O], the nets that count.
        folds: int64 [m], the fold in which each row was held out, -1: in none.
        out_of_fold: float64 [m, O], by nets that had not seen the row; NaN where there is none.
        curve: losses by pass, summed up over the nets.
    """

    model: keras.Model
    folds: Rows
    out_of_fold: Floats
    curve: Curve


@dataclass(frozen=True)
class _Plan:
    """Which of M nets learns from which row.

    Attributes:
        folds: int64 [m], -1 for rows that all nets learn from.
        seen: float32 [m, M], 1 where the net learns from the row.
        final: int64, the nets that count in the end.
    """

    folds: Rows
    seen: Matrix
    final: Rows


def fit_members(
    features: Matrix,
    goal: Goal,
    groups: Rows,
    job: TrainJob,
    units: tuple[int, ...],
    members: int,
    seed: int,
    journal: Journal,
    checkpoint: Checkpoint,
) -> FittedMembers:
    """Train until the rows that were held out are predicted no better, and go back to the pass that was best.

    All rows are learned from: the nets that count see each of them, and stop when those stop improving that are alike
    but for the fold that they have not seen.

    Args:
        features: float32 [m, F], of the rows to learn from.
        goal: of the same rows.
        groups: int64 [m]; rows of one group are held out together.
        job: learning rate, batch size, epochs, patience.
        units: of the nets' layers.
        members: nets that count.
        seed: of folds, weights and order.
        journal: told of each pass.
        checkpoint: where the state after a pass is kept.

    Raises:
        InputError: all rows are of one group.
        Terminal: the loss is not finite.
    """
    plan = _plan(groups, members, seed)
    model = build_members(features.shape[1], units, plan.seen.shape[1], goal.width, seed)
    optimizer = keras.optimizers.Adam(job.learning_rate)
    optimizer.build(model.trainable_variables)
    means = build_members(features.shape[1], units, plan.seen.shape[1], goal.width, seed)
    one_pass = _one_pass(model, means, optimizer, features, goal, plan.seen, job.batch_rows)
    watched = np.flatnonzero(plan.folds >= 0)
    now = _Now(model, means, optimizer, np.full(goal.values.shape, np.nan), checkpoint)
    while now.curve.passes < job.epochs and now.curve.stale < job.patience:
        loss = one_pass(np.random.default_rng((seed, now.curve.passes)).permutation(len(features)))
        found = _unseen(means, features[watched], plan.seen[watched])
        error = float(goal.take(watched).mean_losses(found).mean())
        if not np.isfinite([loss, error]).all():
            raise Terminal(
                f"Training of the number nets diverged: their loss is not finite after {now.curve.passes + 1} epochs."
                " No bundle was written. Try a smaller learning_rate."
            )
        now.add(loss, error, watched, found)
        journal.tell("numbers only", now.curve)
    now.end()
    return FittedMembers(
        some_members(means, plan.final, features.shape[1], units), plan.folds, now.out_of_fold, now.curve
    )


class _Now:
    """The state of the nets after each pass, and the best so far."""

    def __init__(
        self,
        model: keras.Model,
        means: keras.Model,
        optimizer: keras.Optimizer,
        out_of_fold: Floats,
        checkpoint: Checkpoint,
    ) -> None:
        self._variables, self._means = [*model.variables, *means.variables, *optimizer.variables], means
        self._checkpoint, self.out_of_fold = checkpoint, out_of_fold
        self.curve, self._best = Curve(), means.get_weights()
        if (kept := checkpoint.load()) is not None:
            for variable, values in zip(self._variables, listed("state", kept), strict=True):
                variable.assign(values)
            self.curve, self._best = Curve.from_arrays(kept), listed("best", kept)
            self.out_of_fold = kept["out_of_fold"]

    def add(self, loss: float, error: float, watched: Rows, found: Floats) -> None:
        self.curve = self.curve.then(loss, error)
        if not self.curve.stale:
            self._best = self._means.get_weights()
            self.out_of_fold[watched] = found
        self._save(last=False)

    def end(self) -> None:
        """Go back to the best weights."""
        self._save(last=True)
        self._means.set_weights(self._best)

    def _save(self, last: bool) -> None:
        if self._checkpoint.due(last):
            state = numbered("state", [variable.numpy() for variable in self._variables])
            kept = state | numbered("best", self._best) | self.curve.arrays()
            self._checkpoint.save(kept | {"out_of_fold": self.out_of_fold})


def _plan(groups: Rows, members: int, seed: int) -> _Plan:
    distinct = len(np.unique(groups))
    if distinct < 2:
        raise InputError(
            f"All {len(groups):,} listings to learn from share an id, an image or a group, so none can be held out to"
            " tell when to stop. No bundle was written. Take out of image_uris or group what ties them together."
        )
    if len(groups) >= MANY_ROWS:
        folds = np.where(deal_folds(groups, min(HELD_OUT_OF_MANY, distinct), seed) == 0, 0, -1)
        return _Plan(folds, np.repeat(folds[:, None] < 0, members, axis=1).astype(np.float32), np.arange(members))
    count = min(FOLDS, distinct)
    folds = deal_folds(groups, count, seed)
    without = np.repeat(np.arange(count + 1), members)  # the last ones learn from every row
    seen = (folds[:, None] != without[None]).astype(np.float32)
    return _Plan(folds, seen, np.arange(count * members, (count + 1) * members))


def _one_pass(
    model: keras.Model,
    means: keras.Model,
    optimizer: keras.Optimizer,
    features: Matrix,
    goal: Goal,
    seen: Matrix,
    batch_rows: int,
) -> Callable[[Rows], float]:
    """A function that trains on all rows once, in the order given, and gives the mean loss.

    Args:
        model: what is trained.
        means: gets the running mean of its weights.
        optimizer: of its weights.
        features: float32 [m, F].
        goal: of the same rows.
        seen: float32 [m, M], 1 where the net learns from the row.
        batch_rows: rows a step.
    """
    batch = min(batch_rows, len(features))
    known, goals = tf.constant(features), tf.constant(goal.values.astype(np.float32))
    weights = tf.constant((seen * goal.weights[:, None]).astype(np.float32))

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def run(order: tf.Tensor) -> tf.Tensor:
        total = 0.0
        for rows in order:
            given, wanted, counts = tf.gather(known, rows), tf.gather(goals, rows), tf.gather(weights, rows)
            with tf.GradientTape() as tape:
                losses = goal.objective.losses(model(given, training=True), wanted[:, None])
                # Adam takes each weight by itself, so the sum over the nets trains each as if it were alone.
                loss = tf.reduce_sum(tf.reduce_mean(losses * counts[..., None], axis=0))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            _follow(means, model, tf.cast(optimizer.iterations, tf.float32))
            total += loss
        return total

    def one_pass(order: Rows) -> float:
        steps = len(order) // batch
        used = order[: steps * batch].reshape(steps, batch)
        mean: float = run(tf.constant(used)).numpy().item() / (
            steps * (1 if goal.objective.classes else goal.width) * seen.shape[1]
        )
        return mean

    return one_pass


def _follow(means: keras.Model, model: keras.Model, steps: tf.Tensor) -> None:
    """Move the running means a part of the way to the weights; at the beginning, when all is far off, a larger one."""
    kept = tf.minimum(MEMORY, (1 + steps) / (10 + steps))
    for mean, weight in zip(means.trainable_variables, model.trainable_variables, strict=True):
        mean.assign_add((1 - kept) * (weight - mean))


def _unseen(model: keras.Model, features: Matrix, seen: Matrix) -> Floats:
    """float64 [w, O]: the mean of the nets that have not seen the row."""
    found = predict_in_chunks(model, features)
    unseen = 1.0 - seen[..., None].astype(np.float64)
    mean: Floats = (found * unseen).sum(axis=1) / unseen.sum(axis=1)
    return mean


def predict_in_chunks(model: keras.Model, features: Matrix) -> Floats:
    """float64 [m, M, O]."""
    starts = range(0, len(features), CHUNK)
    return np.concatenate(
        [np.asarray(model(features[start : start + CHUNK], training=False), np.float64) for start in starts]
    )
