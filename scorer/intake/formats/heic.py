"""HEIC, what phones write: HEVC in a HEIF container. Needs the extra `heic`."""

from functools import cache
from types import ModuleType

import numpy as np

from scorer.errors import ImageFault
from scorer.intake.formats import isobmff
from scorer.intake.formats.flat import from_pillow
from scorer.intake.formats.raster import Header, Raster, Wanted

_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_ANY_CODING = frozenset({b"mif1", b"msf1", b"mif2"})


def recognise(data: bytes) -> bool:
    """Whether the file names one of HEVC's brands, or none of any coding but the container's own."""
    named = isobmff.brands(data)
    return bool(named & _BRANDS) or (bool(named & _ANY_CODING) and not named & {b"avif", b"avis"})


def probe(data: bytes) -> Header:
    """Size and profile from the container.

    Raises:
        ImageFault: image_corrupt where the file breaks off or announces no picture.
    """
    return isobmff.probe(data, "HEIC")


def decode(data: bytes, header: Header, wanted: Wanted) -> Raster:
    """Decode the primary picture, turned as the container says, 10 and 12 bits cut to 8.

    Raises:
        ImageFault: image_unsupported where the extra is not installed.
    """
    libheif = load()
    if libheif is None:
        raise ImageFault("image_unsupported", "HEIC: this installation lacks the extra, pip install 'scorer[heic]'")
    opened = libheif.open_heif(data, convert_hdr_to_8bit=True)
    if opened.mode.startswith("I;16"):  # grey of more than 8 bits, which libheif leaves as it is
        return Raster((np.asarray(opened) >> 8).astype(np.uint8), "L")
    return from_pillow(opened.to_pillow())


@cache
def load() -> ModuleType | None:
    """The library, told to use one thread and to leave thumbnails and depth maps alone; None without the extra."""
    try:
        import pillow_heif
    except ImportError:
        return None
    for name, value in (("DECODE_THREADS", 1), ("THUMBNAILS", False), ("DEPTH_IMAGES", False), ("AUX_IMAGES", False)):
        setattr(pillow_heif.options, name, value)
    return pillow_heif
