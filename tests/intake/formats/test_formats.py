"""The contract of every format in FORMATS. A new format joins by its line there and its sample in tests/images.py."""

import numpy as np
import pytest

from scorer.errors import ImageFault
from scorer.intake import formats
from scorer.intake.formats import FORMATS
from scorer.intake.formats.raster import Wanted
from tests.images import GOOD, HEIGHT, WIDTH, announcing

SAMPLES = {name: next(good.make() for good in GOOD.values() if good.format == name) for name in FORMATS}

each_format = pytest.mark.parametrize("name", FORMATS)


@each_format
def test_a_format_recognises_its_own_files_and_no_other(name: str) -> None:
    assert [other for other, data in SAMPLES.items() if FORMATS[name].recognise(data)] == [name]


@each_format
def test_a_format_is_found_by_content(name: str) -> None:
    assert formats.recognise(SAMPLES[name]) == (name, FORMATS[name])


@each_format
def test_the_header_tells_the_size(name: str) -> None:
    header = FORMATS[name].probe(SAMPLES[name])

    coded = (64, 64) if name == "HEIC" else (WIDTH, HEIGHT)  # x265 codes squares of 64, of which the file shows a part
    assert (header.width, header.height, header.orientation, header.profile) == (*coded, 1, b"")


@each_format
@pytest.mark.parametrize("side", [0, 5, 20, WIDTH, 4 * WIDTH])
def test_the_raster_has_at_least_the_pixels_that_are_wanted(name: str, side: int) -> None:
    header = FORMATS[name].probe(SAMPLES[name])

    pixels = FORMATS[name].decode(SAMPLES[name], header, Wanted(side)).pixels

    least = min(side, HEIGHT) or HEIGHT
    assert pixels.shape[0] >= least
    assert pixels.shape[1] >= least
    assert abs(pixels.shape[1] / pixels.shape[0] - WIDTH / HEIGHT) < 0.1
    if not side:
        assert pixels.shape[:2] == (HEIGHT, WIDTH)


@each_format
def test_the_header_of_a_small_file_may_announce_gigapixels(name: str) -> None:
    """A file of 3 gigapixels passes the probe at once, so that its size can be judged first."""
    header = FORMATS[name].probe(announcing(name, 60_000, 50_000))

    bits = 0x3FFF if name == "WebP" else 0xFFFF  # WebP has 14 bits a side
    assert (header.width, header.height) == (60_000 & bits, 50_000 & bits)


@each_format
def test_a_truncated_file_is_refused_wherever_it_breaks_off(name: str) -> None:
    data = SAMPLES[name]
    complete = len(data) - (2 if name == "GIF" else 0)  # a GIF's last bytes only say that no block and frame follow

    for end in {*range(4, complete, 13), complete - 1}:
        with pytest.raises(ImageFault):
            _decode(data[:end])


@each_format
def test_garbage_behind_the_signature_is_refused(name: str) -> None:
    noise = np.random.default_rng(1).bytes(3_000)

    with pytest.raises(ImageFault) as refused:
        _decode(SAMPLES[name][:16] + noise)
    assert refused.value.reason in {"image_corrupt", "image_unsupported"}


def test_a_file_of_no_known_format_is_described() -> None:
    with pytest.raises(ImageFault, match=r"a film, none of JPEG, PNG, WebP, GIF, BMP, AVIF, HEIC; begins with"):
        formats.recognise(b"\0\0\0\x18ftypisom" + bytes(20))


def _decode(data: bytes) -> None:
    """As decode_image does it: whatever a decoder raises counts as corrupt."""
    _name, fmt = formats.recognise(data)
    try:
        fmt.decode(data, fmt.probe(data), Wanted(0))
    except ImageFault:
        raise
    except Exception as error:
        raise ImageFault("image_corrupt", repr(error)) from error
