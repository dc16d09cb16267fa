"""What Pillow and OpenCV decode as a raster: palettes resolved, 16 bits cut to 8, transparency over white."""

from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from scorer.errors import ImageFault
from scorer.intake.formats.raster import Pixels, Raster

_STRIP = 64
"""Rows at a time."""


def from_pillow(image: Image.Image) -> Raster:
    """Grey, RGB or CMYK of 8 bits from an image of any mode, opened but not necessarily loaded."""
    image.load()
    if image.has_transparency_data:
        return Raster(_over_white(np.array(image.convert("RGBA"))), "RGB")
    if image.mode == "CMYK":
        return Raster(np.array(image), "CMYK")
    if image.mode in ("1", "L"):
        return Raster(np.array(image.convert("L")), "L")
    return Raster(np.array(image.convert("RGB")), "RGB")


def by_opencv(data: bytes, refusal: str) -> npt.NDArray[Any]:
    """Decode a PNG or WebP, outside Python's lock.

    Returns:
        uint8 or uint16 [height, width] grey, [height, width, 3] BGR or [height, width, 4] BGRA.

    Raises:
        ImageFault: image_corrupt with this refusal.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ImageFault("image_corrupt", refusal)
    return cast(npt.NDArray[Any], pixels)


def from_opencv(pixels: npt.NDArray[Any]) -> Raster:
    """Grey or RGB of 8 bits from what `by_opencv` returns, which may be written over."""
    # The high byte, not the nearest of 256 values: what 8-bit decoders have always made of 16 bits.
    narrow: Pixels = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    if narrow.ndim == 2:
        return Raster(narrow, "L")
    if narrow.shape[2] == 3:
        return Raster(cast(Pixels, cv2.cvtColor(narrow, cv2.COLOR_BGR2RGB, dst=narrow)), "RGB")
    return Raster(_over_white(cast(Pixels, cv2.cvtColor(narrow, cv2.COLOR_BGRA2RGBA, dst=narrow))), "RGB")


def _over_white(pixels: Pixels) -> Pixels:
    """RGBA laid over white; its memory is written over. By strips, since an image may take up hundreds of megabytes."""
    for top in range(0, len(pixels), _STRIP):
        strip = pixels[top : top + _STRIP]
        alpha = strip[:, :, 3:].astype(np.uint16)
        strip[:, :, :3] = (strip[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return cast(Pixels, cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB))
