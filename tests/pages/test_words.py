"""Data becomes words on a page, and nothing but words."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from scorer.pages.words import UNSEEN, count, data, duration, number, plural, share, visible


@given(st.text(max_size=60))
def test_whatever_the_text_nothing_in_it_is_hidden_and_no_letter_gets_lost(text: str) -> None:
    shown = visible(text, 200)
    assert not {unicodedata.category(letter) for letter in shown} & UNSEEN
    shown.encode()  # half a surrogate pair would not go into any file
    letters = [letter for letter in text if unicodedata.category(letter) not in UNSEEN]
    if "@" not in text and "=" not in text:
        assert len(shown) >= len(letters)


@pytest.mark.parametrize("letter", ["\u202e", "\u2066", "\u200f", "\u200b", "\x00", "\x1b", "\u2028", "\ud800"])
def test_what_would_hide_or_turn_around_its_neighbours_is_written_as_its_code(letter: str) -> None:
    assert visible(f"home{letter}1") == f"home[U+{ord(letter):04X}]1"


def test_an_endless_text_is_cut_and_says_how_long_it_was() -> None:
    shown = visible("A" * 10_000)
    assert shown == "A" * 120 + "… (10,000 characters)"


@pytest.mark.parametrize("piece", ["?key", "&token", "?", "://", "://a@", "?keytokensecret"])
def test_no_text_takes_long_to_look_through(piece: str) -> None:
    """A search that tries every beginning with every end would take hours for this; the tests' time is limited."""
    assert visible(piece * 100_000).endswith("characters)")


def test_markup_in_data_is_text() -> None:
    shown = data("</script><img src=x onerror=alert(1)>")
    assert isinstance(shown, Markup)
    assert shown == "<bdi>&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;</bdi>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:secret@host/path", "https://…@host/path"),
        ("s3://bucket/key@2x.png", "s3://bucket/key@2x.png"),
        ("https://host/a?X-Amz-Signature=abc&b=1", "https://host/a?X-Amz-Signature=…&b=1"),
        ("https://host/a?page=2&api_token=xyz", "https://host/a?page=2&api_token=…"),
    ],
)
def test_what_opens_doors_is_not_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 100_000, "< 0.1 %"),
        (99_999, 100_000, "> 99.9 %"),
        (1, 3, "33.3 %"),
        (0, 0, "–"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.12345, "0.1235"),
        (3.14159, "3.14"),
        (412.04, "412"),
        (691_381.2, "691,381"),
        (-2500.0, "-2,500"),
        (1e-9, "1e-09"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_has_as_many_digits_as_its_size_deserves(value: float | None, text: str) -> None:
    assert number(value) == text


def test_counts_and_times_are_written_as_people_read_them() -> None:
    assert count(1_234_567) == "1,234,567"
    assert [duration(seconds) for seconds in (4.21, 200, 7500)] == ["4.2 s", "3 min 20 s", "2 h 5 min"]
    assert [plural(1, "listing"), plural(2, "listing")] == ["1 listing", "2 listings"]
