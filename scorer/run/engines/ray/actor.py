"""One worker of a Ray cluster: the bundle loaded once, one pipeline, and units as the driver hands them over."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from typing import Any, TypeVar

from scorer.errors import ScorerError
from scorer.intake.partitions import Unit
from scorer.machine import own_seconds
from scorer.model.tensorflow_alone import tensorflow_alone
from scorer.objectstore import ObjectStore
from scorer.output.attempts import Attempts
from scorer.output.carried import EarlierRows
from scorer.output.profile import SCORING
from scorer.run.engines.ray.errand import Errand, Handed, Report
from scorer.run.reuse import Known
from scorer.run.stage_units import UnitDone, stage_units
from scorer.run.start import Start
from scorer.run.tools import Tools
from scorer.telemetry import Reporter, Stage, Stages

Item = TypeVar("Item")


class Moment(Enum):
    """What happens once in a worker's life."""

    READY = 1
    ENDED = 2


class Told(Reporter):
    """Keeps what is said, for the driver to say."""

    def __init__(self) -> None:
        super().__init__(people=False)
        self.said: queue.SimpleQueue[tuple[str, str, dict[str, Any]]] = queue.SimpleQueue()

    def event(self, name: str, text: str, **facts: Any) -> None:
        """One event."""
        self.said.put((name, text, facts))


class Actor:
    """Lives in a process that Ray starts. Its methods may be called by two threads at a time.

    One of these serves `exchange`, which waits; the other `enough` and `forgive`, which do not.
    """

    def __init__(self, errand: Errand, number: int, earlier: EarlierRows | None) -> None:
        """`number` tells the workers of a start apart; `earlier` are the rows that may be carried forward."""
        self._errand, self._earlier = errand, earlier
        self._voice, self._stages, store = Told(), Stages(), ObjectStore(errand.job.speed.fetch_concurrency)
        self._tools = Tools(store, self._voice, self._stages)
        self._token = f"{errand.token}-{number}"
        self._attempts: Attempts | None = None
        self._handed: queue.SimpleQueue[Handed | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[UnitDone | BaseException | Moment] = queue.SimpleQueue()
        self._isolated: set[str] = set()
        self._enough = threading.Event()
        self._cpu_s = 0.0

    def load(self) -> Report:
        """Load the bundle; from then on units may come."""
        threading.Thread(target=self._guarded, name="units", daemon=True).start()
        return self._report()

    def exchange(self, handed: tuple[Handed, ...]) -> Report:
        """Take some units, and wait until one, these or earlier ones, is done, or there will be no more."""
        for one in handed:
            self._handed.put(one)
        return self._report()

    def finish(self) -> Report:
        """Take no more units; write what is held for later runs, and end."""
        self._handed.put(None)
        return self._report()

    def enough(self) -> None:
        """Begin no further unit. Those that were begun are finished."""
        self._enough.set()
        self._handed.put(None)

    def forgive(self) -> None:
        """What is in hand will be dropped through no fault of its own."""
        if self._attempts is not None:
            self._attempts.forgive()

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._done.put(error)
        else:
            self._done.put(Moment.ENDED)

    def _work(self) -> None:
        with tensorflow_alone():
            from scorer.run.worker import worker
        errand, tools = self._errand, self._tools
        checked = errand.checked(tools.store)
        start = Start(errand.job, tools, checked, errand.plan, errand.plan.created_at, self._token)
        attempts = self._attempts = start.attempts()
        known = self._known(start)
        with worker(errand.plan, checked, errand.job, tools, known) as own:
            own = replace(own, begin=attempts.begin, isolated=self._isolated)
            self._cpu_s = own_seconds()
            self._done.put(Moment.READY)
            while (first := self._handed.get()) is not None:
                for done in stage_units(self._stream(first, known), own, start.staging.save, attempts):
                    self._done.put(done)
            if known is not None:
                known.store.flush()

    def _known(self, start: Start) -> Known | None:
        """What the driver found out comes with each unit; the embeddings are looked up from here."""
        if start.job.reuse == "none":
            return None
        plain = start.job.model_copy(update={"reuse": "embeddings"})  # the earlier rows are here already
        known = Known.of(start.checked, plain, start.plan.digest, start.tools)
        assert known is not None
        known.store.open()
        return replace(known, earlier=self._earlier)

    def _stream(self, first: Handed, known: Known | None) -> Iterator[Unit]:
        """Units as long as some are at hand.

        It ends where it would have to wait: the pipeline would hold back what it has for one that has not come.
        """
        following: Handed | None = first
        while following is not None and not self._enough.is_set():
            if following.last:
                self._isolated.add(following.unit.id)
            if known is not None and following.reuse is not None:
                known.survey.units[following.unit.id] = following.reuse
            yield following.unit
            try:
                following = self._handed.get_nowait()
            except queue.Empty:
                return
        self._handed.put(None)  # for the loop around

    def _report(self) -> Report:
        """Waits for one thing and takes along what else is there. Raises what is no error of ours, as Ray's."""
        found = [self._done.get(), *_at_hand(self._done)]
        errors = [one for one in found if isinstance(one, ScorerError)]
        for bug in found:
            if isinstance(bug, BaseException) and not isinstance(bug, ScorerError):
                raise bug
        noted = self._stages.drain()
        if self._cpu_s:
            before, self._cpu_s, now = self._cpu_s, own_seconds(), time.time()
            noted.stages[SCORING] = Stage(cpu_s=self._cpu_s - before, first=now, last=now)
        return Report(
            done=tuple(one for one in found if isinstance(one, UnitDone)),
            noted=noted,
            said=tuple(_at_hand(self._voice.said)),
            error=next(iter(errors), None),
            ended=Moment.ENDED in found or bool(errors),
        )


def _at_hand(source: "queue.SimpleQueue[Item]") -> list[Item]:
    """What can be taken without waiting."""
    found = []
    with suppress(queue.Empty):
        while True:
            found.append(source.get_nowait())
    return found
