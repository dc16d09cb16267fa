"""Image formats, one file each. To add one: its file, its line in FORMATS, its sample in tests/images.py."""

from scorer.errors import ImageFault
from scorer.intake.formats import avif, bmp, gif, heic, jpeg, png, webp
from scorer.intake.formats.raster import Format

FORMATS: dict[str, Format] = {
    "JPEG": Format(jpeg.recognise, jpeg.probe, jpeg.decode),
    "PNG": Format(png.recognise, png.probe, png.decode),
    "WebP": Format(webp.recognise, webp.probe, webp.decode),
    "GIF": Format(gif.recognise, gif.probe, gif.decode),
    "BMP": Format(bmp.recognise, bmp.probe, bmp.decode),
    "AVIF": Format(avif.recognise, avif.probe, avif.decode, prepare=avif.load, isolated=True),
    "HEIC": Format(heic.recognise, heic.probe, heic.decode, prepare=heic.load, isolated=True),
}

_NAMED_IN_REFUSALS = {
    "a film": (4, b"ftyp"),
    "JPEG XL": (0, b"\xff\x0a"),
    "TIFF (little endian)": (0, b"II*\x00"),
    "TIFF (big endian)": (0, b"MM\x00*"),
    "PDF": (0, b"%PDF"),
    "an icon": (0, b"\x00\x00\x01\x00"),
    "a ZIP archive": (0, b"PK\x03\x04"),
    "gzip": (0, b"\x1f\x8b"),
    "a text, HTML or XML page": (0, b"<"),
    "JSON": (0, b"{"),
}
"""What else arrives under an image's name, by offset and bytes: for the message only, nothing here is decoded."""


def recognise(data: bytes) -> tuple[str, Format]:
    """Name and functions of the format that the bytes are in; the name of the file plays no part.

    Raises:
        ImageFault: image_corrupt for an empty file, image_unsupported for anything that is none of FORMATS.
    """
    for name, candidate in FORMATS.items():
        if candidate.recognise(data):
            return name, candidate
    if not data:
        raise ImageFault("image_corrupt", "the file is empty")
    start = data[:64].lstrip()
    other = next(
        (n for n, (at, magic) in _NAMED_IN_REFUSALS.items() if start.startswith(magic, at)), "an unknown format"
    )
    raise ImageFault("image_unsupported", f"{other}, none of {', '.join(FORMATS)}; begins with {data[:16]!r}")
