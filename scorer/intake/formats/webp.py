"""WebP, lossy and lossless, with and without alpha; of an animation the first frame."""

import struct
from collections.abc import Iterator

from scorer.errors import ImageFault
from scorer.intake.formats import exif
from scorer.intake.formats.flat import by_opencv, from_opencv
from scorer.intake.formats.raster import Header, Raster, Wanted

MAX_CHUNKS = 1_000
"""Chunks at the top of one file; the format knows nine kinds, frames lie inside one each."""

_EXTENDED, _LOSSY, _LOSSLESS = b"VP8X", b"VP8 ", b"VP8L"


def recognise(data: bytes) -> bool:
    """Whether the file is a RIFF container with WebP in it."""
    return data.startswith(b"RIFF") and data.startswith(b"WEBP", 8)


def probe(data: bytes) -> Header:
    """The larger of canvas and picture, EXIF orientation and ICC profile.

    Raises:
        ImageFault: image_corrupt where the file breaks off or holds no picture.
    """
    width = height = 0
    orientation, profile = 1, b""
    for kind, start, end in _chunks(data):
        if kind in (_EXTENDED, _LOSSY, _LOSSLESS):
            across, down = _size(kind, data[start : start + 10])
            width, height = max(width, across), max(height, down)
        elif kind == b"EXIF":
            orientation = exif.orientation(data[start:end].removeprefix(b"Exif\x00\x00"))
        elif kind == b"ICCP":
            profile = data[start:end]
    if not width or not height:
        raise ImageFault("image_corrupt", "WebP without a picture")
    return Header(width, height, orientation, profile, effort=4)


def decode(data: bytes, header: Header, wanted: Wanted) -> Raster:
    """Decode the first frame in full: libwebp has no way to a smaller picture that OpenCV or Pillow would offer.

    OpenCV and not Pillow: the same pixels in 4.3 instead of 7.4 ms (720 x 480), and outside Python's lock.
    """
    return from_opencv(by_opencv(data, "WebP that libwebp cannot decode"))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type of each chunk, and where its content starts and ends."""
    if len(data) < 12 or (size := int.from_bytes(data[4:8], "little") + 8) > len(data):
        raise ImageFault("image_corrupt", f"WebP breaks off: the file ends at byte {len(data):,}")
    position = 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > size:
            return
        kind, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length
        if end > size:
            raise ImageFault("image_corrupt", f"WebP whose chunk {kind!r} goes beyond its end at byte {size:,}")
        yield kind, position + 8, end
        position = end + length % 2
    raise ImageFault("image_corrupt", f"WebP with more than {MAX_CHUNKS:,} chunks")


def _size(kind: bytes, start: bytes) -> tuple[int, int]:
    """Width and height from the first 10 bytes of a chunk that holds a canvas or a picture; 0 where they lack."""
    if kind == _LOSSLESS and len(start) >= 5:
        bits = int.from_bytes(start[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if len(start) < 10:
        return 0, 0
    if kind == _LOSSY:
        width, height = struct.unpack_from("<HH", start, 6)
        return width & 0x3FFF, height & 0x3FFF
    return int.from_bytes(start[4:7], "little") + 1, int.from_bytes(start[7:10], "little") + 1
