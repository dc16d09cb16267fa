"""Messages on their way to a server that may be slow, dead or hanging: delivered by a thread that nobody waits for."""

import os
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

DELIVERY_SECONDS = 5.0
"""How long a server may take to answer one message while the run goes."""

LAST_SECONDS = 1.0
"""How long the end of a run waits for the last message, at most."""

Deliver = Callable[[bytes], None]
"""Takes one message to its place, or raises."""


class Unserved(Exception):
    """Some of what should have been told to the outside was not."""


class Outbox:
    """Delivers messages in their order. One that cannot be delivered is dropped and counted."""

    def __init__(self, deliver: Deliver, idle: Callable[[], bytes | None], idle_seconds: float) -> None:
        """Begin.

        Args:
            deliver: takes one message to its place.
            idle: a message for when there was none for a while, or None.
            idle_seconds: how long a while is.
        """
        self._deliver, self._idle, self._idle_seconds = deliver, idle, idle_seconds
        self._waiting: queue.Queue[bytes | None] = queue.Queue()
        self._taken, self._settled, self._lost, self._why = 0, 0, 0, ""
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    def put(self, message: bytes) -> None:
        """Take a message over; returns at once."""
        self._taken += 1
        self._waiting.put(message)

    def close(self, seconds: float) -> str:
        """Wait for what is under way, that long at most.

        Returns:
            What was not delivered and why; empty if everything was.
        """
        self._waiting.put(None)
        self._thread.join(seconds)
        lost = self._lost + self._taken - self._settled
        if not lost:
            return ""
        return f"{lost} message(s) were not delivered: {self._why or f'no answer within {seconds:g} s'}"

    def _work(self) -> None:
        while True:
            try:
                message = self._waiting.get(timeout=self._idle_seconds)
            except queue.Empty:
                self._send(self._idle)
                continue
            if message is None:
                return
            self._send(partial(bytes, message))
            self._settled += 1

    def _send(self, make: Callable[[], bytes | None]) -> None:
        """Make a message and deliver it. Whatever goes wrong, the thread goes on with the next one."""
        try:
            message = make()
            if message is not None:
                self._deliver(message)
        except Exception as error:
            self._lost += 1
            self._why = self._why or str(error)


def to_file(place: str) -> Deliver:
    """Appends each message to a local file as one line; several processes may share the file."""
    path = Path(unquote(urlsplit(place).path) if place.startswith("file://") else place)

    def deliver(message: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(handle, message + b"\n")  # one write: lines of several processes do not mix
        finally:
            os.close(handle)

    return deliver


def to_server(url: str, headers: Mapping[str, str]) -> Deliver:
    """Posts each message as JSON."""
    opener = urllib.request.build_opener(_NoRedirect)

    def deliver(message: bytes) -> None:
        asked = urllib.request.Request(url, message, {"Content-Type": "application/json", **headers}, method="POST")
        try:
            opener.open(asked, timeout=DELIVERY_SECONDS).close()
        except urllib.error.HTTPError as error:
            raise OSError(f"{url} answered {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            raise OSError(f"{url}: {error.reason}") from None
        except TimeoutError:
            raise OSError(f"{url}: no answer within {DELIVERY_SECONDS:g} s") from None

    return deliver


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would follow a POST by a GET, without its message."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """No way on; the answer counts as an error."""
        return
