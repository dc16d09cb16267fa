"""What an embedding depends on besides the image's bytes. Another digest is another folder of the store."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version

from scorer.intake.pixels import PIXELS_VERSION
from scorer.model.bundle import Bundle
from scorer.model.content import IMAGE_TOWER
from scorer.model.document import IMAGE_PACKAGES, versions_here
from scorer.model.embeddings.block import FORMAT
from scorer.settings import EmbeddingType, ImageLimits, Precision

OPTIONAL_DECODERS = ("pillow-heif",)
"""Packages without which some formats are not decoded at all."""


def tower_digest(bundle: Bundle, limits: ImageLimits, precision: Precision, stored: EmbeddingType) -> str:
    """128 bits, hexadecimal, over the image tower, its pixels, the decoders, the precision and the stored type.

    The limits take part: under another `truncated` an image gives other pixels, under others it gives none. Not so
    TensorFlow's version: the golden rows hold its arithmetic to the tolerance at each load.
    """
    parts = {
        "format": FORMAT,
        "tower": bundle.digests.files[IMAGE_TOWER],
        "embedding_size": bundle.embedding_size,
        "pixels": bundle.pixels.to_dict(),
        "pixels_version": PIXELS_VERSION,
        "decoders": {**versions_here(IMAGE_PACKAGES), "python": None, **_optional()},
        "limits": limits.model_dump(mode="json"),
        "precision": precision,
        "stored": stored,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _optional() -> dict[str, str]:
    found = {}
    for package in OPTIONAL_DECODERS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
