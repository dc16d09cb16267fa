"""Bytes of an image file to the pixels that the model sees. Training and scoring share this one function."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import cv2
import numpy as np
from PIL import Image

from scorer.errors import BundleError, ImageFault
from scorer.intake import formats
from scorer.intake.formats import scratch
from scorer.intake.formats.colour import to_srgb
from scorer.intake.formats.raster import Format, Header, Pixels, Raster, Wanted
from scorer.settings import ImageLimits

PIXELS_VERSION = 1
"""Grows whenever the bytes that `decode_image` returns may change, be it by this code or by a newer library."""

WORK_HERE = 2**25
"""Header.work up to which a plain format is decoded here: 33 megapixels of JPEG, 8 of PNG, about half a second."""

Elsewhere = Callable[[bytes, Pixels], object]
"""Decodes a file to uint8 [size, size, 3] in some safer place, or raises ImageFault; see isolation.py."""

_OPENCV = {
    "bilinear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST_EXACT,
    "opencv-area": cv2.INTER_AREA,
    "opencv-bicubic": cv2.INTER_CUBIC,
}
_PILLOW = {
    "pillow-bicubic": Image.Resampling.BICUBIC,
    "pillow-bilinear": Image.Resampling.BILINEAR,
    "pillow-box": Image.Resampling.BOX,
    "pillow-hamming": Image.Resampling.HAMMING,
    "pillow-lanczos": Image.Resampling.LANCZOS,
}
_PILLOW_MODES = {1: "L", 3: "RGB", 4: "CMYK"}

_CHOICES = {
    "filter": ("area", *sorted(_OPENCV), *sorted(_PILLOW)),
    "decode": ("scaled", "full"),
    "scaling": ("0..1", "-1..1", "none", "imagenet", "caffe"),
    "metadata": ("applied", "ignored"),
}

# Both hold for the process. Images are decoded by many threads at once: OpenCV's own would only fight them. And it
# prints a line to stderr for every file that it refuses, where an ImageFault says so once, in its place.
cv2.setNumThreads(1)
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True)
class PixelSpec:
    """How an image becomes the square that the model sees. Part of the bundle.

    Raises:
        ValueError: for a size below 1 or a value that is none of the choices.
    """

    size: int = 64
    """Side of the square in pixels. The image is stretched to it."""

    filter: str = "area"
    """area: the mean of what each pixel covers; bilinear: between the 4 nearest pixels; nearest: the nearest one. For
    models that were trained elsewhere also OpenCV's own and Pillow's, which average over what a pixel covers."""

    decode: str = "scaled"
    """scaled: a JPEG is decoded at 1/8, 1/4 or 1/2 of its size if that is still at least the square's; full: whole."""

    scaling: str = "0..1"
    """What the image tower's graph turns the uint8 values into first; see `scorer.model.split.scales`."""

    metadata: str = "applied"
    """applied: turned as EXIF says, colours by the ICC profile; ignored: as stored, as Keras's load_img leaves them."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}; it must be at least 1 pixel")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; known: {', '.join(choices)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the bundle."""
        values = asdict(self)
        if self.metadata == "applied":
            del values["metadata"]  # as all were before there was a choice: earlier versions read such bundles, too
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PixelSpec":
        """Back from the bundle.

        Raises:
            BundleError: for a name or a value that this version does not know.
        """
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise BundleError(f"The bundle's pixel settings do not fit this version of scorer: {error}.") from None


def decode_image(
    data: bytes, spec: PixelSpec, limits: ImageLimits, out: Pixels | None = None, elsewhere: Elsewhere | None = None
) -> Pixels:
    """Decode one image file, whatever its name, to an upright sRGB square.

    The same bytes give the same pixels on every thread. Nearly all of the time is spent outside Python's lock.

    Args:
        data: the whole file.
        spec: the square.
        limits: checked in this order: bytes, then the pixels that the header announces, before anything is decoded.
        out: uint8 [size, size, 3], C-contiguous, to write to; by default a new array.
        elsewhere: takes over what could crash its decoder or keep it busy for long; by default it is decoded here.

    Returns:
        uint8 [size, size, 3]: `out` where it was given. After a fault `out` holds anything.

    Raises:
        ImageFault: image_too_large, image_too_many_pixels, image_corrupt or image_unsupported. Nothing else, for any
            bytes.
    """
    if len(data) > limits.max_bytes:
        raise ImageFault("image_too_large", f"{len(data):,} bytes; the limit is {limits.max_bytes:,}")
    if out is None:
        out = np.empty((spec.size, spec.size, 3), np.uint8)
    name, fmt = formats.recognise(data)
    header = _probe(data, name, fmt, limits)
    as_stored = spec.metadata == "ignored"
    if as_stored:
        header = replace(header, orientation=1, profile=b"")
    if elsewhere is not None and (fmt.isolated or header.work > WORK_HERE):
        elsewhere(data, out)
        return out
    wanted = Wanted(spec.size if spec.decode == "scaled" else 0, limits.truncated == "use", as_stored)
    raster = _decode(data, name, fmt, header, wanted)
    if raster.mode == "RGB" and not header.profile and header.orientation == 1:
        return resize(raster.pixels, spec, out)
    square = to_srgb(resize(raster.pixels, spec), raster.mode, header.profile)
    np.copyto(out, upright(square, header.orientation))
    return out


