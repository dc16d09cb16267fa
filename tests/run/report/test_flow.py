"""The flow picture: what comes in comes out, and is drawn as wide as it is."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.output.tally import Tally
from scorer.run.report.accounts import images_flow, rows_flow
from scorer.run.report.flow import MOST_SPLITS, THINNEST, Leaf, Why, flow, split

COUNTS = st.lists(st.integers(0, 10**7), min_size=1, max_size=12).filter(sum)


@given(COUNTS)
def test_bands_add_up_to_what_came_in_and_are_as_high_as_their_share(counts: list[int]) -> None:
    drawn = flow("rows", sum(counts), [Leaf("scored", count) for count in counts])
    assert sum(band.leaf.count for band in drawn.bands) == drawn.total == sum(counts)
    thick = [band for band in drawn.bands if band.height > THINNEST]
    for one, other in pairwise(thick):
        assert one.height * other.leaf.count == pytest.approx(other.height * one.leaf.count)


@given(COUNTS)
def test_no_band_lies_on_another_and_each_lies_beside_its_label(counts: list[int]) -> None:
    drawn = flow("rows", sum(counts), [Leaf("scored", count) for count in counts])
    at, left = 0.0, drawn.top
    for band in drawn.bands:
        assert band.left == pytest.approx(left)
        assert at <= band.right
        assert band.right + band.height <= at + band.slot
        at, left = at + band.slot, left + band.height
    assert drawn.height == pytest.approx(at)


@pytest.mark.parametrize("counts", [(9, 2), (9,), (), (11, -1)])
def test_a_picture_that_does_not_add_up_is_not_drawn(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="10 came in, but"):
        flow("rows", 10, [Leaf("scored", count) for count in counts])


def test_the_rarest_reasons_are_put_together_and_none_is_lost() -> None:
    reasons: dict[Why, int] = {(f"reason_{number}",): 1 + number for number in range(10)}
    leaves = split("degraded", 55, reasons)
    assert sum(leaf.count for leaf in leaves) == 55
    assert len(leaves) == MOST_SPLITS + 1
    assert leaves[0].why == ("reason_9",)
    assert leaves[-1] == Leaf("degraded", 1 + 2 + 3 + 4, ("other reasons",))


def test_reasons_that_do_not_add_up_to_their_rows_leave_one_band() -> None:
    assert split("degraded", 5, {("no_images",): 4}) == [Leaf("degraded", 5)]


def test_rows_with_several_reasons_are_one_band_of_their_own() -> None:
    counts = Tally(
        rows_in=10,
        scored=6,
        degraded=3,
        quarantined=1,
        quarantine_reasons={"id_missing": 1},
        reasons={"no_images": 3, "feature_missing": 1},
    )
    drawn = rows_flow(counts, {"degraded": {("no_images",): 2, ("feature_missing", "no_images"): 1}})
    assert [(band.leaf.outcome, band.leaf.count, band.leaf.why) for band in drawn.bands] == [
        ("scored", 6, ()),
        ("degraded", 2, ("no_images",)),
        ("degraded", 1, ("feature_missing", "no_images")),
        ("quarantined", 1, ("id_missing",)),
    ]


def test_images_end_as_used_or_in_one_reason() -> None:
    drawn = images_flow(Tally(images_read=20, faults={"image_corrupt": 2, "image_not_found": 1}))
    assert drawn is not None
    assert [(band.leaf.count, band.leaf.why) for band in drawn.bands] == [
        (17, ()),
        (2, ("image_corrupt",)),
        (1, ("image_not_found",)),
    ]
    assert images_flow(Tally()) is None
