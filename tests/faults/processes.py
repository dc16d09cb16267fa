"""Child processes that the tests start, kill and wait for."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 120
"""For one child to end, on a machine that has better things to do."""


@dataclass
class Child:
    """One `scorer ...` process.

    Attributes:
        code: exit code, or minus the signal that ended it; None while it runs.
    """

    number: int
    log: Path
    said: Path
    pid: int = 0
    code: int | None = None
    started: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> int:
        """Its exit code."""
        assert self.ended.wait(SECONDS), f"still running: {self.text()}"
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.started.wait(SECONDS) and not self.ended.is_set():
            os.kill(self.pid, signal.SIGKILL)

    def facts(self) -> list[tuple[str, Any]]:
        """What the shim wrote down; a last line that broke off is left out."""
        if not self.log.exists():
            return []
        return [tuple(json.loads(line)) for line in self.log.read_text().splitlines() if line.endswith("]")]

    @property
    def phase(self) -> str:
        """Where it was last."""
        return next((fact for what, fact in reversed(self.facts()) if what == "phase"), "start")

    def text(self) -> str:
        """What it said."""
        return self.said.read_text(errors="replace") if self.said.exists() else ""


class Zygote:
    """Forks children; see zygote.py."""

    rows_per_file = 0
    """Of the children's output, smaller than any setting allows; 0: as set."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path, environ: Mapping[str, str]) -> None:
        self._process, self._folder, self._environ = process, folder, dict(environ)
        self._children: dict[int, Child] = {}
        self._ready: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.threads_before_fork: int = self._ready.get(timeout=SECONDS)["threads"]

    def start(
        self,
        arguments: Sequence[str] = (),
        *,
        kill: tuple[str, int] | None = None,
        barrier: Path | None = None,
        bundle: str | None = None,
    ) -> Child:
        """A child that runs `scorer ARGUMENTS`, killed at the n-th point of a phase if so wished."""
        number = len(self._children)
        child = Child(number, self._folder / f"{number}.log", self._folder / f"{number}.said")
        self._children[number] = child
        request = {
            "id": number,
            "arguments": list(arguments),
            "kill": kill,
            "barrier": str(barrier) if barrier else None,
            "bundle": bundle,
            "rows_per_file": self.rows_per_file,
            "log": str(child.log),
            "said": str(child.said),
            "environ": self._environ,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        return child

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = json.loads(line)
            if "started" in news:
                child = self._children[news["started"]]
                child.pid = news["pid"]
                child.started.set()
            elif "ended" in news:
                child = self._children[news["ended"]]
                child.code = news["code"]
                child.ended.set()
            else:
                self._ready.put(news)


@contextmanager
def zygote(folder: Path, environ: Mapping[str, str] | None = None, also: Sequence[str] = ()) -> Iterator[Zygote]:
    """A zygote that dies with the block, and its children with it; `also` names modules that its children need."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.faults.zygote", *also]
    with open(folder / "zygote.said", "wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
    try:
        yield Zygote(process, folder, environ or {})
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(SECONDS)
        assert process.stdout is not None
        process.stdout.close()
