"""PNG of every colour type and depth. Only the chunks that make up the picture reach the decoder."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

from PIL import PngImagePlugin

from scorer.errors import ImageFault
from scorer.intake.formats import exif
from scorer.intake.formats.flatten import flatten
from scorer.intake.formats.raster import Header, Raster, Wanted

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 100_000
"""Chunks of one file; 20 MiB in the usual pieces of 8 KiB are 2,560."""

MAX_PROFILE = 2 * 1024 * 1024
"""Bytes that a compressed ICC profile may unfold to."""

_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_FRAME = 12  # length, type and checksum around every chunk


def recognise(data: bytes) -> bool:
    """Whether the file begins with PNG's signature."""
    return data.startswith(SIGNATURE)


def probe(data: bytes) -> Header:
    """Size, EXIF orientation (eXIf) and ICC profile (iCCP) from the chunks.

    Raises:
        ImageFault: image_corrupt where the file breaks off or its first chunk is not a header.
    """
    width = height = 0
    orientation, profile = 1, b""
    for kind, start, end in _chunks(data):
        if kind == b"IHDR" and end - start == 13:
            width, height = struct.unpack_from(">II", data, start)
        elif kind == b"eXIf":
            orientation = exif.orientation(data[start:end])
        elif kind == b"iCCP":
            profile = _profile(data[start:end])
    if not width or not height:
        raise ImageFault("image_corrupt", "PNG without a header, or with a side of 0 pixels")
    return Header(width, height, orientation, profile)


def decode(data: bytes, header: Header, wanted: Wanted) -> Raster:
    """Decode the still picture; of an animated PNG the one that is shown where animation is unknown.

    Text chunks (which can unfold to gigabytes), times, previews and frames never reach the decoder.
    """
    picture = b"".join(
        data[start - 8 : end + 4] for kind, start, end in _chunks(data) if kind in _PICTURE
    )
    # The class itself and not Image.open: no other format can answer, and Pillow's own limit of pixels, which is the
    # process's and only warns, stays out of it. The size was checked by `probe`.
    with PngImagePlugin.PngImageFile(BytesIO(SIGNATURE + picture)) as image:
        return flatten(image)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type of each chunk, and where its content starts and ends; IEND is the last."""
    position = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if position + _FRAME > len(data):
            raise ImageFault("image_corrupt", f"PNG breaks off before its end chunk: the file ends at byte {len(data):,}")
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + _FRAME + length > len(data):
            missing = f"its chunk {kind!r} goes to byte {position + _FRAME + length:,}"
            raise ImageFault("image_corrupt", f"PNG breaks off at byte {len(data):,}: {missing}")
        yield kind, position + 8, position + 8 + length
        if kind == b"IEND":
            return
        position += _FRAME + length
    raise ImageFault("image_corrupt", f"PNG with more than {MAX_CHUNKS:,} chunks")


def _profile(chunk: bytes) -> bytes:
    """ICC profile of an iCCP chunk (name, 0, method, zlib stream); empty where it is damaged or too large."""
    _name, _, packed = chunk.partition(b"\x00")
    unfold = zlib.decompressobj()
    try:
        profile = unfold.decompress(packed[1:], MAX_PROFILE)
    except zlib.error:
        return b""
    return profile if unfold.eof else b""
