"""A Pillow image of any mode as a raster: palettes resolved, 16 bits cut to 8, transparency over white."""

import numpy as np
from PIL import Image

from scorer.intake.formats.raster import Raster

_DIRECT = {"L": "L", "RGB": "RGB", "CMYK": "CMYK"}


def flatten(image: Image.Image) -> Raster:
    """The image as grey, RGB or CMYK of 8 bits.

    Args:
        image: opened, not necessarily loaded.

    Returns:
        Raster of the image's size.
    """
    image.load()
    if image.mode.startswith("I;16"):
        return _from_16_bits(image)
    if image.has_transparency_data:
        return Raster(_over_white(image), "RGB")
    if image.mode == "CMYK":
        return Raster(np.array(image), "CMYK")
    if image.mode in ("1", "L"):
        return Raster(np.array(image.convert("L")), "L")
    return Raster(np.array(image.convert("RGB")), "RGB")


def _over_white(image: Image.Image) -> np.ndarray:
    coloured = image.convert("RGBA")
    ground = Image.new("RGB", image.size, "white")
    ground.paste(coloured, mask=coloured)
    return np.array(ground)


def _from_16_bits(image: Image.Image) -> Raster:
    """Grey of 16 bits: the high byte, as Pillow does for 16-bit colour; its transparent value becomes white."""
    values = np.array(image)
    grey = (values >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Raster(grey, "L")
