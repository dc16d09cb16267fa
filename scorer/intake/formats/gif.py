"""GIF: the first frame, its transparency over white."""

import struct
from io import BytesIO

from PIL import GifImagePlugin

from scorer.errors import ImageFault
from scorer.intake.formats.flat import from_pillow
from scorer.intake.formats.raster import Header, Raster, Wanted

MAX_BLOCKS = 200_000
"""Blocks in front of the first frame; comments and application data of real files take some hundreds."""

_EXTENSION, _FRAME = 0x21, 0x2C


def recognise(data: bytes) -> bool:
    """Whether the file begins with one of GIF's two signatures."""
    return data.startswith((b"GIF87a", b"GIF89a"))


def probe(data: bytes) -> Header:
    """Size that the first frame needs: the screen's, or more where the frame sticks out of it.

    Raises:
        ImageFault: image_corrupt where the file breaks off before its first frame or has none.
    """
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        left, top, across, down = struct.unpack_from("<HHHH", data, _first_frame(data, 13 + _palette(flags)) + 1)
    except (struct.error, IndexError):
        raise ImageFault("image_corrupt", f"GIF breaks off: the file ends at byte {len(data):,}") from None
    if not across or not down:
        raise ImageFault("image_corrupt", "GIF whose first frame has a side of 0 pixels")
    return Header(max(width, left + across), max(height, top + down), effort=4)


def decode(data: bytes, header: Header, wanted: Wanted) -> Raster:
    """Decode the first frame. The later ones are never looked at, however many there are."""
    with GifImagePlugin.GifImageFile(BytesIO(data)) as image:
        return from_pillow(image)


def _palette(flags: int) -> int:
    """Bytes of the colour table that a screen's or frame's flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _first_frame(data: bytes, position: int) -> int:
    """Where the first frame's descriptor stands, behind all extensions and their blocks."""
    inside = False
    for _ in range(MAX_BLOCKS):
        byte = data[position]
        if inside:  # a block's length; 0 ends the extension
            position += byte + 1
            inside = byte != 0
        elif byte == _EXTENSION:
            position += 2
            inside = True
        elif byte == _FRAME:
            return position
        else:
            raise ImageFault("image_corrupt", f"GIF without a frame: byte {position:,} is {byte:#x}")
    raise ImageFault("image_corrupt", f"GIF with more than {MAX_BLOCKS:,} blocks before its first frame")
