"""The container that HEIC and AVIF share (ISO base media file format): brands, sizes and profile, read by hand."""

import struct
from collections.abc import Iterator

from scorer.errors import ImageFault
from scorer.intake.formats.raster import Header

MAX_BOXES = 20_000
"""Boxes at one level; a photograph of 48 megapixels in tiles of 512 has some hundreds of properties."""

_PROFILES = (b"prof", b"rICC")
_TO_THE_END, _LARGE = 0, 1


def brands(data: bytes) -> frozenset[bytes]:
    """The four-letter brands that the file says it is made for; empty where it is none of this family."""
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4]), len(data), 1024)
    return frozenset(data[at : at + 4] for at in (8, *range(16, end - 3, 4)))


def probe(data: bytes, what: str) -> Header:
    """The largest size that any picture of the file announces, be it the photograph, a tile or a thumbnail.

    Args:
        data: the whole file.
        what: name of the format, for errors.

    Returns:
        Upright, since decoders of this family turn the picture by the container's own properties; the first profile.

    Raises:
        ImageFault: image_corrupt where the file breaks off or announces no picture.
    """
    width = height = 0
    profile = b""
    for kind, start, end in _properties(data, what):
        if kind == b"ispe" and end - start >= 12:
            across, down = struct.unpack_from(">II", data, start + 4)
            if across * down > width * height:
                width, height = across, down
        elif kind == b"colr" and data[start : start + 4] in _PROFILES and not profile:
            profile = data[start + 4 : end]
    if not width or not height:
        raise ImageFault("image_corrupt", f"{what} without a picture, or with a side of 0 pixels")
    return Header(width, height, profile=profile)


def _properties(data: bytes, what: str) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of meta/iprp/ipco, after a look at whether the file is whole."""
    described: list[tuple[int, int]] = []
    for kind, start, end in _boxes(data, 0, len(data), what):
        if end > len(data):
            raise ImageFault(
                "image_corrupt", f"{what} breaks off at byte {len(data):,}: its box {kind!r} goes to byte {end:,}"
            )
        if kind == b"meta" and not described:
            described.append((start + 4, end))  # behind version and flags
    for path in (b"iprp", b"ipco"):
        described = [
            (inner, stop)
            for start, end in described
            for kind, inner, stop in _boxes(data, start, end, what)
            if kind == path and stop <= end
        ][:1]
    for start, end in described:
        yield from ((kind, inner, stop) for kind, inner, stop in _boxes(data, start, end, what) if stop <= end)


def _boxes(data: bytes, position: int, end: int, what: str) -> Iterator[tuple[bytes, int, int]]:
    """Type of each box, and where its content starts and ends, which may lie beyond `end`."""
    for _ in range(MAX_BOXES):
        if position + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if length == _LARGE and position + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        stop = end if length == _TO_THE_END else position + length
        if stop < start:
            raise ImageFault("image_corrupt", f"{what} with a box of {length} bytes at byte {position:,}")
        yield kind, start, stop
        position = stop
    raise ImageFault("image_corrupt", f"{what} with more than {MAX_BOXES:,} boxes")
