"""What a run would write for one listing, and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ImageEffect:
    """One image that the listing names.

    Attributes:
        uri: as written.
        effect: the score minus the score without this image alone, the others staying; None if it was not used.
        why_not: reason for which it was not used; empty if it was.
    """

    uri: str
    effect: float | None
    why_not: str = ""


@dataclass(frozen=True)
class FeatureEffect:
    """One feature.

    Attributes:
        name: of the column.
        value: the listing's, as text; None where it is missing.
        typical: what it was replaced by: the training's median, or its most frequent value; None: missing.
        effect: the score minus the score with the typical value instead.
    """

    name: str
    value: str | None
    typical: str | None
    effect: float


@dataclass(frozen=True)
class Explanation:
    """What a run would write for one listing, and why. Effects are one at a time: they need not add up to anything.

    Attributes:
        prediction: None where the model gives no finite number.
        prediction_class: for classification.
        probabilities: class -> probability, for classification.
        low: lower end of the interval; None without one.
        high: upper end.
        level: share of truths that intervals are made to hold.
        seen: the share that this listing's kind of interval held in training, in words.
        image_effect: the score minus that without any image.
        effects_on: what effects are differences of: prediction, or the probability of the class.
        reasons: what degrades the row.
        images: in the listing's order.
        features: those that moved the score most first.
    """

    listing_id: str
    partition: str
    bundle_name: str
    bundle_version: str
    prediction: float | None
    prediction_class: str | None
    probabilities: Mapping[str, float]
    low: float | None
    high: float | None
    level: float | None
    seen: str
    image_effect: float | None
    effects_on: str
    reasons: tuple[str, ...]
    images: tuple[ImageEffect, ...]
    features: tuple[FeatureEffect, ...]

    def plain(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)
