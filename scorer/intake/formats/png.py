"""PNG of every colour type and depth. Only the chunks that make up the picture reach the decoder."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from scorer.errors import ImageFault
from scorer.intake.formats import exif
from scorer.intake.formats.flat import by_opencv, from_opencv
from scorer.intake.formats.raster import Header, Raster, Wanted

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 100_000
"""Chunks of one file; 20 MiB in the usual pieces of 8 KiB are 2,560."""

MAX_PROFILE = 2 * 1024 * 1024
"""Bytes that a compressed ICC profile may unfold to."""

_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_FRAME = 12  # bytes of length, type and checksum around every chunk
_DEPTH = 24  # where the bits per sample stand


def recognise(data: bytes) -> bool:
    """Whether the file begins with PNG's signature."""
    return data.startswith(SIGNATURE)


def probe(data: bytes) -> Header:
    """Size, EXIF orientation (eXIf) and ICC profile (iCCP) from the chunks.

    Raises:
        ImageFault: image_corrupt where the file breaks off or its first chunk is not a header.
    """
    width = height = 0
    first: dict[bytes, bytes] = {}  # of each kind only the first counts, as in libpng: a thousand profiles are a bomb
    for kind, start, end in _chunks(data):
        if kind in _PICTURE:
            _check_sum(data, kind, start, end)
        if kind == b"IHDR" and end - start == 13 and not width:
            width, height = struct.unpack_from(">II", data, start)
        elif kind in (b"eXIf", b"iCCP") and kind not in first:
            first[kind] = data[start:end]
    if not width or not height:
        raise ImageFault("image_corrupt", "PNG without a header, or with a side of 0 pixels")
    turned, profile = exif.orientation(first.get(b"eXIf", b"")), _profile(first.get(b"iCCP", b""))
    return Header(width, height, turned, profile, effort=4)


def decode(data: bytes, header: Header, wanted: Wanted) -> Raster:
    """Decode the still picture; of an animated PNG the one that is shown where animation is unknown.

    Text chunks (which can unfold to gigabytes), times, previews and frames never reach the decoder.

    OpenCV and not Pillow: it refuses a picture that has fewer rows than announced, compares transparent colours in
    all 16 bits, and takes 11.5 instead of 15.8 ms (720 x 480, RGB).
    """
    picture = b"".join(data[start - 8 : end + 4] for kind, start, end in _chunks(data) if kind in _PICTURE)
    pixels = by_opencv(SIGNATURE + picture, "PNG whose chunks are whole, but not what they hold")
    if pixels.ndim == 2 and (clear := _clear_grey(data)) is not None:
        pixels[pixels == clear] = np.iinfo(pixels.dtype).max
    return from_opencv(pixels)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type of each chunk, and where its content starts and ends; IEND is the last."""
    position = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if position + _FRAME > len(data):
            raise ImageFault("image_corrupt", f"PNG breaks off between two chunks, at byte {len(data):,}")
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + _FRAME + length > len(data):
            missing = f"its chunk {kind!r} goes to byte {position + _FRAME + length:,}"
            raise ImageFault("image_corrupt", f"PNG breaks off at byte {len(data):,}: {missing}")
        yield kind, position + 8, position + 8 + length
        if kind == b"IEND":
            return
        position += _FRAME + length
    raise ImageFault("image_corrupt", f"PNG with more than {MAX_CHUNKS:,} chunks")


def _check_sum(data: bytes, kind: bytes, start: int, end: int) -> None:
    """Refuse a damaged chunk here, where it can be named; libpng would print to stderr."""
    if zlib.crc32(memoryview(data)[start - 4 : end]) != int.from_bytes(data[end : end + 4]):
        raise ImageFault("image_corrupt", f"PNG whose chunk {kind!r} at byte {start - 8:,} fails its checksum")


def _clear_grey(data: bytes) -> int | None:
    """The one grey value that counts as transparent, which OpenCV overlooks, at the depth that it decodes to."""
    depth = data[_DEPTH]
    for kind, start, end in _chunks(data):
        if kind == b"tRNS" and end - start == 2:
            value = int.from_bytes(data[start:end])
            return value if depth >= 8 else value * 255 // (2**depth - 1)
    return None


def _profile(chunk: bytes) -> bytes:
    """ICC profile of an iCCP chunk (name, 0, method, zlib stream); empty where it is damaged or too large."""
    _name, _, packed = chunk.partition(b"\x00")
    unfold = zlib.decompressobj()
    try:
        profile = unfold.decompress(packed[1:], MAX_PROFILE)
    except zlib.error:
        return b""
    return profile if unfold.eof else b""
