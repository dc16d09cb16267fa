"""The golden rows: listings with the scores that the training process gave them, kept in the bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scorer.errors import BundleError, ImageFault
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.model import strict_json
from scorer.model.digests import sha256
from scorer.model.preprocessing import Kind, Preprocessing
from scorer.settings import ImageLimits

ROWS = "golden/rows.json"
MAX_BYTES = 16 << 20

LIMITS = ImageLimits(max_bytes=64 << 20, max_pixels=1_000_000_000, truncated="use")
"""Wide enough for whatever limits the training had: these images were usable there."""

_ARROW: Mapping[Kind, pa.DataType] = {"number": pa.float64(), "boolean": pa.bool_(), "category": pa.string()}

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Value = bool | int | float | str | None


@dataclass(frozen=True)
class GoldenRow:
    """One listing and what it must score.

    Attributes:
        features: value by feature, as JSON knows it; None where it is missing.
        images: the image files' bytes, none to max_images.
        pixel_digests: SHA-256 of the decoded pixels of each image; `save_bundle` fills it in when it is empty.
        scores: by output, in the target's unit, by the training process's own Keras model.
    """

    features: Mapping[str, Any]
    images: tuple[bytes, ...]
    pixel_digests: tuple[str, ...]
    scores: Mapping[str, float]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    features: dict[str, Value]
    images: Annotated[tuple[Digest, ...], Field(max_length=10_000)]
    pixel_digests: tuple[Digest, ...]
    scores: Annotated[dict[str, float], Field(min_length=1)]


class _Rows(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rows: Annotated[tuple[_Row, ...], Field(min_length=1, max_length=1000)]


def image_path(digest: str) -> str:
    """Where the image with these bytes lies in the bundle."""
    return f"golden/images/{digest}.bin"


def to_files(rows: Sequence[GoldenRow], pixels: PixelSpec) -> dict[str, bytes]:
    """The rows as files of a bundle: path -> content. Raises BundleError if there is none, or one cannot be JSON."""
    if not rows:
        raise BundleError(
            "The bundle was not saved: it has no golden rows, so nobody could tell whether it still works."
        )
    files = {image_path(sha256(image)): image for row in rows for image in row.images}
    written = [
        {
            "features": dict(row.features),
            "images": [sha256(image) for image in row.images],
            "pixel_digests": row.pixel_digests or [pixel_digest(decode(image, pixels)) for image in row.images],
            "scores": dict(row.scores),
        }
        for row in rows
    ]
    return files | {ROWS: strict_json.dump({"rows": written})}


def from_files(read: Mapping[str, bytes], outputs: Sequence[str], where: str) -> tuple[GoldenRow, ...]:
    """The rows from the files that `to_files` gave. Raises BundleError when they are something else."""
    strict_json.parse(read[ROWS], f"{where}/{ROWS}", MAX_BYTES)
    try:
        return tuple(_golden_row(row, read, outputs) for row in _Rows.model_validate_json(read[ROWS]).rows)
    except (ValidationError, KeyError, ValueError) as error:
        problem = first_problem(error)
        raise BundleError(f"{where}/{ROWS} does not hold golden rows: {problem}. Nothing was scored.") from None


def _golden_row(row: _Row, read: Mapping[str, bytes], outputs: Sequence[str]) -> GoldenRow:
    if len(row.images) != len(row.pixel_digests):
        raise ValueError("a row has not one digest of pixels for each of its images")
    if row.scores.keys() != set(outputs):
        raise ValueError(f"a row has scores {sorted(row.scores)}, the model's outputs are {sorted(outputs)}")
    images = tuple(read[image_path(digest)] for digest in row.images)
    return GoldenRow(row.features, images, row.pixel_digests, row.scores)


def decode(image: bytes, pixels: PixelSpec) -> npt.NDArray[np.uint8]:
    """uint8 [S, S, 3]. Raises BundleError if the image cannot be decoded (any more)."""
    try:
        return decode_image(image, pixels, LIMITS)
    except ImageFault as fault:
        raise BundleError(
            f"The golden image {sha256(image)[:12]} cannot be decoded here ({fault}). Nothing was scored."
            " Install the image libraries' versions that `scorer bundle inspect` shows, or train again."
        ) from None


def pixel_digest(pixels: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of uint8 [S, S, 3] in row order."""
    return sha256(pixels.tobytes())


def features(rows: Sequence[GoldenRow], preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """float32 [n, F], as for any batch of listings. Raises BundleError: a value does not fit its feature."""
    try:
        columns = {
            feature.name: pa.array([row.features[feature.name] for row in rows], _ARROW[feature.kind])
            for feature in preprocessing.features
        }
        batch = pa.RecordBatch.from_pydict(columns) if columns else pa.RecordBatch.from_pylist([{}] * len(rows))
        return preprocessing.transform(batch)[0]
    except (KeyError, pa.ArrowException) as error:
        raise BundleError(
            f"The golden rows do not fit the bundle's own features: {error!r}. Nothing was scored."
        ) from None


def first_problem(error: Exception) -> str:
    """What is wrong, and where, in a line."""
    if not isinstance(error, ValidationError):
        return f"{error!r}"
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(step) for step in problem['loc'])}: {problem['msg']}"[:300]
