"""How fast a run went, moment by moment: a thread looks at its timers, four times a second at most."""

import threading
import time
from dataclasses import dataclass
from itertools import pairwise

from scorer.pages.plots import Curve, curve
from scorer.telemetry import Stages

MOST = 240
"""Samples kept. When they are more, every second one is dropped and the next are taken half as often."""

FIRST_PERIOD_S = 0.25
"""Between the first samples. One costs some 20 microseconds: a copy of a dozen counters."""

POINTS = 60
"""Of a curve; shorter steps would show the batches and not the pace."""


@dataclass(frozen=True)
class Sample:
    """What was done by some moment.

    Attributes:
        seconds: since the plan stood.
        rows: scored.
        images: that went through the image tower.
        cpu_s: processor time of the process.
    """

    seconds: float
    rows: int
    images: int
    cpu_s: float


class Watch:
    """Samples of one run. `follow` starts, `end` takes the last one; nothing here can fail the run."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._began, self._cpu_began = time.monotonic(), time.process_time()
        self._samples: list[Sample] = []
        self._period = FIRST_PERIOD_S
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def follow(self) -> None:
        """Look from now on, in a thread that ends with `end`, or with the process."""
        self._thread.start()

    def end(self) -> tuple[Sample, ...]:
        """All samples, in order."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self.look()
        return tuple(self._samples)

    def look(self) -> None:
        """Take one sample now."""
        seen = self._stages.summary()
        done = {name: int(seen[name]["items"]) if name in seen else 0 for name in ("head", "image tower")}
        now, cpu = time.monotonic() - self._began, time.process_time() - self._cpu_began
        self._samples.append(Sample(now, done["head"], done["image tower"], cpu))
        if len(self._samples) > MOST:
            self._samples = self._samples[::2]
            self._period *= 2

    def _watch(self) -> None:
        while not self._over.wait(self._period):
            self.look()


def images_a_second(samples: tuple[Sample, ...]) -> Curve:
    """Images through the image tower a second, over the seconds since the plan stood; rows if there are no images."""
    by_rows = not any(sample.images for sample in samples)
    return _rate(samples, [float(sample.rows if by_rows else sample.images) for sample in samples])


def cores_busy(samples: tuple[Sample, ...], cores: int) -> Curve:
    """Processor seconds a second, up to the cores that there are."""
    found = _rate(samples, [sample.cpu_s for sample in samples])
    top = float(max(cores, 1))
    return curve([(x, min(y, top)) for x, y in found.points], found.x_top, top)


def _rate(samples: tuple[Sample, ...], done: list[float]) -> Curve:
    """Differences over steps of about equal length, each drawn at its middle."""
    if len(samples) < 3:
        return curve([])
    step = max(1, len(samples) // POINTS)
    picked = [*range(0, len(samples) - 1, step), len(samples) - 1]
    points = []
    for first, last in pairwise(picked):
        begun, ended = samples[first].seconds, samples[last].seconds
        if ended - begun > 1e-3:
            points.append(((begun + ended) / 2, max(0.0, (done[last] - done[first]) / (ended - begun))))
    return curve(points, x_top=samples[-1].seconds)
