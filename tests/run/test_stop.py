"""A signal: what is in hand is finished within the grace, then the run ends with exit 75."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from scorer.errors import Interrupted
from scorer.run.stop import Stop


@pytest.fixture
def stop() -> Iterator[Stop]:
    made = Stop(grace_seconds=0.05)
    with made.listening():
        yield made
        signal.setitimer(signal.ITIMER_REAL, 0)


def terminate(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0)  # the handler runs between two instructions


def test_where_nothing_is_in_hand_a_signal_ends_the_run_at_once(stop: Stop) -> None:
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM\. Nothing was published; finished units are kept"):
        terminate()
    assert Interrupted.exit_code == 75


def test_between_two_of_several_partitions_nothing_is_said_of_those_that_are_published(stop: Stop) -> None:
    stop.otherwise = "What was published so far stays; start the same command again for the rest."
    with pytest.raises(Interrupted, match=r"^Stopped by SIGTERM\. What was published so far stays; start[^.]*\.$"):
        terminate()


def test_what_is_in_hand_is_finished_and_then_the_run_ends(stop: Stop) -> None:
    done = []
    with stop.finishing("dropped"):
        terminate(signal.SIGINT)
        done.append("the unit")
        with pytest.raises(
            Interrupted, match=r"Stopped by SIGINT\..*units are kept\. The one in hand was finished first"
        ):
            stop.check()
    assert done == ["the unit"]
    time.sleep(0.1)  # the alarm of the grace is off


def work(stop: Stop, *moments: Callable[[], None]) -> None:
    """A unit that takes very long, with something happening meanwhile."""
    with stop.finishing("The unit was dropped."):
        for moment in moments:
            moment()
        time.sleep(10)


def test_what_is_not_finished_within_the_grace_is_dropped(stop: Stop) -> None:
    with pytest.raises(Interrupted, match=r"by SIGTERM; the grace of 0\.05 s is over\. The unit was dropped\. Start"):
        work(stop, terminate)


def test_a_second_signal_does_not_wait_for_the_grace(stop: Stop) -> None:
    stop.grace_seconds = 60
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM\. The unit was dropped"):
        work(stop, terminate, terminate)


def test_without_grace_nothing_is_finished(stop: Stop) -> None:
    stop.grace_seconds = 0
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM\. The unit was dropped"):
        work(stop, terminate)


def test_nobody_asked_nothing_happens(stop: Stop) -> None:
    with stop.finishing("dropped"):
        stop.check()
    stop.check()
