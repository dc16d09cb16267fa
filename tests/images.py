"""Image files of every kind, made by code: good ones in `GOOD`, refused ones in `BROKEN`.

All show the same `scene`, so that any two can be compared after decoding. Encoders may write other bytes on another
platform; what must not change is kept, encoded, in tests/data/pixels.json.
"""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pillow_heif
import simplejpeg
from PIL import Image, ImageCms, ImageOps

Pixels = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 56, 40


def scene(width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """uint8 [height, width, 3]: a red-to-green and blue gradient with a bright patch in the top left corner.

    No symmetry maps it onto itself, so every wrong orientation shows; smooth, so that lossy formats keep it.
    """
    down, across = np.mgrid[0:height, 0:width]
    red, green, blue = 255 * across // width, 255 * down // height, 160 - 120 * across * down // (width * height)
    pixels = np.stack([red, green, blue], axis=-1).astype(np.uint8)
    pixels[: height // 3, : width // 4] = (240, 230, 90)
    return pixels


def alpha(width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """uint8 [height, width]: clear on the right, opaque on the left, a ramp in between."""
    ramp = np.clip(np.linspace(400, -150, width), 0, 255).astype(np.uint8)
    return np.tile(ramp, (height, 1))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The file that Pillow writes."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# JPEG


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    """A JPEG of the scene in a Pillow mode."""
    return saved(Image.fromarray(scene()).convert(mode), "JPEG", **({"quality": 92} | options))


def oriented_jpeg(orientation: int) -> bytes:
    """A JPEG that shows the scene upright when its EXIF orientation is applied."""
    undo = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, 1)
    stored = ImageOps.exif_transpose(_tagged(Image.fromarray(scene()), undo))
    return saved(stored, "JPEG", quality=92, exif=exif(orientation))


def exif(orientation: int) -> bytes:
    """An EXIF block with two entries, the second of them the orientation."""
    entries = struct.pack("<HHIIHHIHH", 0x0100, 4, 1, WIDTH, 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)


def _tagged(image: Image.Image, orientation: int) -> Image.Image:
    image.getexif()[0x0112] = orientation
    return image


def ycck_jpeg() -> bytes:
    """CMYK stored as luminance, chrominance and black, as Photoshop does."""
    inverted = 255 - np.asarray(Image.fromarray(scene()).convert("CMYK"))
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(inverted), 92, "CMYK", "444"))


def subsampled_jpeg(kind: str) -> bytes:
    """Chroma subsampled as simplejpeg names it: 440 or 411."""
    return bytes(simplejpeg.encode_jpeg(scene(), 92, "RGB", kind))


def mpo() -> bytes:
    """Two JPEGs in one file, as stereo cameras and phones write."""
    return saved(Image.fromarray(scene()), "MPO", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))])


def spliced_jpeg(segment: bytes) -> bytes:
    """A JPEG with bytes put in between its start marker and its first segment."""
    data = jpeg()
    return data[:2] + segment + data[2:]


def patched_jpeg(offset: int, patch: bytes) -> bytes:
    """A JPEG with bytes of its frame header replaced; 0 is the frame's marker, 4 precision, 5 height, 7 width."""
    data = jpeg()
    at = data.index(b"\xff\xc0") + offset
    return data[:at] + patch + data[at + len(patch) :]


def jpeg_of_many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


# PNG


def chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    samples: npt.NDArray[Any], colour: int, *, depth: int = 8, interlaced: bool = False, extra: bytes = b""
) -> bytes:
    """A PNG written by hand, for what Pillow cannot write.

    Args:
        samples: uint8 or big-endian uint16 [height, width, channels].
        colour: PNG colour type: 0 grey, 2 RGB, 4 grey with alpha, 6 RGBA.
        depth: bits a sample, 8 or 16.
        interlaced: in Adam7's seven passes.
        extra: chunks to put between header and pixels.
    """
    height, width = samples.shape[:2]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [samples[y::dy, x::dx] for y, x, dy, dx in passes] if interlaced else [samples]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def sixteen_bits(pixels: Pixels) -> npt.NDArray[Any]:
    """Big-endian 16-bit samples whose low bytes differ from their high ones."""
    return (pixels.astype(np.uint16) * 256 + 255 - pixels).astype(">u2")


