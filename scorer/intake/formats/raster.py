"""What every image format gives and gets: a header, a raster, and how much of the image is wanted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

Mode = Literal["L", "RGB", "CMYK"]
"""L is grey. CMYK counts ink: 0 is none, as in ICC profiles and in Pillow."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file announces before any pixel of it is decoded."""

    width: int
    """Pixels, as stored (before the orientation is applied)."""

    height: int
    """Pixels, as stored."""

    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""

    profile: bytes = b""
    """ICC profile; empty where there is none (then the colours are taken as sRGB)."""

    components: int = 3
    """Colour components that the file stores. Only JPEG tells them apart here."""

    effort: int = 1
    """What a pixel costs, about, in passes of libjpeg-turbo (5 ns): its scans for JPEG, 4 where files are unfolded."""

    @property
    def work(self) -> int:
        """Pixels times effort: how long decoding may take, known before it begins."""
        return self.width * self.height * self.effort


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much of an image the caller needs."""

    side: int
    """Both sides of the raster must have at least so many pixels, if the file has them. 0: every pixel there is."""

    truncated: bool = False
    """Use the rows that are there when the file breaks off, instead of refusing it."""

    as_stored: bool = False
    """Leave the turn that a container asks for undone, where the decoder can; without it such a raster is upright."""


@dataclass(frozen=True, slots=True)
class Raster:
    """A decoded image. Valid until the same thread decodes its next one: it may lie in the thread's scratch memory."""

    pixels: Pixels
    """uint8 [height, width] for L, [height, width, 3] for RGB, [height, width, 4] for CMYK; not yet upright."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class Format:
    """One image format. All three functions take the whole file and raise nothing but ImageFault on purpose."""

    recognise: Callable[[bytes], bool]
    """Whether the file begins like this format. Looks at no more than its first bytes; file names play no part."""

    probe: Callable[[bytes], Header]
    """Reads the header without decoding, so that limits can be applied first."""

    decode: Callable[[bytes, Header, Wanted], Raster]
    """Decodes the first (or only) picture."""

    prepare: Callable[[], object] | None = None
    """Loads the decoder, for a process that will not be able to open files. None: it came with the import."""

    isolated: bool = False
    """Whether every such file is decoded in a process of its own, however small: the decoder is young or intricate."""
