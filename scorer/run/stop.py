"""SIGTERM and SIGINT: what is in hand is finished within the grace, then the run ends with exit 75."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from scorer.errors import Interrupted

KEPT = "Nothing was published; finished units are kept."
AGAIN = "Start the same command again to go on."


class Stop:
    """Whether somebody asked this process to stop. Signals come to the main thread, and so does what this raises."""

    def __init__(self, grace_seconds: float = 30.0) -> None:
        """`grace_seconds`: how long what is in hand may go on."""
        self.grace_seconds = grace_seconds
        self.asked: str | None = None
        self.published = ""
        """That the run is published, and what to do from there, as sentences; empty: nothing is, yet."""
        self.otherwise = ""
        """What is to be said of the data, and what to do, while `published` is empty and there are several partitions;
        empty: there is one, and nothing of it is published."""
        self._in_hand = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block SIGTERM and SIGINT of this process come here. For the main thread."""
        handlers = {signal.SIGTERM: self._on_signal, signal.SIGINT: self._on_signal, signal.SIGALRM: self._on_alarm}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def finishing(self, dropped: str, go_on: str = AGAIN) -> Iterator[None]:
        """A block that a first signal leaves the grace to; a second one, or the end of the grace, breaks it off.

        Args:
            dropped: what becomes of the data then, as a sentence; once the run is `published`, that is said instead.
            go_on: what to do then, likewise.
        """
        self._in_hand = f"{dropped} {go_on}"
        try:
            yield
        finally:
            self._in_hand = ""
            if self.asked:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def check(self) -> None:
        """Raises Interrupted if somebody asked. For the moments between two pieces of work."""
        if self.asked:
            raise Interrupted(f"Stopped by {self.asked}. {KEPT} The one in hand was finished first. {AGAIN}")

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        again, self.asked = self.asked, signal.Signals(number).name
        if not self._in_hand:
            raise Interrupted(f"Stopped by {self.asked}. {self.published or self.otherwise or f'{KEPT} {AGAIN}'}")
        if again or not self.grace_seconds:
            raise Interrupted(f"Stopped by {self.asked}. {self._dropped()}")
        signal.setitimer(signal.ITIMER_REAL, self.grace_seconds)

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._in_hand:
            raise Interrupted(
                f"Stopped by {self.asked}; the grace of {self.grace_seconds:g} s is over. {self._dropped()}"
            )

    def _dropped(self) -> str:
        return self.published or self._in_hand
