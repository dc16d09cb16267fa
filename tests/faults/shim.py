"""Marks where a run is, and kills it there. Only child processes of the tests install it; the product knows nothing."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PHASES = ("score", "stage", "audit", "publish", "expose", "gc", "rollback")

OUTER = ("gc", "rollback")
"""Phases that stay what they are when they expose."""

STORE_CALLS = ("put", "put_file", "copy", "get", "head", "list_all", "open")


class Shim:
    """Every request to the store is two points, before and after; so is every local file on its way to its place.

    At the n-th point of a phase the process kills itself with SIGKILL, as an eviction would.
    """

    def __init__(self, log: Path, kill: tuple[str, int] | None, barrier: Path | None) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._kill, self._barrier = kill, barrier
        self._phase = "start"
        self.points: Counter[str] = Counter()

    def say(self, what: str, fact: Any = "") -> None:
        """One line that survives SIGKILL."""
        os.write(self._log, (json.dumps([what, fact]) + "\n").encode())

    def reached(self) -> None:
        """One more point of the phase."""
        self.points[self._phase] += 1
        if self._kill == (self._phase, self.points[self._phase]):
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """From here to the end of the block."""
        outer = self._phase
        if outer not in OUTER:
            self._phase = name
            self.say("phase", name)
        try:
            yield
        finally:
            self._phase = outer
            self.say("phase", outer)

    def install(self) -> None:
        """Patch the product in this process."""
        from scorer.objectstore import ObjectStore, local
        from scorer.output.attempts import Attempts
        from scorer.output.commit import Ledger
        from scorer.output.staging import Staging
        from scorer.run import gc, score_partition

        self._wrap(score_partition, "score", "score")
        self._wrap(score_partition, "_stage", "stage")
        self._wrap(score_partition, "audit", "audit")
        self._wrap(Ledger, "publish", "publish")
        self._wrap(Ledger, "expose", "expose")
        self._wrap(Ledger, "restore", "rollback")
        self._wrap(gc, "_collect", "gc")
        for name in STORE_CALLS:
            self._wrap(ObjectStore, name, None)
        self._patch_delete(ObjectStore)
        self._wrap(local, "_into_place", None)
        local.shutil = _Torn(self)  # type: ignore[assignment, attr-defined]
        self._note(Attempts, "begin", "begun", lambda unit_id: unit_id)
        self._note(Staging, "save", "saved", lambda result: result.unit.id)

    def _wrap(self, owner: Any, name: str, phase: str | None) -> None:
        """Two points around a function; or a phase around it."""
        inner = getattr(owner, name)

        def outer(*args: Any, **named: Any) -> Any:
            if phase is None:
                self.reached()
                result = inner(*args, **named)
                self.reached()
                return result
            if phase == "publish" and self._barrier is not None:
                self._wait(self._barrier)
            with self.phase(phase):
                return inner(*args, **named)

        setattr(owner, name, outer)

    def _note(self, owner: Any, name: str, what: str, fact: Callable[[Any], Any]) -> None:
        inner = getattr(owner, name)

        def outer(this: Any, argument: Any) -> Any:
            self.say(what, fact(argument))
            return inner(this, argument)

        setattr(owner, name, outer)

    def _patch_delete(self, owner: Any) -> None:
        inner = owner.delete

        def delete(this: Any, uris: Iterable[str]) -> None:
            for uri in uris:
                self.reached()
                inner(this, [uri])
                self.reached()

        owner.delete = delete

    def _wait(self, barrier: Path) -> None:
        """Until all racers stand here."""
        (barrier / f"ready-{os.getpid()}").touch()
        while not (barrier / "go").exists():
            time.sleep(0.0005)


class _Torn:
    """`shutil` whose copies can be killed half-way."""

    def __init__(self, shim: Shim) -> None:
        self._shim = shim

    def copyfile(self, source: str, target: str) -> None:
        data = Path(source).read_bytes()
        Path(target).write_bytes(data[: len(data) // 2])
        self._shim.reached()
        Path(target).write_bytes(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(shutil, name)
