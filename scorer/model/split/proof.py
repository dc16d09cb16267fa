"""Split and whole side by side on random listings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from scorer.errors import BundleError
from scorer.model.split.whole import Whole
from scorer.model.split.wiring import Wired

if TYPE_CHECKING:
    from scorer.model.split.cut import Split

TOLERANCE = 1e-4
"""Times the largest score. What the order of float32 sums moves a deep model by; a wrong cut moves scores by whole
figures."""

MAX_REASON = 300
"""Characters of what TensorFlow has to say."""

ROUNDS = 3
ROWS = 6

Scores = Mapping[str, npt.NDArray[np.float32]]


class Disproved(Exception):
    """Split and whole do not agree; the text says where."""


@dataclass(frozen=True)
class Listings:
    """Made-up rows.

    Attributes:
        features: float32 [B, F].
        images: uint8 [B, K, S, S, 3].
        mask: bool [B, K].
    """

    features: npt.NDArray[np.float32]
    images: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]

    def rows(self, chosen: npt.NDArray[np.intp]) -> "Listings":
        """Some of them."""
        return Listings(self.features[chosen], self.images[chosen], self.mask[chosen])


def listings(wired: Wired, seed: int, rows: int = ROWS) -> Listings:
    """Rows with all images, with none, and with some; images of flat colours, slopes and noise."""
    random = np.random.default_rng(seed)
    features = random.normal(0, 1 + seed % 3, (rows, wired.width)).astype(np.float32)
    for part in wired.features:
        # A category's number, of which only the first two are sure to exist.
        if wired.zero_or_one or "int" in part.dtype:
            columns = slice(part.start, part.start + part.width)
            features[:, columns] = random.integers(0, 2, (rows, part.width))
    shape = (rows, wired.places)
    slope = np.linspace(-1, 1, wired.size, dtype=np.float32)
    colour = random.uniform(0, 255, (*shape, 1, 1, 3))
    across = random.normal(0, 60, (*shape, 1, 1, 3)) * slope[:, None, None]
    down = random.normal(0, 60, (*shape, 1, 1, 3)) * slope[None, :, None]
    noise = random.normal(0, 1, (*shape, wired.size, wired.size, 3)) * random.uniform(0, 60, (*shape, 1, 1, 1))
    images = np.clip(colour + across + down + noise, 0, 255).astype(np.uint8)
    mask = random.random(shape) < 0.6
    mask[0], mask[1] = True, False
    return Listings(features, images, mask)


def prove(split: "Split") -> float:
    """Compare on random listings.

    Returns:
        The largest difference, relative to the largest score.

    Raises:
        Disproved: it is more than the tolerance, or one of the two is no number.
    """
    worst = 0.0
    for seed in range(ROUNDS):
        made = listings(split.wired, seed)
        size = split.wired.size
        flat = tf.constant(made.images.reshape(-1, size, size, 3))
        embeddings = np.array(split.tower(flat)).reshape(len(made.images), split.wired.places, -1)
        embeddings[~made.mask] = 7.0  # must not be looked at
        found = split.head(tf.constant(made.features), tf.constant(embeddings), tf.constant(made.mask))
        worst = max(worst, _difference(_numpy(found), scores(split.whole, made)))
    return worst


def wired_for_made_up(whole: Whole) -> Wired:
    """How made-up listings must be for the model to take them.

    Raises:
        BundleError: it takes none.
    """
    wired = whole.wired
    for tried in (wired, replace(wired, zero_or_one=True)):
        try:
            for seed in range(ROUNDS + 1):
                scores(whole, listings(tried, seed))
        except tf.errors.InvalidArgumentError as error:
            why = " ".join(error.message.split())[:MAX_REASON]
        else:
            return tried
    raise BundleError(
        f"The model refuses made-up listings, whose features are drawn at random or from 0 and 1: {why}. No bundle was"
        " written. Have it take any number, say by keras.ops.clip before an Embedding."
    )


def insist_on_rows_alone(whole: Whole, wired: Wired) -> None:
    """Raise BundleError if a listing's score depends on the others that happen to share its batch."""
    made = listings(wired, seed=ROUNDS)
    together = scores(whole, made)
    few = np.array([0, 2])
    try:
        _difference(scores(whole, made.rows(few)), {name: values[few] for name, values in together.items()})
    except Disproved as disproved:
        raise BundleError(
            f"The model gives a listing another score when other listings share its batch: {disproved}. No bundle was"
            " written: the scores of a night would depend on how its rows are cut into batches. Look for an operation"
            " on the batch axis (axis=0, axis=None, a reshape)."
        ) from None


def scores(function: Callable[..., Mapping[str, tf.Tensor]], made: Listings) -> Scores:
    """float32 [B] by output."""
    return _numpy(function(tf.constant(made.features), tf.constant(made.images), tf.constant(made.mask)))


def _numpy(outputs: Mapping[str, tf.Tensor]) -> Scores:
    return {name: values.numpy() for name, values in outputs.items()}


def _difference(found: Scores, expected: Scores) -> float:
    worst = 0.0
    for name, values in expected.items():
        largest = float(np.max(np.abs(values), initial=1e-6))
        difference = np.abs(found[name] - values) / largest
        # Not the other way round: NaN is within no tolerance.
        if not np.all(difference <= TOLERANCE):
            row = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
            raise Disproved(
                f"output {name!r} of a random listing was {found[name][row]:.6g} instead of {values[row]:.6g}"
            )
        worst = max(worst, float(np.max(difference, initial=0.0)))
    return worst
