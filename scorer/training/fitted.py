"""What comes out of a fit: something that predicts any of the listings, with as many of their images as one likes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import keras
import numpy as np
import numpy.typing as npt

from scorer.model.fused import OUTPUT
from scorer.model.target import Floats, TargetTransform
from scorer.training.curves import Curve
from scorer.training.embed import Embedded
from scorer.training.prepare import Data, Prepared
from scorer.training.split import Rows

CHUNK = 2048
"""Listings that the head predicts at a time: eight images of 1,280 values each are 84 MB."""


class Fitted(Protocol):
    """What came out of a fit."""

    @property
    def target(self) -> TargetTransform:
        """From predictions back to the target's own unit: `target.inverse(predict(rows))`."""

    def predict(self, rows: Rows, images: int | None = None) -> Floats:
        """Predictions for some of all listings, on the scale on which the target is learned.

        Args:
            rows: int64 [n].
            images: keep the first so many of each listing's images at most; None: all, 0: none.

        Returns:
            float64 [n].
        """


@dataclass(frozen=True)
class FittedNet:
    """A head, and the embeddings that it is given.

    Attributes:
        data: what it was fitted in.
        rows: int64 [m], the rows it was fitted on.
        prepared: features and target, as fitted on those rows.
        embedded: the image tower, and what it makes of all images.
        head: features, embeddings, mask -> outputs.
        out_of_fold: float64 [m, O], of each of the rows, by nets that had not seen it; NaN where there is none.
        curves: losses by pass of each net that was trained.
        numbers: the same without images, fitted on the way; None if this is it, or it has none.
        output: the one that it predicts.
    """

    data: Data
    rows: Rows
    prepared: Prepared
    embedded: Embedded
    head: keras.Model
    out_of_fold: Floats
    curves: Mapping[str, Curve]
    numbers: "FittedNet | None" = None
    output: str = OUTPUT

    @property
    def target(self) -> TargetTransform:
        """From predictions back to the target's own unit."""
        return self.prepared.target

    @property
    def targets(self) -> dict[str, TargetTransform]:
        """The same by output."""
        return {name: self.prepared.further.get(name, self.prepared.target) for name in self.data.outputs}

    def of(self, output: str) -> "FittedNet":
        """As the model of this one output alone: what measures a model of one target measures it, too."""
        if not self.data.examples.further:
            return self
        data, prepared, place = self.data, self.prepared, [self.data.outputs.index(output)]
        examples, job, kind = data.examples, data.job.model_copy(update={"further_targets": ()}), data.kind
        if output != OUTPUT:
            examples = replace(examples, target=examples.further[output])
            job, kind = job.model_copy(update={"target": output}), data.further_kinds[output]
        return replace(
            self,
            data=replace(data, examples=replace(examples, further={}), job=job, kind=kind, further_kinds={}),
            prepared=replace(
                prepared,
                target=self.targets[output],
                further={},
                goal=prepared.goal.columns(place),
                fitting=prepared.fitting.columns(place),
                offset=prepared.offset[place],
            ),
            out_of_fold=self.out_of_fold[:, place],
            numbers=self.numbers and self.numbers.of(output),
            output=output,
        )

    @property
    def epochs(self) -> int:
        """Passes of the longest training among its parts."""
        return max((curve.passes for curve in self.curves.values()), default=0)

    def predict(self, rows: Rows, images: int | None = None) -> Floats:
        """Predictions of its output, float64 [n]; see `Fitted`."""
        return self.outputs(rows, images)[self.output]

    def raw(self, rows: Rows, images: int | None = None) -> Floats:
        """Every output side by side, float64 [n, O]; of the model of one output that one."""
        found = self.outputs(rows, images)
        names = self.data.outputs if len(self.data.outputs) > 1 else (self.output,)
        return np.stack([found[name] for name in names], axis=1)

    def outputs(self, rows: Rows, images: int | None = None) -> dict[str, Floats]:
        """Every output by name, float64 [n]."""
        return self.outputs_of(self.prepared.features[rows], kept_images(self.data.examples.images[rows], images))

    def outputs_of(self, features: npt.NDArray[np.float32], slots: npt.NDArray[np.int32]) -> dict[str, Floats]:
        """The same from features float32 [n, F] and slots of images int32 [n, K]."""
        parts = []
        for start in range(0, len(features), CHUNK):
            chosen = slots[start : start + CHUNK]
            there = chosen >= 0
            embeddings = np.zeros((*chosen.shape, self.embedded.size), np.float32)
            embeddings[there] = self.embedded.values[chosen[there]]
            given = {"features": features[start : start + CHUNK], "embeddings": embeddings, "mask": there}
            parts.append({name: np.asarray(values, np.float64) for name, values in self.head(given).items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def kept_images(slots: npt.NDArray[np.int32], most: int | None) -> npt.NDArray[np.int32]:
    """The first `most` images of each listing, int32 [n, K]; -1 in place of the others."""
    if most is None:
        return slots
    there = slots >= 0
    return np.where(there & (np.cumsum(there, axis=1) <= most), slots, -1).astype(np.int32)
