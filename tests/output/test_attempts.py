"""Who starts again knows which units were begun and not finished, and how often."""

from collections import Counter

from scorer.objectstore import join
from scorer.output.attempts import Attempts
from tests.output.versions import STORE


def attempts(root: str, start: str) -> Attempts:
    return Attempts(join(root, "attempts"), start, STORE)


def test_what_a_killed_start_had_in_hand_counts_and_what_it_had_finished_is_forgotten_at_its_next_unit(
    root: str,
) -> None:
    first = attempts(root, "a")
    for unit in ("u1", "u2"):
        first.begin(unit)
    first.finish("u1")
    first.begin("u3")
    assert attempts(root, "b").unfinished() == Counter({"u2": 1, "u3": 1})


def test_attempts_of_all_starts_add_up(root: str) -> None:
    for start in ("a", "b"):
        attempts(root, start).begin("u1")
    third = attempts(root, "c")
    third.begin("u1")
    assert third.unfinished() == Counter({"u1": 2}), "its own is in hand, not lost"
    third.give_up("u1")
    third.begin("u1")
    assert attempts(root, "d").unfinished() == Counter({"u1": 4})


def test_what_is_dropped_on_a_signal_does_not_count(root: str) -> None:
    first = attempts(root, "a")
    first.begin("u1")
    first.give_up("u1")
    first.begin("u1")
    first.begin("u2")
    first.forgive()
    first.begin("u3")  # by a thread that reads ahead and has not heard yet
    assert attempts(root, "b").unfinished() == Counter({"u1": 1})
