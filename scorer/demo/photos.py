"""From a drawing to a file, as sellers upload them: several formats, phones held sideways, and some that are broken."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image

from scorer.demo import pictures
from scorer.demo.pictures import Pixels, Scene

FOLDER = "_images"
"""Below LISTINGS, so that the relative URIs still hold after the folder is moved or copied to a bucket. Readers of the
listings as a table skip names with an underscore, as Spark, Athena and pyarrow do."""

SIZES = ((256, 192), (320, 240), (400, 300), (480, 360))

SIDEWAYS = 0.05
"""Share of the JPEGs stored lying on their side, with the EXIF orientation that sets them upright."""

# An EXIF block with nothing but Orientation = 6: "turn by 90 degrees clockwise to view".
_EXIF_TURN_RIGHT = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)

_ERROR_PAGE = b"<!doctype html><html><head><title>404</title></head><body><h1>Not found</h1></body></html>\n"


@dataclass(frozen=True)
class Flaw:
    """One way in which a photo can be broken, and the reason that its listing's prediction must then carry."""

    reason: str
    spoil: Callable[[bytes], bytes | None]
    """The file's bytes, from the good ones; None: there is no file."""


def _oversized_png(_: bytes) -> bytes:
    """A few hundred bytes whose header announces 3.6 billion pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(4096))) + chunk(b"IEND", b"")


FLAWS = {
    "broken off": Flaw("image_corrupt", lambda data: data[: len(data) // 3]),
    "empty": Flaw("image_corrupt", lambda _: b""),
    "error page": Flaw("image_unsupported", lambda _: _ERROR_PAGE),
    "too many pixels": Flaw("image_too_many_pixels", _oversized_png),
    "missing": Flaw("image_not_found", lambda _: None),
    "foreign": Flaw("image_forbidden", lambda _: None),
}
"""The ways in which photos are broken on purpose. "foreign" lies on a server that the job may not ask."""


@dataclass(frozen=True)
class Photo:
    """One photo of one home."""

    name: str
    """File name, without the ending."""

    scene: Scene
    seed: tuple[int, ...]
    flaw: str | None = None
    """One of `FLAWS`, or None: a good photo."""

    ending: str = "jpg"
    """jpg, png or webp."""

    @property
    def uri(self) -> str:
        """As the listing gives it: relative to LISTINGS, but for a foreign one."""
        file = f"{self.name}.{self.ending}"
        return f"ftp://photos.example/{file}" if self.flaw == "foreign" else f"{FOLDER}/{file}"

    def write(self, folder: Path) -> None:
        """Draw it, encode it, break it if it is to be broken, and write it into the folder (if a file is left)."""
        rng = np.random.default_rng(self.seed)
        size = SIZES[rng.integers(2 if self.ending == "png" else len(SIZES))]
        data: bytes | None = ENCODERS[self.ending](pictures.draw(self.scene, size, rng), rng)
        if self.flaw:
            data = FLAWS[self.flaw].spoil(data or b"")
        if data is not None:
            (folder / f"{self.name}.{self.ending}").write_bytes(data)


def _jpeg(pixels: Pixels, rng: Generator) -> bytes:
    sideways = rng.uniform() < SIDEWAYS
    if sideways:
        pixels = np.ascontiguousarray(np.rot90(pixels))
    data = _encode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(78, 91))])
    if not sideways:
        return data
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(_EXIF_TURN_RIGHT) + 2) + _EXIF_TURN_RIGHT + data[2:]


def _png(pixels: Pixels, _: Generator) -> bytes:
    # A palette: 20 to 60 KB instead of 100 to 250, camera noise being what PNG packs worst.
    # An octree: 5 ms a photo instead of Pillow's default's 70.
    photo = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
    palette = photo.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    file = BytesIO()
    palette.save(file, "PNG")
    return file.getvalue()


def _webp(pixels: Pixels, _: Generator) -> bytes:
    return _encode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 80])


def _encode(ending: str, pixels: Pixels, options: list[int]) -> bytes:
    done, data = cv2.imencode(ending, pixels, options)
    if not done:
        raise RuntimeError(f"OpenCV could not encode an image of {pixels.shape} as {ending}.")
    return data.tobytes()


ENCODERS: dict[str, Callable[[Pixels, Generator], bytes]] = {"jpg": _jpeg, "png": _png, "webp": _webp}
