"""Ways from JPEG bytes to the model's square, side by side: CPU milliseconds an image, and how close the pixels are.

    python -m benchmarks.pixels                      # 64 generated photographs, 720x480, about 68 KB
    BENCH_IMAGES=DIR python -m benchmarks.pixels     # the JPEGs of a folder instead

One thread, all Python overhead included; the ways take turns, and each figure is the median of five rounds. `TF` ways
need TensorFlow and are left out where it is missing. The difference is the mean over all pixels, of 255, to Pillow's
full decode and antialiased bilinear resize, and to its box filter (the mean of what each pixel covers).
"""

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from scorer.intake.pixels import PixelSpec, decode_image, resize
from scorer.settings import ImageLimits
from tests.images import photographs

Pixels = npt.NDArray[np.uint8]
Way = Callable[[bytes, int], Pixels]

LIMITS = ImageLimits()
ROUNDS = 5


def ours(data: bytes, size: int) -> Pixels:
    return decode_image(data, PixelSpec(size), LIMITS)


def ours_full(data: bytes, size: int) -> Pixels:
    return decode_image(data, PixelSpec(size, decode="full"), LIMITS)


def pillow_full(data: bytes, size: int) -> Pixels:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def pillow_draft(data: bytes, size: int) -> Pixels:
    with Image.open(BytesIO(data)) as image:
        image.draft("RGB", (size, size))
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def simplejpeg_eighths(data: bytes, size: int, *, quick: bool = False, times: int = 1) -> Pixels:
    pixels = simplejpeg.decode_jpeg(
        data, "RGB", min_height=size * times, min_width=size * times, fastdct=quick, fastupsample=quick
    )
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def simplejpeg_samples(data: bytes, size: int) -> Pixels:
    return resize(simplejpeg.decode_jpeg(data, "RGB", min_height=size, min_width=size), PixelSpec(size))


def opencv_reduced(data: bytes, size: int) -> Pixels:
    height, width = simplejpeg.decode_jpeg_header(data)[:2]
    ratio = next((ratio for ratio in (8, 4, 2) if min(height, width) >= ratio * size), 1)
    how = {
        8: cv2.IMREAD_REDUCED_COLOR_8,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        1: cv2.IMREAD_COLOR,
    }[ratio]
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION)
    assert pixels is not None
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)[:, :, ::-1], np.uint8)


WAYS: dict[str, Way] = {
    "decode_image (ours)": ours,
    "decode_image, decode: full": ours_full,
    "Pillow full + antialiased": pillow_full,
    "Pillow draft + antialiased": pillow_draft,
    "simplejpeg by eighths + OpenCV area": simplejpeg_eighths,
    "... with fastdct, fastupsample": lambda data, size: simplejpeg_eighths(data, size, quick=True),
    "... at >= 2x the target": lambda data, size: simplejpeg_eighths(data, size, times=2),
    "simplejpeg by eighths + our area": simplejpeg_samples,
    "OpenCV IMREAD_REDUCED + area": opencv_reduced,
}


def tensorflow_ways() -> dict[str, Way]:
    """tf.io.decode_jpeg by ratio, each ratio a function of its own, on one thread."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow as tf
    except ImportError:
        return {}
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def decode(data: object, size: object, ratio: int) -> object:
        pixels = tf.image.resize(tf.io.decode_jpeg(data, 3, ratio=ratio), [size, size], antialias=True)
        return tf.cast(tf.round(pixels), tf.uint8)

    def by_ratio(data: bytes, size: int) -> Pixels:
        height, width = simplejpeg.decode_jpeg_header(data)[:2]
        ratio = next((ratio for ratio in (8, 4, 2) if min(height, width) >= ratio * size), 1)
        return np.asarray(decode(tf.constant(data), tf.constant(size), ratio))

    return {
        "TF by ratio + antialiased": by_ratio,
        "TF full + antialiased": lambda data, size: np.asarray(decode(tf.constant(data), tf.constant(size), 1)),
    }


def images() -> list[bytes]:
    """The files to decode."""
    folder = os.environ.get("BENCH_IMAGES")
    if folder is None:
        return list(photographs(64))
    return [path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]


def milliseconds(way: Way, files: Iterable[bytes], size: int) -> float:
    """CPU milliseconds an image, in one pass over the files."""
    start, count = time.process_time(), 0
    for data in files:
        way(data, size)
        count += 1
    return (time.process_time() - start) / count * 1e3


def speed_up(files: list[bytes], size: int) -> float:
    """How much faster two threads are than one, by the wall clock; best of three, since other processes disturb it."""

    def wall(threads: int) -> float:
        parts = [
            threading.Thread(target=lambda n=n: [ours(d, size) for d in files[n::threads]]) for n in range(threads)
        ]
        start = time.perf_counter()
        for part in parts:
            part.start()
        for part in parts:
            part.join()
        return time.perf_counter() - start

    return max(wall(1) / wall(2) for _ in range(3))


def table(ways: dict[str, Way], files: list[bytes], size: int) -> None:
    references = [
        [np.asarray(_pillow(data).resize((size, size), how), int) for data in files]
        for how in (Image.Resampling.BILINEAR, Image.Resampling.BOX)
    ]
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            rounds[name].append(milliseconds(way, files, size))
    print(f"\nto {size} px" + " " * 33 + "CPU ms   difference to Pillow's bilinear / box, of 255")
    for name, way in ways.items():
        made = [way(data, size) for data in files]
        bilinear, box = (np.mean([np.abs(m - r).mean() for m, r in zip(made, ref, strict=True)]) for ref in references)
        print(f"{name:38} {statistics.median(rounds[name]):6.2f}   {bilinear:5.2f} / {box:.2f}")
    print(f"two threads of ours: {speed_up(files, size):.2f} times the images of one")


def _pillow(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data)) as image:
        return image.convert("RGB")


def main() -> None:
    """Print both tables."""
    files = images()
    print(f"{len(files)} JPEGs, median {statistics.median(len(data) for data in files) / 1000:,.0f} kB")
    ways = WAYS | tensorflow_ways()
    for size in (64, 224):
        table(ways, files, size)


if __name__ == "__main__":
    main()
