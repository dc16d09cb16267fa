import numpy as np
import pytest

from scorer.intake.formats import colour
from tests.images import black_only_profile, linear_grey_profile, scene, srgb_profile, swapping_profile

SQUARE = scene(8, 8)


def test_srgb_under_whatever_name_leaves_the_very_same_pixels() -> None:
    renamed = srgb_profile().replace("sRGB".encode("utf-16-be"), "Mine".encode("utf-16-be"))

    assert renamed != srgb_profile()
    assert colour.to_srgb(SQUARE, "RGB", renamed) is SQUARE


def test_a_profile_is_applied() -> None:
    swapped = colour.to_srgb(SQUARE, "RGB", swapping_profile())

    assert np.abs(swapped.astype(int) - SQUARE[:, :, ::-1]).max() <= 3


@pytest.mark.parametrize(
    "unusable",
    [b"x", bytes(500), swapping_profile()[:300], linear_grey_profile(), black_only_profile(), bytes(3 << 20)],
)
def test_a_profile_that_is_broken_of_other_colours_or_too_large_is_ignored(unusable: bytes) -> None:
    assert colour.to_srgb(SQUARE, "RGB", unusable) is SQUARE


def test_ink_without_a_profile_darkens_what_black_leaves() -> None:
    ink = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 128, 255, 0], [0, 0, 0, 255], [128, 128, 128, 128]]], np.uint8)

    light = colour.to_srgb(ink, "CMYK", b"")

    assert light.tolist() == [[[255, 255, 255], [0, 255, 255], [255, 127, 0], [0, 0, 0], [63, 63, 63]]]


def test_the_profiles_kept_are_few_however_many_arrive() -> None:
    for number in range(100):
        colour.to_srgb(SQUARE, "RGB", swapping_profile() + bytes([number]))

    assert colour._transform.cache_info().currsize <= 32
