"""What a run tells while it works: events for people or machines, progress, and the time that each stage takes."""

import heapq
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO, TypeVar

Item = TypeVar("Item")

EVERY_SECONDS = 10.0
"""Between two progress lines where no terminal listens."""


@contextmanager
def hushed() -> Iterator[None]:
    """Keeps off standard error what native code writes there on import, past sys.stderr: TensorFlow's page of notes.

    Nothing is lost when the block fails: it is written then.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # from its initialisation on TensorFlow hushes itself
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@dataclass
class Stage:
    """Seconds that one stage was busy (wall, summed over threads), CPU seconds of its threads, and items handled.

    Attributes:
        first: when it was begun for the first time, seconds since 1970.
        last: when it was left for the last time, seconds since 1970.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    items: int = 0
    first: float = 0.0
    last: float = 0.0


SLOWEST = 10
"""Items of a stage that are remembered for how long they took."""


@dataclass
class Noted:
    """What timers have noted; travels between processes.

    Attributes:
        stages: by name.
        slowest: stage -> seconds and names of the items that took longest.
        levels: name -> what was noted.
    """

    stages: dict[str, Stage] = field(default_factory=dict)
    slowest: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    levels: dict[str, list[float]] = field(default_factory=dict)


class Stages:
    """Timers by stage name. Thread-safe."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}
        self._slowest: dict[str, list[tuple[float, str]]] = {}
        self._levels: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, name: str, items: int = 1, cpu_clock: Callable[[], float] = time.thread_time) -> Iterator[None]:
        """Time a block; its CPU seconds are those of the calling thread, or of what `cpu_clock` measures."""
        wall, cpu = time.perf_counter(), cpu_clock()
        try:
            yield
        finally:
            wall, cpu = time.perf_counter() - wall, cpu_clock() - cpu
            with self._lock:
                now = time.time()
                stage = self._stages.setdefault(name, Stage(first=now - wall))
                stage.first, stage.last = min(stage.first, now - wall), max(stage.last, now)
                stage.wall_s += wall
                stage.cpu_s += cpu
                stage.items += items

    def waiting(self, name: str, source: Iterable[Item]) -> Iterator[Item]:
        """The items of `source`; the time until each comes counts as `name`."""
        items = iter(source)
        while True:
            try:
                with self(name):
                    item = next(items)
            except StopIteration:
                return
            yield item

    def item(self, name: str, what: str, seconds: float) -> None:
        """Note how long one item of a stage took. Cheap: all but the slowest so far are forgotten at once."""
        kept = self._slowest.get(name)
        if kept is not None and len(kept) == SLOWEST and seconds <= kept[0][0]:
            return
        with self._lock:
            kept = self._slowest.setdefault(name, [])
            heapq.heappush(kept, (seconds, what))
            if len(kept) > SLOWEST:
                heapq.heappop(kept)

    def slowest(self, name: str) -> list[tuple[str, float]]:
        """The items of a stage that took longest, with their seconds; the slowest first."""
        with self._lock:
            return [(what, seconds) for seconds, what in sorted(self._slowest.get(name, ()), reverse=True)]

    def gauge(self, name: str, value: float) -> None:
        """Note a level, for instance how long a queue is; `levels` gives its mean, maximum and latest value."""
        with self._lock:
            self._levels.setdefault(name, []).append(value)

    def drain(self) -> Noted:
        """What was noted since the last time, for another process's timers."""
        with self._lock:
            noted = Noted(self._stages, self._slowest, self._levels)
            self._stages, self._slowest, self._levels = {}, {}, {}
        return noted

    def absorb(self, noted: Noted) -> None:
        """Add what another process's timers have noted."""
        with self._lock:
            for name, more in noted.stages.items():
                stage = self._stages.setdefault(name, Stage(first=more.first))
                stage.first, stage.last = min(stage.first, more.first), max(stage.last, more.last)
                stage.wall_s += more.wall_s
                stage.cpu_s += more.cpu_s
                stage.items += more.items
            for name, values in noted.levels.items():
                self._levels.setdefault(name, []).extend(values)
        for name, items in noted.slowest.items():
            for seconds, what in items:
                self.item(name, what, seconds)

    def levels(self) -> dict[str, dict[str, float]]:
        """Name -> mean, max and last of what was noted."""
        with self._lock:
            return {
                name: {"mean": round(sum(values) / len(values), 2), "max": max(values), "last": values[-1]}
                for name, values in self._levels.items()
            }

    def spans(self) -> dict[str, tuple[float, float]]:
        """Stage -> when it was first begun and last left, in seconds since 1970."""
        with self._lock:
            return {name: (stage.first, stage.last) for name, stage in self._stages.items()}

    def summary(self) -> dict[str, dict[str, float]]:
        """Stage -> wall_s, cpu_s, items; seconds to the millisecond."""
        with self._lock:
            return {
                name: {"wall_s": round(stage.wall_s, 3), "cpu_s": round(stage.cpu_s, 3), "items": stage.items}
                for name, stage in self._stages.items()
            }


@dataclass
class Reporter:
    """Says what happens: sentences on a terminal, one JSON object a line elsewhere.

    Attributes:
        stream: where to; standard error, so that standard output stays the result.
        people: sentences instead of JSON; by default where the stream is a terminal.
        fields: put into every JSON line, for instance run_id.
        under_way: the progress that was begun last, for whoever looks on from another thread.
    """

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    people: bool | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    under_way: "Progress | None" = None

    def __post_init__(self) -> None:
        if self.people is None:
            self.people = self.stream.isatty()

    def event(self, name: str, text: str, **facts: Any) -> None:
        """One event: `text` for people, `name` and `facts` for machines."""
        if self.people:
            line = text
        else:
            stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"time": stamp, "event": name, "message": text, **self.fields, **facts}, default=str)
        self.stream.write(f"{line}\n")  # at once: `print` writes the end apart, and others may come between
        self.stream.flush()

    def progress(self, what: str, total: int) -> "Progress":
        """Progress over `total` rows."""
        self.under_way = Progress(self, what, total)
        return self.under_way


@dataclass
class Progress:
    """Rows and images done, rate, ETA and failures; one line that is redrawn, or an event every few seconds."""

    reporter: Reporter
    what: str
    total: int
    rows: int = 0
    images: int = 0
    degraded: int = 0
    started: float = field(default_factory=time.monotonic)
    _said: float = field(default_factory=time.monotonic)

    def advance(self, rows: int, images: int, degraded: int) -> None:
        """Add what one unit brought."""
        self.rows += rows
        self.images += images
        self.degraded += degraded
        now = time.monotonic()
        if self.reporter.people:
            print(f"\r{self._line(now)}\x1b[K", end="", file=self.reporter.stream, flush=True)
        elif now - self._said >= EVERY_SECONDS:
            self._said = now
            self.reporter.event("progress", self._line(now), rows=self.rows, images=self.images, total_rows=self.total)

    def finish(self) -> None:
        """End the redrawn line."""
        if self.reporter.people and self.rows:
            print(file=self.reporter.stream, flush=True)

    def _line(self, now: float) -> str:
        seconds = max(now - self.started, 1e-3)
        rate = self.rows / seconds
        eta = (self.total - self.rows) / rate if rate else 0.0
        return (
            f"{self.what}: {self.rows:,} of {self.total:,} rows, {self.images:,} images, {self.degraded:,} degraded, "
            f"{rate:,.0f} rows/s, {self.images / seconds:,.0f} images/s, {eta:,.0f} s to go"
        )
