"""Do the golden rows score here as they did in training? And if not: is it the pixels, or the arithmetic?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scorer.errors import BundleError
from scorer.intake.pixels import PIXELS_VERSION
from scorer.model import golden
from scorer.model.bundle import Bundle
from scorer.model.digests import sha256
from scorer.model.document import IMAGE_PACKAGES, versions_here
from scorer.model.golden import GoldenRow
from scorer.settings import Precision

TOLERANCES: Mapping[Precision, float] = {"float32": 1e-5, "bfloat16": 0.1, "float16": 0.1}
"""Times max(|score|, standard deviation of the target). For float32: what two machines' arithmetic may differ by. For
16 bits: several times what they move a score by (0.05 of the deviation at most, measured on real images), so that they
cannot hide another model, other pixels, or a graph that does not survive them."""

Embed = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
Heads = Callable[
    [npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]], Mapping[str, npt.NDArray[np.float64]]
]


@dataclass(frozen=True)
class Deviation:
    """One score that is not what it was."""

    row: int
    output: str
    then: float
    now: float
    allowed: float

    def __str__(self) -> str:
        return (
            f"row {self.row} {self.output} {self.now:.9g} instead of {self.then:.9g} (allowed: {self.allowed:.2g} off)"
        )


def check(bundle: Bundle, embed: Embed, heads: Heads, precision: Precision = "float32") -> tuple[str, ...]:
    """Score the golden rows as any listings are scored.

    Returns:
        Warnings: pixels that differ from those of the training without moving a score.

    Raises:
        BundleError: a score differs by more than `TOLERANCES` allow; the message says whether the pixels do.
    """
    images = {sha256(image): image for row in bundle.golden for image in row.images}
    pixels = [golden.decode(image, bundle.pixels) for image in images.values()]
    size = bundle.pixels.size
    embeddings = embed(np.stack(pixels) if pixels else np.empty((0, size, size, 3), np.uint8))
    scores = heads(
        golden.features(bundle.golden, bundle.preprocessing), embeddings, _index(bundle.golden, list(images))
    )
    changed = _changed_pixels(bundle.golden, dict(zip(images, map(golden.pixel_digest, pixels), strict=True)))
    deviations = list(_deviations(bundle, scores, TOLERANCES[precision]))
    if deviations:
        raise BundleError(_refusal(bundle, deviations, len(changed), len(images)))
    return (_warning(bundle, len(changed), len(images)),) if changed else ()


def _index(rows: Sequence[GoldenRow], images: Sequence[str]) -> npt.NDArray[np.int32]:
    """int32 [n, K], -1 where a row has no image."""
    index = np.full((len(rows), max(len(row.images) for row in rows)), -1, np.int32)
    for place, row in enumerate(rows):
        index[place, : len(row.images)] = [images.index(sha256(image)) for image in row.images]
    return index


def _changed_pixels(rows: Sequence[GoldenRow], now: Mapping[str, str]) -> set[str]:
    pairs = ((sha256(image), then) for row in rows for image, then in zip(row.images, row.pixel_digests, strict=True))
    return {image for image, then in pairs if now[image] != then}


def _deviations(bundle: Bundle, scores: Mapping[str, npt.NDArray[np.float64]], tolerance: float) -> Iterator[Deviation]:
    for place, row in enumerate(bundle.golden):
        for output, then in row.scores.items():
            now = float(scores[output][place])
            allowed = tolerance * max(abs(then), bundle.deviation(output))
            # Not the other way round: a score that became NaN is within no tolerance.
            if not abs(now - then) <= allowed:
                yield Deviation(place, output, then, now, allowed)


def _refusal(bundle: Bundle, deviations: Sequence[Deviation], changed: int, images: int) -> str:
    shown = "; ".join(str(deviation) for deviation in deviations[:3]) + ("; ..." if len(deviations) > 3 else "")
    if changed:
        cause = f"The pixels differ, too, of {changed} of {images} images: the decoder changed ({_decoders(bundle)})."
    else:
        cause = (
            f"The pixels are the same, so the graph computes differently here ({_compared(bundle, ('tensorflow',))})."
        )
    return (
        f"The bundle {bundle.name} {bundle.version} does not score its golden rows as it did in training: {shown}."
        f" {cause} Nothing was scored. Install the versions of the training, or train again with these."
    )


def _warning(bundle: Bundle, changed: int, images: int) -> str:
    return (
        f"{changed} of {images} golden images have other pixels here than in training ({_decoders(bundle)}),"
        " but every golden score is within the tolerance. Other images may differ more; training again settles it."
    )


def _decoders(bundle: Bundle) -> str:
    then, now = bundle.document.pixels_version, PIXELS_VERSION
    return f"pixels version {then} then, {now} now; {_compared(bundle, IMAGE_PACKAGES)}"


def _compared(bundle: Bundle, packages: tuple[str, ...]) -> str:
    here = versions_here(packages)
    return "; ".join(f"{name} {bundle.versions.get(name, '?')} then, {here.get(name, '?')} now" for name in packages)