def clear_grey_png() -> bytes:
    """16-bit grey where one value, that of the leftmost eighth, counts as transparent."""
    grey = sixteen_bits(scene()[:, :, 1:2]).copy()
    grey[:, : WIDTH // 8] = 0x1234
    return png(grey, 0, depth=16, extra=chunk(b"tRNS", b"\x12\x34"))


def png_with_text_bomb() -> bytes:
    """A good PNG with 40 compressed text chunks that unfold to 4 MiB each."""
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(4 << 20), 9))
    return png(scene(), 2, extra=bomb * 40)


def rgba() -> Image.Image:
    """The scene with its alpha."""
    return Image.fromarray(np.dstack([scene(), alpha()]))


def palette_image(*, clear: bool = False) -> Image.Image:
    """The scene in 64 colours; with `clear` the colour of its bright patch is transparent."""
    image = Image.fromarray(scene()).quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    if clear:
        image.info["transparency"] = image.getpixel((0, 0))
    return image


# WebP, GIF, BMP


def animated(kind: str, **options: Any) -> bytes:
    """Two frames; the second one is black."""
    black = Image.new("RGB", (WIDTH, HEIGHT))
    first = palette_image() if kind == "GIF" else Image.fromarray(scene())
    return saved(first, kind, save_all=True, append_images=[black], **options)


