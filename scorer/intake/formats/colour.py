"""Grey, RGB and CMYK to sRGB, by the file's ICC profile where it carries a usable one."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from scorer.intake.formats.raster import Mode, Pixels

MAX_PROFILE = 2 * 1024 * 1024
"""Bytes of a profile; a larger one is ignored. Times 32 profiles kept, this bounds the cache."""


def to_srgb(pixels: Pixels, mode: Mode, profile: bytes) -> Pixels:
    """Convert a small image.

    Args:
        pixels: uint8 [size, size] for L, [size, size, 3] for RGB, [size, size, 4] for CMYK (0 is no ink).
        mode: which of these.
        profile: ICC profile of the pixels, or nothing.

    Returns:
        uint8 [size, size, 3] sRGB; `pixels` itself where nothing had to change.
    """
    transform = _transform(profile, mode) if 0 < len(profile) <= MAX_PROFILE else None
    if transform is not None:
        return _apply(transform, pixels, mode)
    if mode == "L":
        return np.repeat(pixels[..., np.newaxis], 3, axis=2)
    if mode == "CMYK":
        paper = 255 - pixels.astype(np.uint16)  # Pillow's and libjpeg's rule: light = (1 - ink) x (1 - black)
        return ((paper[..., :3] * paper[..., 3:] + 127) // 255).astype(np.uint8)
    return pixels


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: Mode) -> ImageCms.ImageCmsTransform | None:
    """Perceptual transform to sRGB; None where the profile is broken, of other colours, or sRGB itself.

    Building one takes about a millisecond, applying it to 64 x 64 pixels 0.05 ms. Threads may share it.
    """
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB", ImageCms.Intent.PERCEPTUAL)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None  # browsers show such images as if they had no profile, and so do we
    return None if mode == "RGB" and _changes_nothing(transform) else transform


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a lattice of 4,096 colours stays where it is: most profiles in photographs are sRGB under some name."""
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 64, 3)
    moved = np.abs(_apply(transform, lattice, "RGB").astype(int) - lattice)
    return bool(moved.max() <= 2)


def _apply(transform: ImageCms.ImageCmsTransform, pixels: Pixels, mode: Mode) -> Pixels:
    size = (pixels.shape[1], pixels.shape[0])
    image = Image.frombuffer(mode, size, np.ascontiguousarray(pixels), "raw", mode, 0, 1)
    return np.asarray(transform.apply(image))
