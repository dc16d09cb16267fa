"""How many images are asked for ahead of the model, and how many at a time."""

from hypothesis import given
from hypothesis import strategies as st

from scorer.intake.batches import requests_ahead, requests_at_once
from scorer.settings import Speed


@given(batch=st.integers(1, 4096), concurrency=st.integers(1, 1024), buffered=st.integers(1, 64))
def test_every_connection_has_work_when_more_is_asked_for(batch: int, concurrency: int, buffered: int) -> None:
    speed = Speed(fetch_concurrency=concurrency, buffered_batches=buffered)
    at_once, ahead = requests_at_once(speed, batch), requests_ahead(speed, batch)
    assert 1 <= at_once <= ahead
    assert (ahead + 1 - at_once) * batch >= concurrency


@given(concurrency=st.integers(1, 1024), buffered=st.integers(1, 64))
def test_large_batches_are_fetched_ahead_by_the_number_that_was_set(concurrency: int, buffered: int) -> None:
    speed = Speed(fetch_concurrency=concurrency, buffered_batches=buffered)
    assert requests_ahead(speed, 4 * concurrency) == buffered
    assert requests_at_once(speed, 4 * concurrency) == 1


def test_images_of_small_batches_are_asked_for_together() -> None:
    assert requests_at_once(Speed(fetch_concurrency=32), 16) * 16 == 64
