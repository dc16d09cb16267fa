import struct

import pytest

from scorer.intake.formats import exif
from tests.images import exif as block

TIFF = slice(6, None)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_in_both_byte_orders(value: int, order: str) -> None:
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]

    assert exif.orientation(start + struct.pack(f"{order}IHHHIHH", 8, 1, 0x0112, 3, 1, value, 0)) == value


def test_the_tag_is_found_among_others_and_not_inside_their_values() -> None:
    decoy = struct.pack("<HHI", 0x0112, 3, 1)
    entries = struct.pack("<HHI", 0x010F, 2, 4) + decoy[:4] + decoy[4:] + bytes(4) + struct.pack("<HH", 0, 0)
    misplaced = b"II*\0" + struct.pack("<IH", 8, 2) + entries

    assert exif.orientation(misplaced) == 1
    assert exif.orientation(block(7)[TIFF]) == 7


@pytest.mark.parametrize("value", [0, 9, 0xFFFF])
def test_an_orientation_out_of_range_counts_as_upright(value: int) -> None:
    assert exif.orientation(block(value)[TIFF]) == 1


def test_a_block_cut_anywhere_counts_as_upright_or_tells_its_orientation() -> None:
    whole = block(6)[TIFF]

    assert {exif.orientation(whole[:end]) for end in range(len(whole))} <= {1, 6}


@pytest.mark.parametrize(
    "damaged", [b"", b"II", b"XX*\0" + bytes(30), b"II*\0\xff\xff\xff\x7f\x01\0", b"II*\0\x08\0\0\0\xff\xff"]
)
def test_a_damaged_block_counts_as_upright(damaged: bytes) -> None:
    assert exif.orientation(damaged) == 1
