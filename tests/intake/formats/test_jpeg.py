import struct

import pytest

from scorer.errors import ImageFault
from scorer.intake.formats import jpeg
from scorer.intake.formats.raster import Wanted
from tests.images import GOOD, WIDTH, photographs, spliced_jpeg, swapping_profile
from tests.images import jpeg as file


@pytest.mark.parametrize(
    ("side", "size"), [(60, (60, 90)), (61, (120, 180)), (121, (240, 360)), (241, (480, 720)), (0, (480, 720))]
)
def test_the_smallest_power_of_two_that_suffices_both_ways_is_decoded(side: int, size: tuple[int, int]) -> None:
    (data,) = photographs(1)

    raster = jpeg.decode(data, jpeg.probe(data), Wanted(side))

    assert raster.pixels.shape == (*size, 3)


def test_the_colours_are_those_that_the_file_stores() -> None:
    modes = {
        name: jpeg.decode(d, jpeg.probe(d), Wanted(0)).mode
        for name in GOOD
        if (d := GOOD[name].make())[:2] == b"\xff\xd8"
    }

    assert {modes["jpeg grey"], modes["jpeg cmyk"], modes["jpeg ycck"], modes["jpeg"]} == {"L", "CMYK", "RGB"}


def test_a_profile_in_several_pieces_is_put_together_by_their_numbers() -> None:
    profile = swapping_profile()
    pieces = [(2, profile[200:]), (1, profile[:200])]
    segments = [b"ICC_PROFILE\0" + bytes([number, 2]) + piece for number, piece in pieces]

    data = spliced_jpeg(b"".join(b"\xff\xe2" + struct.pack(">H", len(s) + 2) + s for s in segments))

    assert jpeg.probe(data).profile == profile


def test_a_profile_with_a_missing_piece_counts_as_none() -> None:
    segment = b"ICC_PROFILE\0\x01\x02" + swapping_profile()

    assert jpeg.probe(spliced_jpeg(b"\xff\xe2" + struct.pack(">H", len(segment) + 2) + segment)).profile == b""


@pytest.mark.parametrize("larger_first", [True, False])
def test_a_second_frame_header_cannot_smuggle_in_a_larger_image(larger_first: bool) -> None:
    data = file()
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 19]
    larger = frame[:5] + struct.pack(">HH", 8 * WIDTH, 8 * WIDTH) + frame[9:]
    two = data[:at] + (larger + frame if larger_first else frame + larger) + data[at + 19 :]

    header = jpeg.probe(two)

    assert header.width == (8 * WIDTH if larger_first else WIDTH)
    with pytest.raises(ImageFault):
        jpeg.decode(two, header, Wanted(0))


def test_a_thumbnail_is_not_taken_for_the_end_of_the_image() -> None:
    thumbnail = b"Exif\0\0" + bytes(20) + file()
    data = spliced_jpeg(b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail)
    cut = data[: len(data) - 60]

    assert jpeg.probe(data).width == WIDTH
    with pytest.raises(ImageFault, match=f"JPEG breaks off in its image data: the file ends at byte {len(cut):,}"):
        jpeg.decode(cut, jpeg.probe(cut), Wanted(0))