def gif_with_small_frame() -> bytes:
    """A frame of half the screen's width, put to its right half; the rest is not painted at all."""
    half = saved(palette_image(clear=True).crop((0, 0, WIDTH // 2, HEIGHT)), "GIF")
    frame = half.index(b"\x2c\0\0\0\0")
    placed = half[: frame + 1] + struct.pack("<HH", WIDTH // 2, 0) + half[frame + 5 :]
    return placed[:6] + struct.pack("<HH", WIDTH, HEIGHT) + placed[10:]


def bmp(
    bits: int, packing: int, rows: bytes, *, palette: bytes = b"", height: int = HEIGHT, masks: bytes = b""
) -> bytes:
    """A BMP written by hand."""
    header = (
        struct.pack("<IiiHHIIiiII", 40 + len(masks), WIDTH, height, 1, bits, packing, len(rows), 0, 0, 0, 0) + masks
    )
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows


def top_down_bmp() -> bytes:
    """24 bits, top row first, which a negative height says."""
    return bmp(24, 0, scene()[:, :, ::-1].tobytes(), height=-HEIGHT)


def alpha_bmp() -> bytes:
    """32 bits with a mask for alpha, which is what makes the fourth byte count."""
    rows = np.asarray(rgba())[::-1].tobytes()
    return bmp(32, 3, rows, masks=struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0xFF000000))


def run_length_bmp() -> bytes:
    """8 bits, each row as runs of one."""
    image = palette_image()
    colours = np.frombuffer(bytes(image.getpalette("BGRX") or b""), np.uint8).reshape(-1, 4)
    palette = np.zeros((256, 4), np.uint8)
    palette[: len(colours), :3] = colours[:, :3]
    rows = b"".join(b"".join(b"\x01%c" % value for value in row) + b"\0\0" for row in np.asarray(image)[::-1])
    return bmp(8, 1, rows + b"\0\x01", palette=palette.tobytes())


def zip_archive() -> bytes:
    """What may hang behind an image unseen: archives are read from their end."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photo.html", "<script>alert(1)</script>")
    return file.getvalue()


# HEIC, AVIF


def heic(mode: str = "RGB", *, colours: Image.Image | None = None, **options: Any) -> bytes:
    """A HEIC of the scene in a Pillow mode. Needs the encoder that comes with the development environment."""
    return _by_libheif(pillow_heif.from_pillow((colours or rgba()).convert(mode)), **options)


def deep_heic() -> bytes:
    """12 bits a sample."""
    deep = pillow_heif.from_bytes("RGB;16", (WIDTH, HEIGHT), sixteen_bits(scene()).astype("<u2").tobytes())
    pillow_heif.options.SAVE_HDR_TO_12_BIT = True
    try:
        return _by_libheif(deep, quality=95)
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = False


def _by_libheif(picture: Any, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, **({"quality": 95, "chroma": 444} | options))
    return file.getvalue()


def film() -> bytes:
    """The beginning of an MP4."""
    return b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(200)


# ICC profiles


def profile(space: bytes, pcs: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 from its tags."""
    table, content, start = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(content), len(value))
        content += value + bytes(-len(value) % 4)
    size = start + len(content)
    white = struct.pack(">iii", 63190, 65536, 54061)
    header = struct.pack(">I4xI4s4s4s12x4s28x", size, 0x02400000, kind, space, pcs, b"acsp") + white + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + content


WHITE_POINT = b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)


@cache
def swapping_profile() -> bytes:
    """sRGB with red and blue exchanged: whoever applies it sees it at once."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"????", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"????", b"bXYZ", 1)


@cache
def srgb_profile() -> bytes:
    """sRGB itself, as most photographs carry it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def linear_grey_profile() -> bytes:
    """Grey whose values count light: the middle one is far brighter than in sRGB."""
    curve = b"curv" + struct.pack(">II", 0, 0)
    return profile(b"GRAY", b"XYZ ", b"mntr", {b"wtpt": WHITE_POINT, b"kTRC": curve})


def black_only_profile() -> bytes:
    """CMYK of a press that has run out of coloured ink: only black leaves a mark."""
    straight = bytes(range(256))
    corners = b"".join(bytes([255 * (1 - black), 128, 128]) for _ in range(8) for black in (0, 1))
    unit = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + unit + straight * 4 + corners + straight * 3
    return profile(b"CMYK", b"Lab ", b"prtr", {b"wtpt": WHITE_POINT, b"A2B0": table})


# What the tests go through


@dataclass(frozen=True)
class Good:
    """A file that decodes, and how."""

    format: str
    make: Callable[[], bytes]
    looks: str = "scene"
    """What it shows: a name that `appearance` knows, or a rule with a test of its own."""


def appearance(looks: str) -> Pixels:
    """uint8 [HEIGHT, WIDTH, 3]: what a sample must look like."""
    shown = scene()
    grey = np.asarray(Image.fromarray(shown).convert("L").convert("RGB"))
    opacity = alpha()[:, :, None] / 255.0
    patched = shown.copy()
    patched[: HEIGHT // 3, : WIDTH // 4] = 255
    green = np.repeat(shown[:, :, 1:2], 3, axis=2)
    striped = green.copy()
    striped[:, : WIDTH // 8] = 255
    looks_like = {
        "scene": shown,
        "grey": grey,
        "over white": shown * opacity + 255 * (1 - opacity),
        "grey over white": grey * opacity + 255 * (1 - opacity),
        "patch white": patched,
        "red and blue swapped": shown[:, :, ::-1],
        "its green": green,
        "its green, left white": striped,
        "half of it to the right": np.hstack([np.full_like(patched, 255)[:, WIDTH // 2 :], patched[:, : WIDTH // 2]]),
    }
    return looks_like[looks].round().astype(np.uint8)


def _png(mode: str, **options: Any) -> bytes:
    return saved(rgba().convert(mode), "PNG", **options)


GOOD: dict[str, Good] = {
    "jpeg": Good("JPEG", jpeg),
    "jpeg 4:4:4": Good("JPEG", lambda: jpeg(subsampling=0)),
    "jpeg 4:4:0": Good("JPEG", lambda: subsampled_jpeg("440")),
    "jpeg 4:1:1": Good("JPEG", lambda: subsampled_jpeg("411")),
    "jpeg progressive": Good("JPEG", lambda: jpeg(progressive=True)),
    "jpeg grey": Good("JPEG", lambda: jpeg("L"), "grey"),
    "jpeg rgb by adobe": Good("JPEG", lambda: jpeg(keep_rgb=True)),
    "jpeg cmyk": Good("JPEG", lambda: jpeg("CMYK")),
    "jpeg ycck": Good("JPEG", ycck_jpeg),
    "jpeg mpo": Good("JPEG", mpo),
    "jpeg with restarts": Good("JPEG", lambda: jpeg(restart_marker_blocks=2)),
    "jpeg with fill bytes": Good("JPEG", lambda: spliced_jpeg(b"\xff\xff\xff")),
    "jpeg with junk between its segments": Good("JPEG", lambda: jpeg().replace(b"\xff\xdb", b"junk\xff\xdb", 1)),
    "jpeg with bytes behind it": Good("JPEG", lambda: jpeg() + b"<html>" * 9),
    "jpeg that is a zip archive too": Good("JPEG", lambda: jpeg() + zip_archive()),
    "jpeg with a script in its comment": Good("JPEG", lambda: spliced_jpeg(b"\xff\xfe\0\x1b<script>alert(1)</script>")),
    "jpeg with a broken profile": Good("JPEG", lambda: jpeg(icc_profile=b"not a profile" * 9)),
    "jpeg with srgb's profile": Good("JPEG", lambda: jpeg(icc_profile=srgb_profile())),
    "jpeg of another jfif revision": Good("JPEG", lambda: jpeg().replace(b"JFIF\0\x01", b"JFIF\0\x03", 1)),
    **{f"jpeg oriented {n}": Good("JPEG", partial(oriented_jpeg, n)) for n in range(1, 9)},
    "jpeg with a profile": Good("JPEG", lambda: jpeg(icc_profile=swapping_profile()), "red and blue swapped"),
    "jpeg grey with a profile": Good("JPEG", lambda: jpeg("L", icc_profile=linear_grey_profile()), "brighter"),
    "jpeg cmyk with a profile": Good("JPEG", lambda: jpeg("CMYK", icc_profile=black_only_profile()), "black"),
    "png": Good("PNG", lambda: _png("RGB")),
    "png grey": Good("PNG", lambda: _png("L"), "grey"),
    "png 1 bit": Good("PNG", lambda: saved(Image.fromarray(scene()).convert("1"), "PNG"), "dither"),
    "png rgba": Good("PNG", lambda: _png("RGBA"), "over white"),
    "png grey with alpha": Good("PNG", lambda: _png("LA"), "grey over white"),
    "png palette": Good("PNG", lambda: saved(palette_image(), "PNG")),
    "png palette with clear colour": Good("PNG", lambda: saved(palette_image(clear=True), "PNG"), "patch white"),
    "png rgb with clear colour": Good("PNG", lambda: _png("RGB", transparency=(240, 230, 90)), "patch white"),
    "png 16 bit": Good("PNG", lambda: png(sixteen_bits(scene()), 2, depth=16)),
    "png 16 bit rgba": Good("PNG", lambda: png(sixteen_bits(np.asarray(rgba())), 6, depth=16), "over white"),
    "png 16 bit grey": Good("PNG", lambda: png(sixteen_bits(scene()[:, :, 1:2]), 0, depth=16), "its green"),
    "png 16 bit grey with clear value": Good("PNG", clear_grey_png, "its green, left white"),
    "png 16 bit rgb with clear colour": Good(
        "PNG",
        lambda: png(sixteen_bits(scene()), 2, depth=16, extra=chunk(b"tRNS", b"\xf0\x0f\xe6\x19\x5a\xa5")),
        "patch white",
    ),
    "png interlaced": Good("PNG", lambda: png(scene(), 2, interlaced=True)),
    "png animated": Good("PNG", lambda: animated("PNG")),
    "png oriented 6": Good("PNG", lambda: png(np.rot90(scene()), 2, extra=chunk(b"eXIf", exif(6)[6:]))),
    "png with a profile": Good("PNG", lambda: _png("RGB", icc_profile=swapping_profile()), "red and blue swapped"),
    "png with a text bomb": Good("PNG", png_with_text_bomb),
    "webp": Good("WebP", lambda: saved(Image.fromarray(scene()), "WEBP", quality=92)),
    "webp lossless": Good("WebP", lambda: saved(Image.fromarray(scene()), "WEBP", lossless=True)),
    "webp rgba": Good("WebP", lambda: saved(rgba(), "WEBP", quality=95), "over white"),
    "webp rgba lossless": Good("WebP", lambda: saved(rgba(), "WEBP", lossless=True, exact=True), "over white"),
    "webp animated": Good("WebP", lambda: animated("WEBP", quality=92)),
    "webp oriented 8": Good(
        "WebP", lambda: saved(Image.fromarray(np.rot90(scene(), -1)), "WEBP", lossless=True, exif=exif(8))
    ),
    "webp with a profile": Good(
        "WebP",
        lambda: saved(Image.fromarray(scene()), "WEBP", quality=92, icc_profile=swapping_profile()),
        "red and blue swapped",
    ),
    "gif": Good("GIF", lambda: saved(palette_image(), "GIF")),
    "gif with clear colour": Good("GIF", lambda: saved(palette_image(clear=True), "GIF"), "patch white"),
    "gif that is a zip archive too": Good("GIF", lambda: saved(palette_image(), "GIF") + zip_archive()),
    "gif animated": Good("GIF", lambda: animated("GIF")),
    "gif with a small frame": Good("GIF", gif_with_small_frame, "half of it to the right"),
    "bmp": Good("BMP", lambda: saved(Image.fromarray(scene()), "BMP")),
    "bmp palette": Good("BMP", lambda: saved(palette_image(), "BMP")),
    "bmp grey": Good("BMP", lambda: saved(Image.fromarray(scene()).convert("L"), "BMP"), "grey"),
    "bmp 32 bit": Good("BMP", lambda: saved(Image.fromarray(scene()).convert("RGBA"), "BMP")),
    "bmp rgba": Good("BMP", alpha_bmp, "over white"),
    "bmp top down": Good("BMP", top_down_bmp),
    "bmp run lengths": Good("BMP", run_length_bmp),
    "avif": Good("AVIF", lambda: saved(Image.fromarray(scene()), "AVIF", quality=90)),
    "avif grey": Good("AVIF", lambda: saved(Image.fromarray(scene()).convert("L"), "AVIF", quality=90), "grey"),
    "avif rgba": Good("AVIF", lambda: saved(rgba(), "AVIF", quality=95), "over white"),
    "avif animated": Good("AVIF", lambda: animated("AVIF", quality=90)),
    "avif oriented 6": Good(
        "AVIF", lambda: saved(Image.fromarray(np.rot90(scene())), "AVIF", quality=90, exif=exif(6)[6:])
    ),
    "avif with a profile": Good(
        "AVIF",
        lambda: saved(Image.fromarray(scene()), "AVIF", quality=90, icc_profile=swapping_profile()),
        "red and blue swapped",
    ),
    "heic": Good("HEIC", heic),
    "heic grey": Good("HEIC", lambda: heic("L"), "grey"),
    "heic rgba": Good("HEIC", lambda: heic("RGBA"), "over white"),
    "heic 12 bit": Good("HEIC", deep_heic),
    "heic oriented 6": Good("HEIC", lambda: heic(colours=Image.fromarray(np.rot90(scene())), exif=exif(6)[6:])),
    "heic with a profile": Good("HEIC", lambda: heic(icc_profile=swapping_profile()), "red and blue swapped"),
}
"""By name. One of every kind that must decode."""


@dataclass(frozen=True)
class Broken:
    """A file that is refused, and the reason."""

    make: Callable[[], bytes]
    reason: str


def announcing(kind: str, width: int, height: int) -> bytes:
    """A small file that announces a large image."""
    if kind == "JPEG":
        return patched_jpeg(5, struct.pack(">HH", height, width))
    if kind == "PNG":
        return png(scene(), 2).replace(
            chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)),
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        )
    data = GOOD[kind.lower()].make()
    if kind in ("AVIF", "HEIC"):
        at, layout = data.index(b"ispe") + 8, ">II"
    else:
        at, layout = {"WebP": (26, "<HH"), "GIF": (6, "<HH"), "BMP": (18, "<ii")}[kind]
    return data[:at] + struct.pack(layout, width, height) + data[at + struct.calcsize(layout) :]


def _cut(name: str, share: float) -> Callable[[], bytes]:
    def make() -> bytes:
        data = GOOD[name].make()
        return data[: int(len(data) * share)]

    return make


def _frame_beyond_screen() -> bytes:
    data = GOOD["gif"].make()
    at = data.index(b"\x2c\0\0\0\0") + 5
    return data[:at] + struct.pack("<HH", 60_000, 60_000) + data[at + 4 :]


def _png_with_wrong_checksum() -> bytes:
    data = png(scene(), 2)
    at = data.index(b"IDAT") + 40
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _jpeg_with_noise() -> bytes:
    data = jpeg(quality=98)
    at = data.index(b"\xff\xda") + 60
    return data[:at] + b"\x55\xaa\x12" * 60 + data[at + 180 :]


CORRUPT, UNSUPPORTED, TOO_MANY = "image_corrupt", "image_unsupported", "image_too_many_pixels"

BROKEN: dict[str, Broken] = {
    "empty": Broken(lambda: b"", CORRUPT),
    "html that begins like a gif": Broken(lambda: b"GIF89a/*<html>*/=1;<script>alert(1)</script>" * 9, CORRUPT),
    "html that begins like a jpeg": Broken(lambda: b"\xff\xd8\xff<html>" + b"<p>Not Found</p>" * 99, CORRUPT),
    "zip archive": Broken(zip_archive, UNSUPPORTED),
    "html": Broken(lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>", UNSUPPORTED),
    "svg": Broken(lambda: b'\n<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', UNSUPPORTED),
    "json": Broken(lambda: b'{"error": "rate limited"}', UNSUPPORTED),
    "noise": Broken(lambda: np.random.default_rng(5).bytes(4_096), UNSUPPORTED),
    "zeros": Broken(lambda: bytes(4_096), UNSUPPORTED),
    "film": Broken(film, UNSUPPORTED),
    "tiff": Broken(lambda: saved(Image.fromarray(scene()), "TIFF"), UNSUPPORTED),
    "icon": Broken(lambda: saved(Image.fromarray(scene()), "ICO"), UNSUPPORTED),
    "pdf": Broken(lambda: b"%PDF-1.7\n" + bytes(200), UNSUPPORTED),
    "gzip": Broken(lambda: b"\x1f\x8b\x08" + bytes(200), UNSUPPORTED),
    "riff that is a sound": Broken(lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), UNSUPPORTED),
    "jpeg cut in half": Broken(_cut("jpeg", 0.8), CORRUPT),
    "jpeg cut in its header": Broken(_cut("jpeg", 0.2), CORRUPT),
    "jpeg without its end": Broken(lambda: jpeg()[:-2], CORRUPT),
    "jpeg of three bytes": Broken(lambda: jpeg()[:3], CORRUPT),
    "jpeg progressive cut": Broken(_cut("jpeg progressive", 0.9), CORRUPT),
    "jpeg with noise in it": Broken(_jpeg_with_noise, CORRUPT),
    "jpeg of 12 bits": Broken(lambda: patched_jpeg(4, b"\x0c"), UNSUPPORTED),
    "jpeg lossless": Broken(lambda: patched_jpeg(1, b"\xc3"), UNSUPPORTED),
    "jpeg hierarchical": Broken(lambda: patched_jpeg(1, b"\xc5"), UNSUPPORTED),
    "jpeg of two components": Broken(lambda: patched_jpeg(9, b"\x02"), UNSUPPORTED),
    "jpeg with its height at the end": Broken(lambda: patched_jpeg(5, b"\0\0"), UNSUPPORTED),
    "jpeg without width": Broken(lambda: patched_jpeg(7, b"\0\0"), CORRUPT),
    "jpeg without an image": Broken(lambda: b"\xff\xd8\xff\xd9", CORRUPT),
    "jpeg of a thousand scans": Broken(lambda: jpeg_of_many_scans(1_000), UNSUPPORTED),
    "jpeg of 100,000 segments": Broken(lambda: spliced_jpeg(b"\xff\xe0\0\x03x" * 100_000), CORRUPT),
    "jpeg of 3 gigapixels": Broken(lambda: announcing("JPEG", 60_000, 50_000), TOO_MANY),
    "png cut in half": Broken(_cut("png", 0.5), CORRUPT),
    "png without its end": Broken(lambda: png(scene(), 2)[:-12], CORRUPT),
    "png with a wrong checksum": Broken(_png_with_wrong_checksum, CORRUPT),
    "png without pixels": Broken(lambda: png(scene(), 2)[:33] + chunk(b"IEND", b""), CORRUPT),
    "png with too few pixels": Broken(lambda: announcing("PNG", WIDTH, 2 * HEIGHT), CORRUPT),
    "png without width": Broken(lambda: announcing("PNG", 0, HEIGHT), CORRUPT),
    "png of 3.6 gigapixels": Broken(lambda: announcing("PNG", 60_000, 60_000), TOO_MANY),
    "webp cut in half": Broken(_cut("webp", 0.5), CORRUPT),
    "webp without a picture": Broken(lambda: b"RIFF\x04\0\0\0WEBP", CORRUPT),
    "webp of 268 megapixels": Broken(lambda: announcing("WebP", 16_383, 16_383), TOO_MANY),
    "gif cut in half": Broken(_cut("gif", 0.5), CORRUPT),
    "gif without a frame": Broken(lambda: b"GIF89a\x08\0\x08\0\0\0\0;", CORRUPT),
    "gif of 4 gigapixels": Broken(lambda: announcing("GIF", 65_535, 65_535), TOO_MANY),
    "gif with a frame of 3.6 gigapixels": Broken(_frame_beyond_screen, TOO_MANY),
    "bmp cut in half": Broken(_cut("bmp", 0.5), CORRUPT),
    "bmp with a png inside": Broken(lambda: bmp(32, 5, bytes(99)), UNSUPPORTED),
    "bmp of 2 megapixels run-length coded": Broken(lambda: bmp(8, 1, bytes(2 << 20), palette=bytes(1024)), UNSUPPORTED),
    "bmp of 10 gigapixels": Broken(lambda: announcing("BMP", 100_000, 100_000), TOO_MANY),
    "avif cut in half": Broken(_cut("avif", 0.5), CORRUPT),
    "avif cut in its header": Broken(_cut("avif", 0.1), CORRUPT),
    "avif without a picture": Broken(lambda: b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", CORRUPT),
    "avif of 3 gigapixels": Broken(lambda: announcing("AVIF", 60_000, 50_000), TOO_MANY),
    "heic cut in half": Broken(_cut("heic", 0.5), CORRUPT),
    "heic without a picture": Broken(lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), CORRUPT),
    "heic of 3 gigapixels": Broken(lambda: announcing("HEIC", 60_000, 50_000), TOO_MANY),
}
"""By name. One of every kind that must be refused, under the default limits."""


def reference(data: bytes, size: int) -> Pixels:
    """uint8 [size, size, 3]: what Pillow alone makes of a file: full decode, upright, over white, antialiased."""
    with Image.open(BytesIO(data)) as image:
        turned = ImageOps.exif_transpose(image)
        if turned.has_transparency_data:
            coloured = turned.convert("RGBA")
            turned = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
        return np.asarray(turned.convert("RGB").resize((size, size), Image.Resampling.BOX))


def photographs(count: int, *, width: int = 720, height: int = 480, seed: int = 0) -> Iterator[bytes]:
    """JPEGs with the spectrum of photographs (amplitude falls with frequency), about 68 KB each at 720 x 480."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    falloff = 1 / np.maximum(frequency, 1 / max(width, height)) ** 1.4
    for _ in range(count):
        planes = []
        for strength in (50, 15, 15):  # luminance and two chrominances
            phase = np.exp(2j * np.pi * random.random(frequency.shape))
            plane = np.fft.irfft2(falloff * phase, (height, width))
            planes.append(128 + strength * plane / plane.std())
        ycc = np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)
        done, file = cv2.imencode(".jpg", cv2.cvtColor(ycc, cv2.COLOR_YCrCb2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
        assert done
        yield file.tobytes()
