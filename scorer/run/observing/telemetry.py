"""Tells a collector of each run: OpenTelemetry metrics and traces by OTLP over HTTP."""

import importlib.util
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from scorer.errors import SettingsError
from scorer.run import observers
from scorer.run.observers import Account
from scorer.run.observing.outbox import LAST_SECONDS, Unserved
from scorer.settings import Telemetry as Settings

if TYPE_CHECKING:
    from scorer.run.observing.otlp import Exports

LOOK_SECONDS = 0.2
"""Between two looks whether the work has begun."""

PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
"""What the extra `telemetry` installs."""

SDK_LOG = "opentelemetry"


class Telemetry(observers.Observer):
    """Observer: metrics from the moment that the plan stands, the trace at the end."""

    patience = LAST_SECONDS + 0.3

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError where the packages are missing."""
        insist_on_packages(settings)
        self._settings = settings
        self._opening: threading.Thread | None = None
        self._over = threading.Event()
        self._exports: Exports | None = None
        self._complaints = Complaints()

    def started(self, account: Account) -> None:
        """The plan stands. Returns at once: nothing waits for the SDK's import, which takes half a second."""
        self._complaints.listen()
        self._opening = threading.Thread(target=self._guarded, args=(self._open, account), daemon=True)
        self._opening.start()

    def ended(self, account: Account) -> None:
        """The run is over. Raises Unserved where the collector did not take everything in time."""
        self._over.set()
        if self._opening is None:
            self.started(account)
        closing = threading.Thread(target=self._guarded, args=(self._finish, account), daemon=True)
        closing.start()
        closing.join(LAST_SECONDS)
        if closing.is_alive():
            self._complaints.note(f"not done within {LAST_SECONDS:g} s")
        else:
            self._complaints.stop_listening()
        if self._complaints.first:
            raise Unserved(f"{self._settings.otlp}: {self._complaints.first}")

    def _open(self, account: Account) -> None:
        # Not before the work has begun: both import protobuf, and TensorFlow's import shall not race with another.
        while "decode" not in account.tools.stages.summary() and not self._over.wait(LOOK_SECONDS):
            pass
        from scorer.run.observing.otlp import Exports

        self._exports = Exports(self._settings, account)

    def _finish(self, _: Account) -> None:
        assert self._opening is not None
        self._opening.join()
        if self._exports is not None:
            self._exports.finish()

    def _guarded(self, step: Callable[[Account], None], account: Account) -> None:
        try:
            step(account)
        except Exception as error:
            self._complaints.note(f"{type(error).__name__}: {error}")


class Complaints(logging.Handler):
    """Keeps the first thing that the SDK complains of, instead of a page of them on standard error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Called by the SDK's threads."""
        self.note(record.getMessage())

    def note(self, text: str) -> None:
        """Keep it if it is the first."""
        self.first = self.first or " ".join(text.split())[:300]

    def listen(self) -> None:
        """From now on the SDK complains here, and nowhere else."""
        logging.getLogger(SDK_LOG).addHandler(self)
        logging.getLogger(SDK_LOG).propagate = False

    def stop_listening(self) -> None:
        """As before. Not called while a thread of the SDK may still complain."""
        logging.getLogger(SDK_LOG).removeHandler(self)
        logging.getLogger(SDK_LOG).propagate = True


def insist_on_packages(settings: Settings) -> None:
    """Raises SettingsError where telemetry is asked for and the packages that send it are not installed."""
    if settings.otlp is not None and not installed():
        raise SettingsError(
            f"telemetry.otlp is {settings.otlp}, but the packages that speak to it are not installed. Nothing was"
            " started. Install them (pip install 'scorer[telemetry]'), or take the setting out."
        )


def installed() -> bool:
    """Whether the extra `telemetry` is there. Imports none of it."""
    try:
        return all(importlib.util.find_spec(name) is not None for name in PACKAGES)
    except ModuleNotFoundError:  # a package above it is missing
        return False
