"""How far the truth may lie from a prediction: bands by group, as training measured them. Part of bundle.json."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from scorer.model.parts import Number, Part, Share, Text

Floats = npt.NDArray[np.float64]


class Band(Part):
    """One group of listings: how far the truth lay from the prediction, in the network's scale."""

    images: bool | None
    """Listings with a usable image, without one; None: either."""
    segment: Text | None
    """Value of the column that the bands go by; None: any."""
    low: Annotated[float, Field(le=0, allow_inf_nan=False)]
    """Added to the network's output it is the lower end."""
    high: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Added to the network's output it is the upper end."""
    n: Number
    """Out-of-fold residuals that the ends come from."""
    coverage: Share | None
    """Share of them inside ends that the other folds gave: seen in training, and no promise for other listings."""
    images_taken_away: bool = False
    """Whether these are residuals of listings that have images, scored as if they had none."""

    @property
    def group(self) -> str:
        """The listings that it is for, in words."""
        images = {True: "with an image", False: "without an image", None: "with or without images"}[self.images]
        return images if self.segment is None else f"{images}, {self.segment}"

    @property
    def seen(self) -> str:
        """The share of truths that it held in training, in words."""
        share = "unknown" if self.coverage is None else f"{self.coverage:.1%}"
        return f"{share} of {self.n:,}" + (" (their images taken away)" if self.images_taken_away else "")


class Intervals(Part):
    """The intervals of one output."""

    level: Annotated[float, Field(gt=0, lt=1)]
    """Share of the truths that they are made to hold."""
    by: Text | None = None
    """Feature whose value chooses the band."""
    bands: Annotated[tuple[Band, ...], Field(min_length=1, max_length=10_000)]
    """For a listing counts the first there is of: its segment and images, its images, its segment, any."""

    @model_validator(mode="after")
    def _distinct(self) -> "Intervals":
        groups = [(band.segment, band.images) for band in self.bands]
        if len(set(groups)) < len(groups):
            raise ValueError("two bands are for one group of listings")
        if self.by is None and any(segment is not None for segment, _ in groups):
            raise ValueError("a band is for a segment, and no column says which")
        return self

    def ends(
        self, outputs: Floats, with_images: npt.NDArray[np.bool_], segments: Sequence[str | None] | None
    ) -> tuple[Floats, Floats]:
        """Both ends in the network's scale.

        Args:
            outputs: float64 [n].
            with_images: bool [n], whether an image entered the score.
            segments: n values of the column `by`, as text; None where it is null, or where there is no such column.

        Returns:
            low and high, float64 [n], low <= output <= high; NaN where no band is for a listing.
        """
        named = segments if self.by is not None and segments is not None else [None] * len(outputs)
        place = {name: at for at, name in enumerate(dict.fromkeys(named))}
        code = np.array([place[name] for name in named], np.int64)
        offsets = np.array([[self._offsets(name, has) for has in (False, True)] for name in place]).reshape(-1, 2, 2)
        chosen = offsets[code, with_images.astype(np.int64)]
        return outputs + chosen[:, 0], outputs + chosen[:, 1]

    def band(self, segment: str | None, images: bool) -> Band | None:
        """The band that counts for a listing."""
        bands = {(band.segment, band.images): band for band in self.bands}
        groups = ((segment, images), (None, images), (segment, None), (None, None))
        return next((bands[group] for group in groups if group in bands), None)

    def _offsets(self, segment: str | None, images: bool) -> tuple[float, float]:
        band = self.band(segment, images)
        return (band.low, band.high) if band else (np.nan, np.nan)
