import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from scorer.errors import ImageFault
from scorer.intake.formats import png
from scorer.intake.formats.raster import Wanted
from tests.images import HEIGHT, WIDTH, chunk, exif, saved, scene, swapping_profile
from tests.images import png as written


def pixels(data: bytes) -> np.ndarray:
    return png.decode(data, png.probe(data), Wanted(0)).pixels


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_clear_grey_value_becomes_white_at_every_depth(depth: int) -> None:
    steps = 2**depth
    values = np.tile((np.arange(8) % steps).astype(np.uint8), (4, 1))
    rows = b"".join(b"\0" + _packed(row, depth) for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 4, depth, 0, 0, 0, 0))
    clear = chunk(b"tRNS", b"\0\0")  # black
    data = png.SIGNATURE + header + clear + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

    expected = values * (255 // (steps - 1))
    expected[values == 0] = 255
    assert np.array_equal(pixels(data), expected)


def _packed(row: np.ndarray, depth: int) -> bytes:
    bits = "".join(f"{value:0{depth}b}" for value in row)
    return int(bits, 2).to_bytes(len(bits) // 8)


def test_a_profile_that_unfolds_beyond_the_limit_is_ignored() -> None:
    bomb = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(64 << 20), 9))

    assert png.probe(written(scene(), 2, extra=bomb * 20)).profile == b""


def test_of_several_profiles_and_orientations_the_first_counts() -> None:
    profiles = [chunk(b"iCCP", b"x\0\0" + zlib.compress(icc)) for icc in (swapping_profile(), b"another")]
    turns = [chunk(b"eXIf", exif(turn)[6:]) for turn in (6, 3)]

    header = png.probe(written(scene(), 2, extra=b"".join(profiles + turns)))

    assert (header.profile, header.orientation) == (swapping_profile(), 6)


def test_a_second_header_changes_neither_the_size_nor_what_is_decoded() -> None:
    larger = chunk(b"IHDR", struct.pack(">IIBBBBB", 9_000, 9_000, 8, 2, 0, 0, 0))
    data = written(scene(), 2, extra=larger)

    header = png.probe(data)

    assert (header.width, header.height) == (WIDTH, HEIGHT)
    with pytest.raises(ImageFault):
        png.decode(data, header, Wanted(0))


def test_a_damaged_chunk_is_named_with_its_place() -> None:
    data = saved(Image.fromarray(scene()), "PNG")
    at = data.index(b"IDAT")

    with pytest.raises(ImageFault, match=f"PNG whose chunk b'IDAT' at byte {at - 4} fails its checksum"):
        png.probe(data[: at + 20] + b"!" + data[at + 21 :])


def test_damage_in_a_chunk_that_is_no_part_of_the_picture_does_no_harm() -> None:
    text = chunk(b"tEXt", b"Comment\0hello")[:-1] + b"?"

    assert np.array_equal(pixels(written(scene(), 2, extra=text)), scene())
