"""Files whose decoded pixels must never change unnoticed: tests/data/pixels.json holds them with their digests.

After a wanted change of pixels raise PIXELS_VERSION and run `python -m tests.intake.golden`.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from scorer.intake.pixels import PIXELS_VERSION, PixelSpec, decode_image
from scorer.settings import ImageLimits
from tests.images import GOOD

FILE = Path(__file__).parent.parent / "data" / "pixels.json"

SPECS = {
    "16 area scaled": PixelSpec(16),
    "64 area full": PixelSpec(64, decode="full"),
    "24 bilinear scaled": PixelSpec(24, "bilinear"),
    "24 nearest full": PixelSpec(24, "nearest", "full"),
}

KINDS = (
    "jpeg",
    "jpeg 4:4:4",
    "jpeg progressive",
    "jpeg grey",
    "jpeg rgb by adobe",
    "jpeg cmyk",
    "jpeg ycck",
    "jpeg of another jfif revision",
    "jpeg oriented 6",
    "jpeg with a profile",
    "jpeg grey with a profile",
    "png",
    "png rgba",
    "png palette with clear colour",
    "png 16 bit grey with clear value",
    "webp",
    "webp rgba lossless",
    "gif with clear colour",
    "bmp palette",
    "avif",
    "avif rgba",
    "avif oriented 6",
    "heic",
    "heic oriented 6",
)
"""Taken from GOOD. The file also holds what no encoder here can write: arithmetic coding and 4:1:0 chroma, made once
from "jpeg" by libjpeg-turbo's `jpegtran -arithmetic` and `cjpeg -sample 4x2,1x1,1x1`."""


@dataclass(frozen=True)
class Golden:
    """One file and what it decodes to."""

    data: bytes
    pixels: dict[str, str]
    """SHA-256 of the pixels by name of the spec."""


def digests(data: bytes) -> dict[str, str]:
    """SHA-256 of what decode_image returns, by name of the spec."""
    return {
        name: hashlib.sha256(decode_image(data, spec, ImageLimits()).tobytes()).hexdigest()
        for name, spec in SPECS.items()
    }


def load() -> tuple[int, dict[str, Golden]]:
    """PIXELS_VERSION that the digests belong to, and the files by name."""
    kept = json.loads(FILE.read_text())
    images = {name: Golden(base64.b64decode(entry["file"]), entry["pixels"]) for name, entry in kept["images"].items()}
    return kept["pixels_version"], images


def write() -> None:
    """Digests anew. A file that is kept stays as it is, so that another encoder changes nothing; new ones join."""
    kept = {name: golden.data for name, golden in load()[1].items()} if FILE.exists() else {}
    files = {name: GOOD[name].make() for name in KINDS} | kept
    images = {
        name: {"file": base64.b64encode(data).decode(), "pixels": digests(data)} for name, data in sorted(files.items())
    }
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps({"pixels_version": PIXELS_VERSION, "images": images}, indent=1) + "\n")


if __name__ == "__main__":
    write()