def _probe(data: bytes, name: str, fmt: Format, limits: ImageLimits) -> Header:
    try:
        header = fmt.probe(data)
    except ImageFault:
        raise
    except Exception as error:  # a header that its reader does not expect costs this image and no other
        raise ImageFault("image_corrupt", f"{name}: {type(error).__name__}: {error}") from None
    if header.width * header.height > limits.max_pixels:
        announced = f"{name} of {header.width:,} x {header.height:,} pixels"
        raise ImageFault("image_too_many_pixels", f"{announced}; the limit is {limits.max_pixels:,} in all")
    return header


def _decode(data: bytes, name: str, fmt: Format, header: Header, wanted: Wanted) -> Raster:
    try:
        return fmt.decode(data, header, wanted)
    except ImageFault:
        raise
    except Exception as error:  # decoders raise a dozen kinds for bytes of strangers; none may cost another image
        if isinstance(error, MemoryError) or "memory" in str(error).lower():  # OpenCV and libheif have errors of theirs
            raise ImageFault("image_too_many_pixels", f"{name} for which memory did not suffice") from None
        raise ImageFault("image_corrupt", f"{name}: {type(error).__name__}: {error}") from None


def resize(pixels: Pixels, spec: PixelSpec, out: Pixels | None = None) -> Pixels:
    """Stretch to the square with the spec's filter.

    `area` means: a side of more than 4 x the square's is averaged down to 2 x by exact areas; then four bilinear
    samples per pixel are averaged. Up to 4 x this sees every pixel, and at 224 pixels it takes 0.31 ms where OpenCV's
    own area filter takes 0.92, for the same mean difference to Pillow's antialiased filter (1.24 against 1.21 of 255).

    Args:
        pixels: uint8 [height, width] or [height, width, channels], any size.
        spec: size and filter.
        out: where to write; by default a new array.

    Returns:
        uint8 [size, size] or [size, size, channels].
    """
    size, double = spec.size, 2 * spec.size
    if spec.filter in _OPENCV:
        return _stretch(pixels, size, size, _OPENCV[spec.filter], out)
    if spec.filter in _PILLOW:
        return _by_pillow(pixels, size, _PILLOW[spec.filter], out)
    height, width = (double if side > 2 * double else side for side in pixels.shape[:2])
    if (height, width) != pixels.shape[:2]:
        pixels = _stretch(pixels, height, width, cv2.INTER_AREA)
    samples = scratch.borrow("samples", (double, double, *pixels.shape[2:]))
    samples = _stretch(pixels, double, double, cv2.INTER_LINEAR, samples)
    return _stretch(samples, size, size, cv2.INTER_AREA, out)


def _stretch(pixels: Pixels, height: int, width: int, how: int, out: Pixels | None = None) -> Pixels:
    return cast(Pixels, cv2.resize(pixels, (width, height), dst=out, interpolation=how))


def _by_pillow(pixels: Pixels, size: int, how: Image.Resampling, out: Pixels | None) -> Pixels:
    mode = _PILLOW_MODES[pixels.shape[2] if pixels.ndim == 3 else 1]  # as CMYK four channels stay apart; RGBA would not
    image = Image.frombuffer(mode, pixels.shape[1::-1], np.ascontiguousarray(pixels), "raw", mode, 0, 1)
    square = np.asarray(image.resize((size, size), how))
    if out is None:
        return square
    np.copyto(out, square)
    return out


def upright(square: Pixels, orientation: int) -> Pixels:
    """Turn or mirror a square image as its EXIF orientation says.

    After the resize and not before: both stretch each side for itself, so that the order makes no difference, and
    the square has far fewer pixels.

    Args:
        square: uint8 [size, size, 3] as stored.
        orientation: 1 to 8.

    Returns:
        A view of it.
    """
    if orientation >= 5:  # 5 to 8 are 1, 4, 2... of the transposed image
        square = square.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        square = square[:, ::-1]
    if orientation in (3, 4, 7, 8):
        square = square[::-1]
    return square
