"""AVIF: AV1 in the container that HEIC uses, still or animated (the first frame)."""

from functools import cache
from io import BytesIO
from types import ModuleType

from PIL import ImageOps

from scorer.errors import ImageFault
from scorer.intake.formats import isobmff
from scorer.intake.formats.flat import from_pillow
from scorer.intake.formats.raster import Header, Raster, Wanted


def recognise(data: bytes) -> bool:
    """Whether the file names one of AVIF's brands."""
    return bool(isobmff.brands(data) & {b"avif", b"avis"})


def probe(data: bytes) -> Header:
    """Size and profile from the container.

    Raises:
        ImageFault: image_corrupt where the file breaks off or announces no picture.
    """
    return isobmff.probe(data, "AVIF")


def decode(data: bytes, header: Header, wanted: Wanted) -> Raster:
    """Decode the first picture, turned as the container says or as it is stored, 10 and 12 bits cut to 8.

    Raises:
        ImageFault: image_unsupported where Pillow was built without libavif.
    """
    plugin = load()
    if plugin is None:
        raise ImageFault("image_unsupported", "AVIF: this installation's Pillow was built without it")
    with plugin.AvifImageFile(BytesIO(data)) as image:
        # Pillow tells the container's turn as an EXIF one. It is done here and not, by the header's orientation, after
        # the resize: pixels would be others by a step then.
        return from_pillow(image if wanted.as_stored else ImageOps.exif_transpose(image))


@cache
def load() -> ModuleType | None:
    """Pillow's plugin, told to use one thread; None where Pillow was built without libavif."""
    from PIL import AvifImagePlugin

    if not AvifImagePlugin.SUPPORTED:
        return None
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return AvifImagePlugin
