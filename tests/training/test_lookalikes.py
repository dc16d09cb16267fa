"""Pictures of the same, however they were saved; and nothing else, however many there are."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from scorer.training.lookalikes import MOST_BITS, find_lookalikes, near_pairs
from tests import images

Picture = npt.NDArray[np.uint8]

SIDE = 64
PHOTOS: list[Picture] = [
    simplejpeg.decode_jpeg(data, colorspace="RGB") for data in images.photographs(30, width=180, height=120, seed=5)
]


def squares(pictures: list[Picture]) -> Picture:
    return np.stack([cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in pictures]).astype(np.uint8)


def recompressed(picture: Picture) -> Picture:
    _, file = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)


def marked(picture: Picture) -> Picture:
    return np.asarray(cv2.putText(picture.copy(), "agency", (60, 110), 0, 0.5, (255, 255, 255), 1), np.uint8)


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "halved": lambda one: np.asarray(cv2.resize(one, (90, 60), interpolation=cv2.INTER_LINEAR), np.uint8),
    "recompressed": recompressed,
    "brightened": lambda one: np.clip(one * 1.1 + 8, 0, 255).astype(np.uint8),
    "marked": marked,
    "cropped by 1 %": lambda one: one[1:-1, 1:-1],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_that_was_changed_a_little_is_known_again(change: str) -> None:
    pixels = squares(PHOTOS + [CHANGES[change](one) for one in PHOTOS[:10]])
    found = find_lookalikes(pixels, np.arange(len(pixels)))
    assert found == {slot: slot % 30 for slot in [*range(10), *range(30, 40)]}


def test_different_pictures_are_not_taken_for_the_same() -> None:
    assert find_lookalikes(squares(PHOTOS), np.arange(30)) == {}


def test_only_the_slots_that_are_asked_for_are_compared() -> None:
    pixels = squares([PHOTOS[0], PHOTOS[1], PHOTOS[0], PHOTOS[0]])
    assert find_lookalikes(pixels, np.array([0, 1, 3])) == {0: 0, 3: 0}


def test_images_that_show_nothing_tie_nobody_together() -> None:
    """An empty placeholder: white, or grey with a hint of noise."""
    noise = np.random.default_rng(0).integers(126, 130, (SIDE, SIDE, 3))
    assert find_lookalikes(np.stack([np.full((SIDE, SIDE, 3), 255), noise, noise]).astype(np.uint8), np.arange(3)) == {}


def test_pictures_whose_gradients_agree_by_chance_are_told_apart_by_their_greys() -> None:
    """The same steps from pixel to pixel, but one is nearly even and the other ends in a white half."""
    steps = np.tile(np.linspace(40, 90, SIDE), (SIDE, 1))
    jump = np.where(np.arange(SIDE) < SIDE * 0.9, steps / 8, steps / 8 + 200)
    pixels = np.repeat(np.stack([steps, jump])[..., None], 3, axis=3).astype(np.uint8)
    assert find_lookalikes(pixels, np.arange(2)) == {}


hashes = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12)


@given(hashes, st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=7)), max_size=12))
def test_every_pair_of_near_hashes_is_found_and_no_other(made: list[int], changes: list[tuple[int, set[int]]]) -> None:
    for which, bits in changes:
        made.append(made[which % len(made)] ^ sum(1 << bit for bit in bits))
    values = np.array(made, np.uint64)
    found = {tuple(pair) for pair in near_pairs(values).tolist()}
    first = {value: made.index(value) for value in made}
    expected = {
        (one, other)
        for one in range(len(made))
        for other in range(one + 1, len(made))
        if (made[one] != made[other] and first[made[one]] == one and first[made[other]] == other)
        and (made[one] ^ made[other]).bit_count() <= MOST_BITS
    }
    assert found == expected | {(first[value], place) for place, value in enumerate(made) if first[value] != place}


def test_a_motif_that_fills_a_bucket_costs_no_more_than_its_neighbours() -> None:
    """Two thousand hashes that agree in seven bytes; all pairs would be two million."""
    values = (np.uint64(7) << np.uint64(56)) + np.arange(2_000, dtype=np.uint64) * np.uint64(257 * 255)
    assert 0 < len(near_pairs(values)) < 56 * 50 * 2_000
