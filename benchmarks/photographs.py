"""Distinct JPEGs with the spectrum of photographs, or a folder's own, as many as are wanted."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

SEED = 11
COMMENT = b"\xff\xfe"
"""JPEG marker of a comment segment; decoders skip it."""


def generated(count: int, *, width: int = 720, height: int = 480, seed: int = SEED) -> Iterator[bytes]:
    """JPEGs whose amplitude falls with frequency as in photographs, about 68 KB each at 720 x 480.

    Sharpness and brightness differ from one to the next, so that their sizes spread as those of real ones do.
    """
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    for _ in range(count):
        falloff = 1 / np.maximum(frequency, 1 / max(width, height)) ** random.uniform(1.3, 1.5)
        planes = []
        for middle, strength in ((random.uniform(100, 150), 50), (128, 15), (128, 15)):  # luminance, two chrominances
            phase = np.exp(2j * np.pi * random.random(frequency.shape))
            plane = np.fft.irfft2(falloff * phase, (height, width))
            planes.append(middle + strength * plane / plane.std())
        ycc = np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)
        done, file = cv2.imencode(".jpg", cv2.cvtColor(ycc, cv2.COLOR_YCrCb2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
        assert done
        yield file.tobytes()


def originals(count: int) -> list[bytes]:
    """Generated ones; or, where BENCH_IMAGES names a folder, that folder's JPEGs.

    Raises:
        SystemExit: the folder holds none.
    """
    folder = os.environ.get("BENCH_IMAGES")
    if not folder:
        return list(generated(count))
    found = [path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
    if not found:
        raise SystemExit(f"BENCH_IMAGES={folder} holds no .jpg or .jpeg file.")
    return [path.read_bytes() for path in found]


def distinct(files: Sequence[bytes], number: int) -> bytes:
    """The number-th of endlessly many files: round after round the same pixels, never the same bytes."""
    turn, place = divmod(number, len(files))
    data = files[place]
    if turn == 0:
        return data
    text = f"copy {turn}".encode()
    return data[:2] + COMMENT + (len(text) + 2).to_bytes(2, "big") + text + data[2:]
