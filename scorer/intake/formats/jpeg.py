"""JPEG, the hot path: header by hand, pixels at the scale that is needed, all of it outside Python's lock."""

import re
import struct
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import simplejpeg
from PIL import JpegImagePlugin

from scorer.errors import ImageFault
from scorer.intake.formats import exif, scratch
from scorer.intake.formats.flat import from_pillow
from scorer.intake.formats.raster import Header, Mode, Pixels, Raster, Wanted

MAX_SEGMENTS = 10_000
"""Marker segments before the pixels. The largest real headers (extended XMP, ICC in pieces) have some hundreds."""

MAX_SCANS = 100
"""Scans of one image; encoders write about ten. Each costs a pass over all coefficients, so thousands are a bomb."""

_MARKER = re.compile(rb"\xff([^\x00\xff])")
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DECODABLE_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # baseline, extended, progressive, arithmetic
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_START_OF_SCAN, _END_OF_IMAGE, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_SCAN, _END, _TABLE = b"\xff\xda", b"\xff\xd9", b"\xff\xc4"
_EXIF, _ICC = b"Exif\x00\x00", b"ICC_PROFILE\x00"

_COLOURS: dict[int, tuple[str, Mode]] = {1: ("GRAY", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK")}
"""By number of components: simplejpeg's name of the colours to decode to, and ours."""

_HARMLESS = re.compile(
    "SOS parameters|JFIF revision|Adobe color transform|determine subsampling|bad ICC marker"
    "|extraneous bytes before marker 0x(?!d[0-79])"  # before a restart or the end, part of the image is lost
)
"""Complaints of libjpeg-turbo about files that are whole: Pillow, slower and more patient, decodes them."""


def recognise(data: bytes) -> bool:
    """Whether the file begins with JPEG's start marker. Covers MPO, whose first picture is a JPEG."""
    return data.startswith(b"\xff\xd8\xff")


def probe(data: bytes) -> Header:
    """Size, components, EXIF orientation and ICC profile, in about 7 microseconds (0.1 ms where scans must be counted).

    Raises:
        ImageFault: image_corrupt where the header breaks off or contradicts itself; image_unsupported for lossless,
            hierarchical and 12-bit files, and for those with unusual components or too many scans.
    """
    frame, orientation, profile, scan_components = b"", 0, [], 0
    for marker, start, end in _segments(data):
        if marker in _START_OF_FRAME and not frame:
            frame = data[start - 3 : end]
        elif marker == _START_OF_SCAN:
            scan_components = data[start]
        elif marker == _APP1 and not orientation and data.startswith(_EXIF, start):
            orientation = exif.orientation(data[start + len(_EXIF) : end])
        elif marker == _APP2 and data.startswith(_ICC, start):
            profile.append(data[start + len(_ICC) : end])
    return _header(data, frame, scan_components=scan_components, orientation=orientation or 1, icc=profile)


def decode(data: bytes, header: Header, wanted: Wanted) -> Raster:
    """Decode at 1/8, 1/4, 1/2 or all of the size, the smallest that has at least `wanted.side` pixels both ways.

    Powers of two because only they have fast code in libjpeg-turbo and lose least: to 224 pixels 1.3 ms instead of
    1.4 by eighths, mean difference to Pillow's full decode 1.2 instead of 1.7 of 255. See docs/decisions/pixels.md.
    """
    height, width = _scaled(header, wanted.side)
    colours, mode = _COLOURS[header.components]
    # The buffer is made for the size that `probe` announced; a file that libjpeg-turbo reads as larger is refused.
    buffer = scratch.borrow("decode", (height, width, header.components))
    try:
        pixels = _by_simplejpeg(data, colours, buffer, strict=True)
    except ValueError as error:
        return _second_try(data, header, wanted, str(error))
    return Raster(pixels, mode)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker of each segment, and where its content starts and ends; the first start of scan is the last."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.match(data, position) or _MARKER.search(data, position)  # the latter skips fill bytes and junk
        if found is None:
            raise _breaks_off(data, "in its header")
        marker, start = data[found.end() - 1], found.end() + 2
        if marker in _WITHOUT_LENGTH:
            position = found.end()
            continue
        if marker == _END_OF_IMAGE:
            raise ImageFault("image_corrupt", "JPEG without an image: its end marker follows the header")
        position = start - 2 + int.from_bytes(data[start - 2 : start])
        if position > len(data) or position <= start:
            raise _breaks_off(data, "in its header")
        yield marker, start, position
        if marker == _START_OF_SCAN:
            return
    raise ImageFault("image_corrupt", f"JPEG with more than {MAX_SEGMENTS:,} segments before its pixels")


def _header(data: bytes, frame: bytes, *, scan_components: int, orientation: int, icc: list[bytes]) -> Header:
    if len(frame) < 9:
        raise ImageFault("image_corrupt", "JPEG without a frame header before its pixels")
    kind, precision, height, width, components = struct.unpack_from(">BxxBHHB", frame)
    if kind not in _DECODABLE_FRAMES:
        raise ImageFault("image_unsupported", f"JPEG of the lossless or hierarchical kind (frame type {kind:#x})")
    if precision != 8:
        raise ImageFault("image_unsupported", f"JPEG with {precision} bits a sample; 8 can be decoded")
    if components not in _COLOURS:
        raise ImageFault("image_unsupported", f"JPEG with {components} colour components; 1, 3 and 4 can be decoded")
    if not height:
        raise ImageFault("image_unsupported", "JPEG that tells its height only after its pixels")
    if not width:
        raise ImageFault("image_corrupt", "JPEG that announces a width of 0 pixels")
    scans = data.count(_SCAN) if kind in _PROGRESSIVE or scan_components != components else 1
    if scans > MAX_SCANS:
        raise ImageFault("image_unsupported", f"JPEG with more than {MAX_SCANS} scans")
    return Header(width, height, orientation, _profile(icc), components, effort=scans)


def _profile(pieces: list[bytes]) -> bytes:
    """The ICC profile from its numbered pieces (number, count, bytes); empty when pieces are missing."""
    if not pieces or any(len(piece) < 2 or piece[1] != len(pieces) for piece in pieces):
        return b""
    return b"".join(piece[2:] for piece in sorted(pieces, key=lambda piece: piece[0]))


def _scaled(header: Header, side: int) -> tuple[int, int]:
    for eighths in (1, 2, 4) if side else ():
        height, width = -(-header.height * eighths // 8), -(-header.width * eighths // 8)
        if height >= side and width >= side:
            return height, width
    return header.height, header.width


def _by_simplejpeg(data: bytes, colours: str, buffer: Pixels, *, strict: bool) -> Pixels:
    height, width, components = buffer.shape
    pixels: Pixels = simplejpeg.decode_jpeg(
        data, colours, min_height=height, min_width=width, buffer=buffer, strict=strict
    )
    if components == 4:
        np.invert(pixels, out=pixels)  # JPEG stores CMYK inverted since Photoshop did; Pillow and browsers follow
    return pixels[:, :, 0] if components == 1 else pixels


def _second_try(data: bytes, header: Header, wanted: Wanted, complaint: str) -> Raster:
    if "nsufficient memory" in complaint:
        raise MemoryError(complaint)
    ends = data.find(_END, max(data.rfind(_SCAN), 0)) >= 0
    if not ends or "remature end" in complaint:
        if wanted.truncated:
            return _as_far_as_it_goes(data, header, wanted)
        raise _breaks_off(data, "in its image data")
    if _HARMLESS.search(complaint):
        return _by_pillow(data, header, wanted)
    reason = "image_unsupported" if "nsupported" in complaint else "image_corrupt"
    raise ImageFault(reason, f"JPEG: {complaint}")


def _as_far_as_it_goes(data: bytes, header: Header, wanted: Wanted) -> Raster:
    """What there is of the image, the rest grey; a progressive one is coarser, and ends before a half table."""
    colours, mode = _COLOURS[header.components]
    buffer = scratch.borrow("decode", (*_scaled(header, wanted.side), header.components))
    complaint = ""
    for usable in (data, data[: data.rfind(_TABLE)] + _END):
        try:
            return Raster(_by_simplejpeg(usable, colours, buffer, strict=False), mode)
        except ValueError as error:
            complaint = str(error)
    raise ImageFault("image_corrupt", f"JPEG breaks off at byte {len(data):,}, too early to be of use: {complaint}")


def _by_pillow(data: bytes, header: Header, wanted: Wanted) -> Raster:
    with JpegImagePlugin.JpegImageFile(BytesIO(data)) as image:
        if image.size != (header.width, header.height):
            raise ImageFault("image_corrupt", "JPEG with two frame headers of different sizes")
        height, width = _scaled(header, wanted.side)
        image.draft(None, (width, height))
        return from_pillow(image)


def _breaks_off(data: bytes, where: str) -> ImageFault:
    return ImageFault("image_corrupt", f"JPEG breaks off {where}: the file ends at byte {len(data):,}")
