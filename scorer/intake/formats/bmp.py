"""BMP, Windows' and OS/2's."""

import struct
from io import BytesIO

from PIL import BmpImagePlugin

from scorer.errors import ImageFault
from scorer.intake.formats.flat import from_pillow
from scorer.intake.formats.raster import Header, Raster, Wanted

_RUN_LENGTH = (1, 2)
MAX_RUN_LENGTH_BYTES = 1024 * 1024
"""Of a run-length coded file: Pillow unfolds those in Python, 1 MiB in about half a second."""

_RUN_LENGTH_EFFORT = 500
"""So that a process of its own does it from 256 x 256 pixels on: it holds Python's lock."""


def recognise(data: bytes) -> bool:
    """Whether the file begins with BMP's two letters and a bitmap header of a known length."""
    return data.startswith(b"BM") and len(data) >= 18 and data[14] in (12, 16, 40, 52, 56, 64, 108, 124)


def probe(data: bytes) -> Header:
    """Size from the bitmap header.

    Raises:
        ImageFault: image_corrupt where the header breaks off; image_unsupported for JPEG or PNG inside a BMP and for
            run-length coding of more than a megabyte.
    """
    try:
        if data[14] == 12:  # OS/2
            width, height = struct.unpack_from("<HH", data, 18)
            packing = 0
        else:
            width, height, packing = struct.unpack_from("<iixxxxI", data, 18)
    except struct.error:
        raise ImageFault("image_corrupt", f"BMP breaks off: the file ends at byte {len(data):,}") from None
    if width <= 0 or not height:
        raise ImageFault("image_corrupt", f"BMP of {width} x {height} pixels")
    if packing not in (0, 3, *_RUN_LENGTH):
        raise ImageFault("image_unsupported", f"BMP packed by method {packing}; 0 to 3 can be decoded")
    if packing in _RUN_LENGTH and len(data) > MAX_RUN_LENGTH_BYTES:
        raise ImageFault("image_unsupported", f"run-length coded BMP of more than {MAX_RUN_LENGTH_BYTES:,} bytes")
    effort = _RUN_LENGTH_EFFORT if packing in _RUN_LENGTH else 1
    return Header(width, abs(height), effort=effort)  # a negative height means: top row first


def decode(data: bytes, header: Header, wanted: Wanted) -> Raster:
    """Decode all of it; alpha, where there is any, over white."""
    with BmpImagePlugin.BmpImageFile(BytesIO(data)) as image:
        return from_pillow(image)
