"""The tf.data chain of a training run, and the run itself."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from scorer.errors import Terminal
from scorer.model.fused import OUTPUT
from scorer.model.preprocessing import Mask, Matrix
from scorer.settings import TrainJob
from scorer.training.images import Pixels
from scorer.training.split import Rows, Split

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Inputs:
    """What the network is fed with.

    Attributes:
        features: float32 [n, F].
        images: int32 [n, K], slots in `pixels`, -1 where there is no image.
        pixels: uint8 [slots, S, S, 3], memory-mapped.
        target: float64 [n], as the network learns it (standardised).
        with_images: whether batches hold images; false for the numbers-only net.
    """

    features: Matrix
    images: npt.NDArray[np.int32]
    pixels: Pixels
    target: npt.NDArray[np.float64]
    with_images: bool = True

    def without_images(self) -> "Inputs":
        """The same for the numbers-only net."""
        return replace(self, with_images=False)

    def dataset(self, rows: Rows, batch_rows: int, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Batches of ({"features", "images", "mask"}, {"prediction"}); with a seed, in a new order each pass."""
        chain = tf.data.Dataset.from_tensor_slices(rows)
        if shuffle_seed is not None:
            # Row numbers, not pixels, are shuffled: the whole split at a cost of 8 bytes a row.
            chain = chain.shuffle(len(rows), seed=shuffle_seed, reshuffle_each_iteration=True)
        return chain.batch(batch_rows).map(self._batch).prefetch(2).with_options(_options())

    def _batch(self, rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        features, target = tf.numpy_function(self._numbers, [rows], [tf.float32, tf.float32])
        features.set_shape([None, self.features.shape[1]])
        target.set_shape([None])
        inputs = {"features": features}
        if self.with_images:
            images, mask = tf.numpy_function(self._images, [rows], [tf.uint8, tf.bool])
            images.set_shape([None, self.images.shape[1], *self.pixels.shape[1:]])
            mask.set_shape([None, self.images.shape[1]])
            inputs |= {"images": images, "mask": mask}
        return inputs, {OUTPUT: target}

    def _numbers(self, rows: Rows) -> tuple[Matrix, Matrix]:
        """float32 [b, F] and float32 [b]."""
        return self.features[rows], self.target[rows].astype(np.float32)

    def _images(self, rows: Rows) -> tuple[Pixels, Mask]:
        """uint8 [b, K, S, S, 3] and bool [b, K]."""
        slots = self.images[rows]
        images = np.zeros((*slots.shape, *self.pixels.shape[1:]), np.uint8)
        images[slots >= 0] = self.pixels[slots[slots >= 0]]
        return images, slots >= 0


def fit(model: keras.Model, inputs: Inputs, split: Split, job: TrainJob, progress: Progress) -> int:
    """Train in place; the weights that did best on the validation rows stay.

    Args:
        model: fresh weights.
        inputs: of all rows.
        split: which rows to train on, and which decide when to stop.
        job: learning rate, batch size, epochs, patience, seed.
        progress: gets one line per epoch.

    Returns:
        Epochs run.

    Raises:
        Terminal: the loss is not finite.
    """
    # No XLA: it compiles anew for each number of images that a batch happens to hold.
    model.compile(keras.optimizers.Adam(job.learning_rate), {OUTPUT: "mse"}, jit_compile=False)
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=job.patience, restore_best_weights=True)
    history = model.fit(
        inputs.dataset(split.training, job.batch_rows, shuffle_seed=job.seed),
        validation_data=inputs.dataset(split.validation, job.batch_rows),
        epochs=job.epochs,
        callbacks=[keras.callbacks.TerminateOnNaN(), stop, _Lines(model.name.replace("_", " "), progress)],
        shuffle=False,  # the chain has shuffled
        verbose=0,
    )
    if not np.isfinite([history.history["loss"], history.history["val_loss"]]).all():
        raise Terminal(
            f"Training of {model.name} diverged: its loss is not finite after {len(history.epoch)} epochs."
            " No bundle was written. Try a smaller learning_rate."
        )
    return len(history.epoch)


def predict(model: keras.Model, inputs: Inputs, rows: Rows, batch_rows: int) -> npt.NDArray[np.float32]:
    """Outputs of Keras's own predict, float32 [len(rows)], as the network learnt them (standardised)."""
    outputs: npt.NDArray[np.float32] = model.predict(inputs.dataset(rows, batch_rows), verbose=0)[OUTPUT]
    return outputs


class _Lines(keras.callbacks.Callback):  # type: ignore[misc] # Keras's classes come without types
    """One line per epoch."""

    def __init__(self, name: str, progress: Progress) -> None:
        super().__init__()
        self._name, self._progress, self._best = name, progress, np.inf

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Losses are mean squared errors of the standardised target: 1 is what the mean would do."""
        loss, validation = (float((logs or {}).get(name, np.nan)) for name in ("loss", "val_loss"))
        mark = ", best so far" if validation < self._best else ""
        self._best = min(self._best, validation)
        self._progress(f"{self._name}: epoch {epoch + 1}, loss {loss:.3f}, validation {validation:.3f}{mark}")


def _options() -> tf.data.Options:
    options = tf.data.Options()
    # With autotune, deleting an iterator stalled up to 5 s in about half of the tries; with it off, never.
    options.autotune.enabled = False
    return options
