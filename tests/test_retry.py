"""Patience with a store: back-off, one budget for the whole run, fewer requests when it throttles."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from scorer.errors import CredentialsRefused, NotFound, StoreUnreachable, Throttled
from scorer.objectstore import retry
from scorer.objectstore.retry import Limiter, Patience


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that would have been, without waiting."""
    made: list[float] = []
    monkeypatch.setattr("scorer.objectstore.retry.time.sleep", made.append)
    return made


def failing(times: int, error: Exception | None = None) -> "Failing":
    return Failing(times, error or StoreUnreachable("not now"))


class Failing:
    """A request that fails so many times, then succeeds."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


def test_a_transient_failure_is_tried_again_after_growing_waits(waits: list[float]) -> None:
    assert Patience(first_wait_s=1.0).call(failing(5)) == "done"
    assert len(waits) == 5
    assert all(0 <= wait <= min(retry.LONGEST_WAIT_S, 2.0**number) for number, wait in enumerate(waits))


def test_what_is_wrong_for_good_is_never_tried_again(waits: list[float]) -> None:
    for error in (NotFound("gone"), CredentialsRefused("expired")):
        request = failing(1, error)
        with pytest.raises(type(error)):
            Patience().call(request)
        assert (request.calls, waits) == (1, [])


def test_attempts_end(waits: list[float]) -> None:
    request = failing(100)
    with pytest.raises(StoreUnreachable, match="not now"):
        Patience(attempts=4).call(request)
    assert request.calls == 4


def test_the_budget_is_of_the_whole_process_and_successes_fill_it_again(waits: list[float]) -> None:
    patience = Patience(attempts=3, budget=20)
    for _ in range(2):
        with pytest.raises(StoreUnreachable):
            patience.call(failing(3))
    assert patience.retries == 4
    request = failing(3)
    with pytest.raises(StoreUnreachable):
        patience.call(request)
    assert request.calls == 1, "the budget is used up: no retry"
    for _ in range(5):
        patience.call(failing(0))
    assert patience.call(failing(1)) == "done"


def test_one_failure_in_six_can_be_borne_for_ever(waits: list[float]) -> None:
    patience = Patience(budget=50)
    for _ in range(500):
        for _ in range(4):
            patience.call(failing(0))
        patience.call(failing(1))


def test_throttling_halves_the_requests_in_flight_and_success_brings_them_back() -> None:
    limiter = Limiter(32)
    with pytest.raises(Throttled), limiter.place():
        raise Throttled("slow down")
    assert limiter.limit == 16
    with pytest.raises(Throttled), limiter.place():
        raise Throttled("slow down")
    assert limiter.limit == 16, "one wave of refusals counts once"
    for _ in range(1000):
        with limiter.place():
            pass
    assert limiter.limit == 32


def test_no_more_requests_are_in_flight_than_the_limit_says() -> None:
    limiter, lock, now, most = Limiter(3), threading.Lock(), 0, 0

    def request(_: int) -> None:
        nonlocal now, most
        with limiter.place():
            with lock:
                now += 1
                most = max(most, now)
            threading.Event().wait(0.002)
            with lock:
                now -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(request, range(60)))
    assert most == 3


def test_an_error_of_another_kind_gives_its_place_back() -> None:
    limiter = Limiter(1)
    for _ in range(3):
        with pytest.raises(NotFound), limiter.place():
            raise NotFound("gone")
    assert limiter.limit == 1
