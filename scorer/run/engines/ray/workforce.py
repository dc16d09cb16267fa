"""The workers of one start: hired, handed units as they finish, replaced when they are lost."""

import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import ray

from scorer.errors import WorkersLost
from scorer.intake.partitions import Unit
from scorer.output.attempts import LAST
from scorer.run.engines.ray import cluster
from scorer.run.engines.ray.actor import Actor
from scorer.run.engines.ray.errand import Errand, Handed, Report
from scorer.run.engines.ray.hands import Hands
from scorer.run.reuse import Known
from scorer.run.stage_units import UnitDone
from scorer.run.start import Start

LOSSES = 3
"""Workers that one unit may take along, or that may be lost in a row before they were ready, until the run ends."""

GOODBYE_S = 10.0
"""For workers to write down that what they hold is dropped, before they are ended."""


@dataclass
class Member:
    """One worker.

    Attributes:
        actor: its handle.
        call: what it was asked and has not answered; None: it has nothing to do.
        ready: whether its bundle is loaded.
        in_hand: unit id -> what it was handed and is not done.
    """

    actor: Any
    call: Any
    ready: bool = False
    in_hand: dict[str, Handed] = field(default_factory=dict)


class Workforce:
    """So many workers at a time. One that is lost gives back what it held, and another one is asked for."""

    def __init__(self, errand: Errand, wanted: int, start: Start, known: Known | None) -> None:
        self._errand, self._wanted, self._start, self._known = errand, wanted, start, known
        ray_settings = start.job.ray
        wanted_images = errand.job.speed.batch_images
        batch_images = (start.plan.batch_images or 1) if wanted_images == "auto" else wanted_images
        self._hands = Hands.of(errand.job.speed, batch_images)
        self._kind = ray.remote(Actor).options(
            num_cpus=ray_settings.cores,
            num_gpus=ray_settings.gpus,
            max_concurrency=2,
            max_restarts=0,  # a worker that comes back knows nothing of what it held: it is replaced instead
            scheduling_strategy="SPREAD",
        )
        self._earlier = ray.put(known.earlier if known else None)
        self._members: list[Member] = []
        self._hired = 0
        self._lost_before_ready = 0
        self._losses: Counter[str] = Counter()
        self._waiting: deque[Handed] = deque()
        self._alone_since: float | None = None
        self._hire()

    def run(self, units: Sequence[Unit], last: frozenset[str]) -> Generator[UnitDone, None, None]:
        """What became of each unit, as they finish; those that take longest are begun first.

        Raises:
            WorkersLost: there is no worker for too long, or a unit takes one after the other along.
        """
        handed = [Handed(unit, unit.id in last, self._reuse(unit)) for unit in units]
        self._waiting = deque(sorted(handed, key=attrgetter("images"), reverse=True))
        try:
            while self._waiting or any(member.in_hand for member in self._members):
                self._hire()
                self._hand_out()
                yield from self._heard()
        except GeneratorExit:
            self._finish_what_is_begun()  # somebody asked to stop; the grace ends this, too
            raise

    def finish(self) -> None:
        """All is done: let the workers write what they hold for later runs."""
        members = [member for member in self._members if member.ready]
        for member in members:
            member.call = member.actor.finish.remote()
        for member in members:
            with suppress(*cluster.LOST):  # what it held for later runs is computed by them
                self._take(cluster.waited(member.call, self._start.job.ray, self._start.tools))

    def dismiss(self) -> None:
        """End all workers; what they have begun counts as no attempt."""
        calls = [member.actor.forgive.remote() for member in self._members if member.in_hand]
        if calls:
            ray.wait(calls, num_returns=len(calls), timeout=GOODBYE_S)
        for member in self._members:
            ray.kill(member.actor)
        self._members = []

    def _reuse(self, unit: Unit) -> Any:
        return self._known.survey.units[unit.id] if self._known else None

    def _hire(self) -> None:
        while len(self._members) < self._wanted:
            actor = self._kind.remote(self._errand, self._hired, self._earlier)
            self._hired += 1
            self._members.append(Member(actor, actor.load.remote()))

    def _hand_out(self) -> None:
        """To whoever has least in hand: the last ones are not two in one hand while another is empty."""
        free = [member for member in self._members if member.ready and member.call is None]
        more: dict[int, list[Handed]] = {}
        while self._waiting and (
            room := [place for place, member in enumerate(free) if not self._hands.full(member.in_hand.values())]
        ):
            number = min(room, key=lambda place: len(free[place].in_hand))
            one = self._waiting.popleft()
            free[number].in_hand[one.unit.id] = one
            more.setdefault(number, []).append(one)
        for number, member in enumerate(free):
            if member.in_hand:
                member.call = member.actor.exchange.remote(tuple(more.get(number, ())))

    def _heard(self) -> Iterator[UnitDone]:
        """The answers that are there."""
        calls = {member.call: member for member in self._members if member.call is not None}
        there, _ = ray.wait(list(calls), num_returns=1, timeout=cluster.POLL_S)
        for call in there:
            yield from self._answered(calls[call])
        self._insist_on_somebody()

    def _answered(self, member: Member) -> Iterator[UnitDone]:
        call, member.call = member.call, None
        try:
            report: Report = ray.get(call)
        except cluster.LOST as error:
            self._lost(member, error)
            return
        if not member.ready and report.error is None:
            member.ready, self._lost_before_ready = True, 0
        for done in report.done:
            member.in_hand.pop(done.unit.id)
        if report.ended:
            member.in_hand.clear()
        self._take(report)
        yield from report.done  # last of all: who is told of a unit may stop here

    def _take(self, report: Report) -> None:
        tools = self._start.tools
        tools.stages.absorb(report.noted)
        for name, text, facts in report.said:
            tools.reporter.event(name, text, **facts)
        if report.error is not None:
            raise report.error

    def _lost(self, member: Member, error: Exception) -> None:
        """Its units go back to the front; those that were begun have one attempt less."""
        self._members.remove(member)
        ray.kill(member.actor)  # its answer may be lost, and it may not
        why = str(error).splitlines()[0]
        if not member.ready:
            self._lost_before_ready += 1
            if self._lost_before_ready >= LOSSES:
                raise WorkersLost(
                    f"{LOSSES} workers in a row were lost before their bundle was loaded, the last one so: {why}"
                    " Nothing was published. Is there memory for it (docs/clusters.md)?"
                )
        tried = self._start.attempts().unfinished() if member.in_hand else Counter[str]()
        for one in reversed(member.in_hand.values()):
            self._losses[one.unit.id] += 1
            if self._losses[one.unit.id] >= LOSSES and one.last:
                raise WorkersLost(
                    f"Rows {one.unit.start:,} to {one.unit.stop:,} of {one.unit.file} took {LOSSES} workers along, the"
                    f" last one so: {why} Nothing was published; finished units are kept."
                )
            self._waiting.appendleft(one._replace(last=one.last or tried[one.unit.id] >= LAST - 1))
        text = f"A worker was lost ({why}); {len(member.in_hand)} work unit(s) go to others."
        self._start.tools.reporter.event("worker lost", text, units=len(member.in_hand), left=len(self._members))

    def _insist_on_somebody(self) -> None:
        if any(member.ready for member in self._members):
            self._alone_since = None
            return
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        if now - self._alone_since > cluster.PATIENCE_S:
            raise cluster.nobody(self._start.job.ray)

    def _finish_what_is_begun(self) -> None:
        for member in self._members:
            member.actor.enough.remote()
        busy = [member for member in self._members if member.ready and member.in_hand]
        while busy:
            for member in busy:
                member.call = member.call or member.actor.exchange.remote(())
            there, _ = ray.wait([member.call for member in busy], num_returns=1, timeout=cluster.POLL_S)
            for member in [member for member in busy if member.call in there]:
                for _ in self._answered(member):
                    pass
            busy = [member for member in busy if member.in_hand and member in self._members]
