"""How long this process bears with a store that fails: the one place that waits and tries again."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from scorer.errors import CredentialsRefused, StoreUnreachable, Throttled

Result = TypeVar("Result")

ATTEMPTS = 10
"""Tries for one request. With the waits below the last one comes half a minute after the first, on average."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 20.0
"""Upper end of the first wait and of any wait; the waits between double. A wait is drawn evenly from 0 to its end (full
jitter, from the AWS Architecture Blog's "Exponential Backoff And Jitter"), so that clients do not come in waves."""

BUDGET, COST = 2500, 5
"""Retries of the whole process: each costs 5 tokens, each success earns one back. A store that fails one request in
six can be borne for ever; one that is down has its 500 retries and then fails the run within minutes, not hours. The
scheme is that of the AWS SDKs' standard retry mode, with five times their bucket."""


class Patience:
    """Retries with back-off, within one budget for all threads of a process."""

    def __init__(self, attempts: int = ATTEMPTS, first_wait_s: float = FIRST_WAIT_S, budget: int = BUDGET) -> None:
        self._attempts, self._first_wait_s, self._budget = attempts, first_wait_s, budget
        self._tokens = budget
        self._lock = threading.Lock()
        self.retries = 0
        """So far."""

    def call(self, request: Callable[[], Result]) -> Result:
        """The request's result; it is tried again while it raises StoreUnreachable.

        Raises:
            StoreUnreachable: the last attempt's, when attempts or budget are used up.
            CredentialsRefused: at once; no wait makes them good.
        """
        for attempt in range(self._attempts):
            try:
                result = request()
            except CredentialsRefused:
                raise
            except StoreUnreachable:
                if attempt == self._attempts - 1 or not self._spend():
                    raise
                time.sleep(random.uniform(0, min(LONGEST_WAIT_S, self._first_wait_s * 2**attempt)))
            else:
                self._earn()
                return result
        raise AssertionError("the last attempt returns or raises")

    def _spend(self) -> bool:
        with self._lock:
            if self._tokens < COST:
                return False
            self._tokens -= COST
            self.retries += 1
            return True

    def _earn(self) -> None:
        with self._lock:
            self._tokens = min(self._budget, self._tokens + 1)


class Limiter:
    """Requests in flight: fewer when the store throttles, slowly more when it does not.

    Additive increase and multiplicative decrease, as TCP does (Chiu and Jain 1989): halved at most once a second, and
    one more after as many successes as are allowed at a time.
    """

    def __init__(self, most: int) -> None:
        """`most` is where it starts and what it never exceeds."""
        self._most, self._limit, self._in_flight = most, float(most), 0
        self._halved_at = 0.0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._limit)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place, hold it during the block, learn from how the block ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight < int(self._limit))
            self._in_flight += 1
        try:
            yield
        except Throttled:
            self._settle(throttled=True)
            raise
        except BaseException:
            self._leave()
            raise
        self._settle(throttled=False)

    def _settle(self, *, throttled: bool) -> None:
        with self._changed:
            if throttled and time.monotonic() - self._halved_at > 1.0:
                self._halved_at = time.monotonic()
                self._limit = max(1.0, self._limit / 2)
            elif not throttled:
                self._limit = min(float(self._most), self._limit + 1 / self._limit)
        self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()
