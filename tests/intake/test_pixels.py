import os
import random
import threading
from dataclasses import replace
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from scorer.errors import BundleError, ImageFault
from scorer.intake.pixels import PIXELS_VERSION, PixelSpec, decode_image, resize, upright
from scorer.settings import ImageLimits
from tests.images import (
    BROKEN,
    GOOD,
    HEIGHT,
    WIDTH,
    Pixels,
    appearance,
    heic,
    jpeg,
    oriented_jpeg,
    photographs,
    reference,
    saved,
    scene,
)
from tests.intake import golden

LIMITS = ImageLimits()
SMALL = PixelSpec(20)

FUZZ_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""0: the same 2,000 mutations every time. More: other ones every time, as many as asked for."""

BY_RULE = {"dither", "brighter", "black"}


def difference(one: Pixels, other: Pixels) -> float:
    """Mean absolute difference, of 255."""
    return float(np.abs(one.astype(int) - other).mean())


def shrunk(pixels: Pixels, size: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BOX))


# What it looks like


@pytest.mark.parametrize("name", [name for name, good in GOOD.items() if good.looks not in BY_RULE])
def test_every_kind_of_image_shows_the_scene_upright_in_srgb_over_white(name: str) -> None:
    pixels = decode_image(GOOD[name].make(), SMALL, LIMITS)

    assert pixels.shape == (20, 20, 3)
    assert pixels.dtype == np.uint8
    # 3 for lossy coding and palettes; chroma of a quarter of the resolution bleeds round the bright patch
    assert difference(pixels, shrunk(appearance(GOOD[name].looks), 20)) < (5 if name == "jpeg 4:1:1" else 4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_decodes_like_one_taken_upright(orientation: int) -> None:
    upright_one = decode_image(jpeg(subsampling=0), SMALL, LIMITS)

    assert difference(decode_image(oriented_jpeg(orientation), SMALL, LIMITS), upright_one) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_pillow(orientation: int) -> None:
    square = scene(9, 9)
    image = Image.fromarray(square)
    image.getexif()[0x0112] = orientation
    with Image.open(BytesIO(saved(image, "PNG", exif=image.getexif()))) as stored:
        assert np.array_equal(upright(square, orientation), np.asarray(ImageOps.exif_transpose(stored)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_where_metadata_are_ignored_a_picture_stays_as_it_is_stored(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain, turned = (saved(Image.fromarray(scene()), kind, **options) for options in ({}, {"exif": exif}))
    as_stored = decode_image(plain, SMALL, LIMITS)

    assert np.array_equal(decode_image(turned, replace(SMALL, metadata="ignored"), LIMITS), as_stored)
    assert (difference(decode_image(turned, SMALL, LIMITS), as_stored) > 5) == (orientation > 1)


def test_black_and_white_becomes_grey_of_the_same_brightness() -> None:
    pixels = decode_image(GOOD["png 1 bit"].make(), SMALL, LIMITS)

    assert np.ptp(pixels.astype(int), axis=2).max() == 0
    assert abs(pixels.mean() - appearance("grey").mean()) < 8


def test_a_grey_profile_is_applied() -> None:
    plain, profiled = (
        decode_image(GOOD[name].make(), SMALL, LIMITS) for name in ("jpeg grey", "jpeg grey with a profile")
    )

    assert profiled.mean() > plain.mean() + 30


def test_a_cmyk_profile_is_applied() -> None:
    pixels = decode_image(GOOD["jpeg cmyk with a profile"].make(), SMALL, LIMITS)

    assert np.ptp(pixels.astype(int), axis=2).max() <= 4  # the profile's press prints no colour


@pytest.mark.parametrize(("size", "most"), [(64, 3.0), (224, 3.0)])
def test_decoding_at_a_smaller_scale_stays_close_to_pillows_full_decode(size: int, most: float) -> None:
    for data in photographs(3):
        scaled, full = (decode_image(data, PixelSpec(size, decode=how), LIMITS) for how in ("scaled", "full"))

        assert difference(scaled, reference(data, size)) < most
        assert difference(full, reference(data, size)) < most


@pytest.mark.parametrize("how", ["nearest", "bilinear"])
def test_filters_that_pillow_has_too_give_its_pixels(how: str) -> None:
    pixels = scene(100, 70)
    pillows = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR}[how]
    larger = Image.fromarray(pixels).resize((150, 150), pillows)  # shrinking bilinearly, Pillow antialiases

    assert difference(resize(pixels, PixelSpec(150, how)), np.asarray(larger)) < 0.5


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 5_000), (65_000, 1), (3, 4_001), (64, 64), (257, 255), (31, 90)]
)
@pytest.mark.parametrize("size", [1, 8, 64, 100])
def test_area_keeps_the_brightness_of_any_shape(height: int, width: int, size: int) -> None:
    ramp = np.linspace(20, 220, width).astype(np.uint8)
    pixels = np.repeat(np.tile(ramp, (height, 1))[:, :, np.newaxis], 3, axis=2)

    resized = resize(pixels, PixelSpec(size))

    assert resized.shape == (size, size, 3)
    assert abs(resized.mean() - pixels.mean()) < 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (2, 9)])
def test_tiny_and_very_long_images_decode(kind: str, shape: tuple[int, int]) -> None:
    pixels = decode_image(saved(Image.new("RGB", shape, (200, 100, 50)), kind), SMALL, LIMITS)

    assert difference(pixels, np.full((20, 20, 3), (200, 100, 50), np.uint8)) < 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1), (3, 9)])
def test_tiny_and_very_long_heics_decode(shape: tuple[int, int]) -> None:
    pixels = decode_image(heic(colours=Image.new("RGB", shape, (200, 100, 50))), SMALL, LIMITS)

    assert difference(pixels, np.full((20, 20, 3), (200, 100, 50), np.uint8)) < 4


def test_without_the_extra_a_heic_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.intake.formats.heic.load", lambda: None)

    with pytest.raises(ImageFault, match=r"image_unsupported: HEIC.*pip install 'scorer\[heic\]'"):
        decode_image(heic(), SMALL, LIMITS)


# The same pixels always


def test_pixels_are_those_of_the_golden_files() -> None:
    version, images = golden.load()

    assert version == PIXELS_VERSION, "raise one, and run python -m tests.intake.golden"
    changed = [name for name, kept in images.items() if golden.digests(kept.data) != kept.pixels]
    assert changed == [], "other pixels than before: raise PIXELS_VERSION, then python -m tests.intake.golden"


@pytest.mark.parametrize("name", ["jpeg arithmetic", "jpeg arithmetic progressive", "jpeg 4:1:0"])
def test_kept_jpegs_of_rare_coding_show_the_scene(name: str) -> None:
    pixels = decode_image(golden.load()[1][name].data, SMALL, LIMITS)

    assert difference(pixels, shrunk(scene(), 20)) < 5.5


def test_threads_get_the_same_pixels() -> None:
    files = [good.make() for good in GOOD.values()]
    alone = [decode_image(data, SMALL, LIMITS).tobytes() for data in files]
    different: list[int] = []

    def decode_all(seed: int) -> None:
        order = random.Random(seed).sample(range(len(files)), len(files))
        different.extend(i for i in order if decode_image(files[i], SMALL, LIMITS).tobytes() != alone[i])

    threads = [threading.Thread(target=decode_all, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert different == []


def test_inside_tf_data_the_pixels_are_the_same() -> None:
    tf = pytest.importorskip("tensorflow")
    files = [GOOD[name].make() for name in ("jpeg", "png rgba", "webp", "jpeg oriented 6", "jpeg with a profile")]

    def decode(data: bytes) -> Pixels:
        return decode_image(data, SMALL, LIMITS)

    chain = tf.data.Dataset.from_tensor_slices(files).map(
        lambda data: tf.numpy_function(decode, [data], tf.uint8), num_parallel_calls=2
    )

    for data, pixels in zip(files, chain.as_numpy_iterator(), strict=True):
        assert np.array_equal(pixels, decode_image(data, SMALL, LIMITS))


@pytest.mark.parametrize("name", ["jpeg", "jpeg grey", "jpeg oriented 5", "jpeg with a profile", "png", "webp rgba"])
def test_pixels_are_written_to_the_callers_memory(name: str) -> None:
    batch = np.zeros((3, 20, 20, 3), np.uint8)

    given_back = decode_image(GOOD[name].make(), SMALL, LIMITS, out=batch[1])

    assert np.shares_memory(given_back, batch)
    assert np.array_equal(batch[1], decode_image(GOOD[name].make(), SMALL, LIMITS))
    assert not batch[[0, 2]].any()


def test_a_later_image_does_not_change_the_pixels_of_an_earlier_one() -> None:
    first = decode_image(GOOD["jpeg"].make(), SMALL, LIMITS)
    before = first.copy()

    for good in GOOD.values():
        decode_image(good.make(), SMALL, LIMITS)

    assert np.array_equal(first, before)


# What is refused


@pytest.mark.parametrize("name", BROKEN)
def test_every_kind_of_broken_image_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(ImageFault) as refused:
        decode_image(BROKEN[name].make(), SMALL, LIMITS)

    assert refused.value.reason == BROKEN[name].reason
    assert refused.value.detail


def test_bytes_are_limited_before_anything_is_read() -> None:
    with pytest.raises(ImageFault, match="image_too_large: 1,000 bytes; the limit is 999"):
        decode_image(bytes(1_000), SMALL, ImageLimits(max_bytes=999))


def test_the_limit_of_pixels_is_the_settings_own() -> None:
    data = GOOD["png"].make()

    assert decode_image(data, SMALL, ImageLimits(max_pixels=WIDTH * HEIGHT)).any()
    with pytest.raises(
        ImageFault, match=f"PNG of {WIDTH} x {HEIGHT} pixels; the limit is {WIDTH * HEIGHT - 1:,} in all"
    ):
        decode_image(data, SMALL, ImageLimits(max_pixels=WIDTH * HEIGHT - 1))


def test_an_image_beyond_pillows_own_limit_is_decoded_without_a_warning() -> None:
    pixels = decode_image(saved(Image.new("1", (9_600, 9_600), 1), "BMP"), SMALL, LIMITS)

    assert pixels.min() == 255


def test_pillows_process_wide_switches_stay_as_they_are() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)

    for good in GOOD.values():
        decode_image(good.make(), SMALL, ImageLimits(truncated="use"))

    after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    assert after == before


@pytest.mark.parametrize("kind", ["jpeg", "jpeg progressive", "jpeg grey", "jpeg cmyk"])
def test_a_jpeg_that_breaks_off_may_be_used_as_far_as_it_goes(kind: str) -> None:
    whole = GOOD[kind].make()
    start = whole.index(b"\xff\xda")
    half = whole[: start + (len(whole) - start) * 4 // 5]

    with pytest.raises(ImageFault, match=f"JPEG breaks off in its image data: the file ends at byte {len(half):,}"):
        decode_image(half, SMALL, LIMITS)
    used = decode_image(half, SMALL, ImageLimits(truncated="use"))
    assert difference(used[:8], decode_image(whole, SMALL, LIMITS)[:8]) < 12  # progressive: coarse everywhere


def test_what_is_missing_of_a_used_jpeg_is_not_left_over_from_another_image() -> None:
    whole = GOOD["jpeg"].make()
    half = whole[: len(whole) * 4 // 5]
    use = ImageLimits(truncated="use")
    after_black, after_white = (
        (
            decode_image(saved(Image.new("RGB", (WIDTH, HEIGHT), colour), "JPEG"), SMALL, LIMITS),
            decode_image(half, SMALL, use),
        )
        for colour in ("black", "white")
    )

    assert np.array_equal(after_black[1], after_white[1])


@pytest.mark.parametrize("name", GOOD)
def test_a_file_cut_anywhere_decodes_or_is_refused(name: str) -> None:
    data = GOOD[name].make()

    for end in range(0, len(data), 97):
        for limits in (LIMITS, ImageLimits(truncated="use")):
            decode_or_refuse(data[:end], limits)


mutations = st.lists(
    st.tuples(st.integers(0, 1 << 16), st.sampled_from(["set", "insert", "delete", "repeat"]), st.binary(max_size=9)),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=FUZZ_EXAMPLES or 2_000,
    derandomize=not FUZZ_EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(name=st.sampled_from(sorted(SAMPLES := {name: good.make() for name, good in GOOD.items()})), changes=mutations)
def test_any_damage_is_decoded_or_refused_but_never_raises_anything_else(
    name: str, changes: list[tuple[int, str, bytes]]
) -> None:
    data = SAMPLES[name]
    for place, how, patch in changes:
        at = place % (len(data) + 1)
        length = {"set": len(patch), "insert": 0, "delete": len(patch) * 8, "repeat": 0}[how]
        put = {"set": patch, "insert": patch, "delete": b"", "repeat": data[at : at + 64]}[how]
        data = data[:at] + put + data[at + length :]

    decode_or_refuse(data, ImageLimits(max_pixels=1_000_000))


def decode_or_refuse(data: bytes, limits: ImageLimits) -> None:
    try:
        pixels = decode_image(data, SMALL, limits)
    except ImageFault as fault:
        known = fault.reason in {"image_too_many_pixels", "image_corrupt", "image_unsupported"} and fault.detail != ""
    else:
        known = pixels.shape == (20, 20, 3)
    assert known


# The spec


def test_a_spec_survives_the_bundle() -> None:
    spec = PixelSpec(224, "bilinear", "full", "-1..1")

    assert PixelSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"size": 64, "filter": "lanczos"}, "filter is 'lanczos'; known: area, bilinear, nearest"),
        ({"size": 0}, "size is 0; it must be at least 1 pixel"),
        ({"size": 64, "crop": "centre"}, "unexpected keyword argument 'crop'"),
    ],
)
def test_a_spec_of_another_version_is_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(BundleError, match=told):
        PixelSpec.from_dict(values)


def test_opencv_starts_no_threads_of_its_own() -> None:
    assert cv2.getNumThreads() == 1
