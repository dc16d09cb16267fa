"""What models say of listings that they have not seen: every way to predict, fitted on every fold, side by side."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from scorer.training.baselines import BASELINES, Listings
from scorer.training.evaluate import bootstrap
from scorer.training.fitted import FittedNet
from scorer.training.prepare import Data
from scorer.training.procedure import fit_fused, fit_images_only
from scorer.training.split import Rows, group_folds
from scorer.training.told import corrected, held, readout_of
from scorer.training.yardstick import Yardstick

Floats = npt.NDArray[np.float64]
Told = Mapping[str, Floats]
"""Predictions of the listings of one fold by name of what predicts, in the target's unit."""

NUMBERS, IMAGES, SHUFFLED, SHIFTED = "numbers only", "images only", ", images shuffled", ", correction=shift"
PRESENT = (4, 2, 1, 0)
"""Images that a listing may keep, the first ones."""

MAPE = Yardstick("MAPE")


@dataclass
class HeldOut:
    """What was told of each listing by models that had not seen it.

    Attributes:
        target: float64 [n], none of them zero.
        groups: int64 [n].
        told: by name, float64 [repetitions, n]; NaN where a repetition did not try it.
        in_interval: by fusion, share of the truths inside their intervals, and how many they are; one pair a fold.
        seconds: by fusion, of each fit.
    """

    target: Floats
    groups: Rows
    told: dict[str, Floats] = field(default_factory=dict)
    in_interval: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def errors(self, name: str) -> Floats:
        """Absolute percentage errors, float64 [repetitions that tried it, n]."""
        tried = self.told[name][~np.isnan(self.told[name]).all(axis=1)]
        return MAPE.errors(self.target, tried)

    def less_than(self, name: str, other: str) -> tuple[float, float, float]:
        """By how much the mean error is less than another's, in points, and the 95 % interval over listings."""
        both = ~(np.isnan(self.told[name]).all(axis=1) | np.isnan(self.told[other]).all(axis=1))
        ours, theirs = (MAPE.errors(self.target, self.told[one][both]) for one in (name, other))
        differences = (theirs - ours).mean(axis=0)
        low, high, _ = bootstrap(differences, self.groups, seed=0)
        return float(differences.mean()), low, high

    def coverage(self, fusion: str) -> float | None:
        """Share of the truths inside their intervals; None without intervals."""
        found = self.in_interval.get(fusion)
        return sum(share * rows for share, rows in found) / sum(rows for _, rows in found) if found else None


def hold_out(data: Data, fusions: Sequence[str], folds: int, repeats: int, progress: Callable[[str], None]) -> HeldOut:
    """Fit on all folds but one, in turn, and keep what is told of that one; the repetition is the seed of the fits.

    With shuffled images the first repetition is enough: a gain that is left shows in any.

    Args:
        data: listings, and embeddings where the image tower stays as it is.
        fusions: names in `scorer.model.fusions.FUSIONS`.
        folds: of whole groups.
        repeats: each with folds of its own.
        progress: gets a line a fold.
    """
    found = HeldOut(data.examples.target, data.examples.groups)
    for turn in range(repeats):
        for place, (known, unseen) in enumerate(group_folds(data.examples.groups, folds, turn)):
            for told in _ways(data, fusions, known, unseen, turn, found):
                for name, values in told.items():
                    column = found.told.setdefault(name, np.full((repeats, len(data.examples)), np.nan))
                    column[turn, unseen] = values
            progress(f"repetition {turn + 1} of {repeats}, fold {place + 1} of {folds} done")
    return found


def _ways(data: Data, fusions: Sequence[str], known: Rows, unseen: Rows, seed: int, found: HeldOut) -> Iterator[Told]:
    listings = Listings(data.examples.table, data.columns, data.examples.target, data.kind)
    yield {name: of(listings)(known, seed).predict(unseen) for name, of in BASELINES.items()}
    shuffled = data.shuffled(seed + 1)
    yield {IMAGES: _told(fit_images_only(data, known, seed), unseen)}
    if not seed:
        yield {IMAGES + SHUFFLED: _told(fit_images_only(shuffled, known, seed), unseen)}
    for fusion in fusions:
        began = time.perf_counter()
        fused = fit_fused(_by(data, fusion), known, seed)
        found.seconds.setdefault(fusion, []).append(time.perf_counter() - began)
        if (share := held(fused, readout_of(fused), unseen)) is not None:
            found.in_interval.setdefault(fusion, []).append((share, len(unseen)))
        yield _all_of(fused, fusion, unseen)
        if not seed:
            yield {fusion + SHUFFLED: _told(fit_fused(_by(shuffled, fusion), known, seed), unseen)}


def _by(data: Data, fusion: str) -> Data:
    return replace(data, design=replace(data.design, fusion=fusion), tag=f"{data.tag} {fusion}")


def _all_of(fused: FittedNet, fusion: str, rows: Rows) -> Told:
    assert fused.numbers is not None
    told = {NUMBERS: _told(fused.numbers, rows), fusion: _told(fused, rows)}
    for images in PRESENT:
        told[with_images(fusion, images)] = fused.target.inverse(fused.predict(rows, images))
    if fused.target.kind == "log":
        told |= {
            NUMBERS + SHIFTED: _told(_shifted(fused.numbers), rows),
            fusion + SHIFTED: _told(_shifted(fused), rows),
        }
    return told


def with_images(fusion: str, images: int) -> str:
    """Name of a fusion that is given so many images of a listing at most."""
    return f"{fusion}, {images} images"


def _shifted(fitted: FittedNet) -> FittedNet:
    job = fitted.data.job.model_copy(update={"correction": "shift"})
    return corrected(replace(fitted, data=replace(fitted.data, job=job)))


def _told(fitted: FittedNet, rows: Rows) -> Floats:
    return fitted.target.inverse(fitted.predict(rows))
