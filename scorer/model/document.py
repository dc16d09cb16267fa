"""bundle.json: what a bundle says of itself, checked field by field."""

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scorer.errors import BundleError
from scorer.model import strict_json
from scorer.model.golden import first_problem

FILE = "bundle.json"
FORMAT = 1
MAX_BYTES = 16 << 20

Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Count = Annotated[int, Field(gt=0, le=1_000_000)]

PACKAGES = ("scorer", "tensorflow", "keras", "numpy", "pyarrow", "scikit-learn")
IMAGE_PACKAGES = ("opencv-python-headless", "pillow", "simplejpeg")
"""The libraries that decide which pixels an image file becomes."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FeatureColumn(_Part):
    """A feature as people and warehouses want to know it; how it is encoded stands in preprocessing.json."""

    name: Text
    kind: Literal["number", "boolean", "category"]
    type: Text


class Target(_Part):
    """What is predicted: its column, the way back from the network's output, its deviation in training."""

    column: Text
    transform: dict[str, Any]
    sd: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Document(_Part):
    """The whole of bundle.json."""

    format: Literal[1]
    name: Text
    version: Text | None
    features: Annotated[tuple[FeatureColumn, ...], Field(max_length=100_000)]
    pixels: dict[str, Any]
    pixels_version: int
    max_images: Count
    embedding_size: Count
    outputs: Annotated[tuple[Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,99}$")], ...], Field(min_length=1)]
    target: Target
    metrics: dict[str, Any]
    training: dict[str, Any]
    versions: dict[str, Text]

    def to_json(self) -> bytes:
        """The content of bundle.json."""
        return strict_json.dump(self.model_dump())

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Document":
        """Read bundle.json. Raises BundleError that names the field."""
        found = strict_json.parse(data, where, MAX_BYTES).get("format")
        if found != FORMAT:
            raise BundleError(
                f"{where} is of format {found!r}; this version of scorer reads format {FORMAT}. Nothing was scored."
                " Score with the version that saved the bundle, or train it again with this one."
            )
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise BundleError(
                f"{where} does not describe a bundle: {first_problem(error)}. Nothing was scored."
            ) from None


def versions_here(packages: tuple[str, ...] = PACKAGES + IMAGE_PACKAGES) -> dict[str, str]:
    """Versions of Python and of these packages; of those only that are installed."""
    found = {"python": sys.version.split()[0]}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
