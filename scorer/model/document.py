"""bundle.json: what a bundle says of itself, checked field by field."""

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from scorer.errors import BundleError
from scorer.model import strict_json
from scorer.model.golden import first_problem
from scorer.model.parts import Part, Text
from scorer.model.readout import Readout, Target

FILE = "bundle.json"
FORMATS = (1, 2)
"""1 had no readout: such a bundle is a regression without intervals, and scores as it did."""
MAX_BYTES = 16 << 20

Count = Annotated[int, Field(gt=0, le=1_000_000)]

PACKAGES = ("scorer", "tensorflow", "keras", "numpy", "pyarrow", "scikit-learn")
IMAGE_PACKAGES = ("opencv-python-headless", "pillow", "simplejpeg")
"""The libraries that decide which pixels an image file becomes."""


class FeatureColumn(Part):
    """A feature as people and warehouses want to know it; how it is encoded stands in preprocessing.json."""

    name: Text
    kind: Literal["number", "boolean", "category"]
    type: Text


class Document(Part):
    """The whole of bundle.json."""

    format: Literal[1, 2]
    name: Text
    version: Text | None
    features: Annotated[tuple[FeatureColumn, ...], Field(max_length=100_000)]
    pixels: dict[str, Any]
    pixels_version: int
    max_images: Count
    embedding_size: Count
    outputs: Annotated[tuple[Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,99}$")], ...], Field(min_length=1)]
    target: Target
    readout: Readout = Readout()
    metrics: dict[str, Any]
    training: dict[str, Any]
    versions: dict[str, Text]
    not_reusable: Text | None = None
    """Why the image tower only passes pixels on, so that no embedding is worth keeping; None: it embeds."""

    @model_validator(mode="after")
    def _readout_fits(self) -> "Document":
        for problem in self.readout.problems(self.outputs):
            raise ValueError(problem)
        features = {feature.name for feature in self.features}
        for output, intervals in self.readout.intervals.items():
            if intervals.by is not None and intervals.by not in features:
                raise ValueError(f"the intervals of {output} go by {intervals.by}, which is no feature")
        return self

    def to_json(self) -> bytes:
        """The content of bundle.json."""
        # Left out where there is nothing to say, as before it could be said: equal bundles keep equal digests.
        return strict_json.dump(self.model_dump(exclude={"not_reusable"} if self.not_reusable is None else None))

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Document":
        """Read bundle.json. Raises BundleError that names the field."""
        found = strict_json.parse(data, where, MAX_BYTES).get("format")
        if type(found) is not int or found not in FORMATS:
            raise BundleError(
                f"{where} is of format {found!r}; this version of scorer reads formats {FORMATS[0]} to {FORMATS[-1]}."
                " Nothing was scored."
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
