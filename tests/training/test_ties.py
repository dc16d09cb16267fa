"""Which listings belong together, by what, and what a split by row would have given away."""

import json
from collections import Counter
from datetime import date
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorer.errors import ContractError
from scorer.training.images import ImageCache
from scorer.training.lookalikes import SIDE
from scorer.training.split import Rows
from scorer.training.ties import LOOKALIKE, SAME_ID, SAME_IMAGE, Ties, find_ties, moments, tie

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 255, (5, SIDE, SIDE, 3)).astype(np.uint8)
PIXELS[4] = np.clip(PIXELS[0].astype(int) + 1, 0, 255)


def grouped(**changes: Any) -> tuple[Rows, Ties]:
    """Seven listings: 0 and 1 share a file under two names, 2 and 3 an id, 0 and 4 a look, 5 and 6 an agency."""
    uris = ["a.png", "copy of a.png", "b.png", "c.png", "d.png", "a, brighter.png", "gone.png"]
    table = pa.table(
        {"listing_id": ["A", "B", "C", "C", "E", "F", "G"], "agency": ["x", None, None, "y", None, "z", "z"]}
    )
    given = np.array([[0, -1], [2, 1], [3, -1], [-1, -1], [5, 5], [4, -1], [6, -1]], np.int32)
    slots = {"a.png": 0, "copy of a.png": 0, "b.png": 1, "c.png": 2, "d.png": 3, "a, brighter.png": 4}
    digests = {uri: f"digest {slot}" for uri, slot in slots.items()}
    settings: dict[str, Any] = {"group": "agency", "lookalikes": True, "test_share": 0.3} | changes
    return find_ties(table, given, uris, ImageCache(PIXELS, slots, digests, Counter()), **settings)


def found(**changes: Any) -> Ties:
    return grouped(**changes)[1]


def test_listings_that_share_a_file_an_id_a_look_or_a_value_are_one_group() -> None:
    assert grouped()[0].tolist() == [0, 0, 2, 2, 0, 5, 5]


def test_each_cause_is_accounted_for_by_itself() -> None:
    by_cause = {one.cause: (one.rows, one.groups, one.largest) for one in found().causes}
    assert by_cause == {SAME_ID: (2, 1, 2), SAME_IMAGE: (2, 1, 2), LOOKALIKE: (3, 1, 3), "agency": (2, 1, 2)}
    assert (found().all.rows, found().all.groups, found().all.largest) == (7, 3, 3)


def test_looks_and_the_users_column_count_only_if_they_are_asked_for() -> None:
    assert grouped(lookalikes=False, group=None)[0].tolist() == [0, 0, 2, 2, 4, 5, 6]


def test_the_same_look_twice_within_one_listing_ties_it_to_nobody() -> None:
    _, ties = tie({LOOKALIKE: [[7], [], [8]]}, 0.3)
    assert ties.all.rows == 0
    assert ties.text == "No two of 3 listings share an id, image or group: a split by row would leak nothing."


def test_the_report_says_in_words_what_would_have_leaked() -> None:
    text = found().text
    assert text.startswith("Of 7 listings 2 have their listing_id in common with another row; 2 share an image file")
    assert "2 share their 'agency'" in text
    assert "(3 groups, the largest of 3)" in text
    assert f"by a random split {100 * found().all.leaked:.1f} % of the test listings" in text


def test_the_share_that_would_have_leaked_is_what_all_splits_by_row_give_on_average() -> None:
    keys: list[list[Any]] = [["a"], ["a"], ["b"], ["b"], ["b"], [], []]
    groups, shares = [0, 0, 1, 1, 1, 2, 3], []
    for test in combinations(range(7), 3):
        rest = {groups[row] for row in range(7) if row not in test}
        shares.append(sum(groups[row] in rest for row in test) / 3)
    assert tie({SAME_IMAGE: keys}, 3 / 7)[1].all.leaked == pytest.approx(np.mean(shares))


def test_it_all_is_plain_json() -> None:
    plain = found().to_plain()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["groups"] == 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([date(2026, 11, 2), date(2026, 11, 1), None, date(2026, 11, 2)], [1, 0, -1, 1]),
        (["2026-11-02", "2026-11-01", None, "2026-12-01"], [1, 0, -1, 2]),
        ([5, -3, 5], [1, 0, 1]),
        (["10", "9", "12", None], [1, 0, 2, -1]),
        (["20261101", "20261102"], [0, 1]),
        ([0.5, 0.25], [1, 0]),
        ([0.5, float("nan"), None, 0.25], [1, -1, -1, 0]),
    ],
)
def test_moments_ascend_with_time_and_what_has_none_is_the_oldest(values: list[Any], expected: list[int]) -> None:
    assert moments(pa.table({"listed_on": values}), "listed_on").tolist() == expected


def test_a_column_without_an_order_of_time_is_refused() -> None:
    with pytest.raises(ContractError, match=r"time_column: 'sold' is bool; expected a date"):
        moments(pa.table({"sold": [True]}), "sold")
