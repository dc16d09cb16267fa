"""How many units a worker of a cluster holds at a time."""

from hypothesis import given
from hypothesis import strategies as st

from scorer.intake.partitions import Unit
from scorer.run.engines.ray.errand import Handed
from scorer.run.engines.ray.hands import AT_LEAST, Hands
from scorer.settings import Speed

ONE_CORE = Speed(decode_threads=1, buffered_batches=3, fetch_concurrency=32)


def unit(rows: int) -> Handed:
    """Nobody asked about its images: one a row is assumed."""
    return Handed(Unit("unit", "file.parquet", "etag", 0, rows), False, None)


def filled(hands: Hands, rows: int) -> int:
    held = [unit(rows)]
    while not hands.full(held):
        held.append(unit(rows))
    return len(held)


def test_two_units_of_the_usual_size_are_enough() -> None:
    assert filled(Hands.of(ONE_CORE, batch_images=256), rows=4096) == 2


@given(
    rows=st.lists(st.integers(1, 10_000), min_size=1, max_size=200),
    batch=st.integers(1, 1024),
    threads=st.integers(1, 64),
)
def test_behind_the_unit_in_the_works_lies_more_than_the_pipeline_takes_in(
    rows: list[int], batch: int, threads: int
) -> None:
    speed = ONE_CORE.model_copy(update={"decode_threads": threads})
    hands, held = Hands.of(speed, batch), [unit(count) for count in rows]
    behind = sum(-(-count // batch) for count in rows[1:])
    assert hands.full(held) == (len(held) >= AT_LEAST and behind > hands.swallowed)


def test_no_more_than_that_is_held_for_it_would_be_missing_elsewhere_at_the_end() -> None:
    hands = Hands.of(ONE_CORE, batch_images=64)
    assert filled(hands, rows=4) == 1 + hands.swallowed + 1
    assert filled(hands, rows=1024) == 2
    assert filled(hands, rows=256) == 4


def test_a_unit_without_images_takes_its_turn_in_the_pipeline_as_well() -> None:
    hands = Hands.of(ONE_CORE, batch_images=64)
    assert filled(hands, rows=0) == filled(hands, rows=1)
