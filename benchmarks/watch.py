"""Run one command to its end: wall seconds, CPU seconds and peak memory of it and all that it starts."""

import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CHECKOUT = Path(__file__).parent.parent
"""Where every command runs: `-m benchmarks...` and `-m jobs...` are found there."""

EVERY_S = 1.0
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Sample:
    """What one run took.

    Attributes:
        wall_s: from start to exit.
        cpu_s: user and system, all processes.
        peak_mib: the largest resident set; of several processes the largest sum of proportional set sizes.
        others_cpu_s: what else took the machine's CPUs meanwhile, a hypervisor included. Wall times of a run with much
            of it mean little, CPU times still something.
        started: when, by time.monotonic(), which all processes of a machine share.
        first_batch_s: from start until the first batch came out of the model, where that is known.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    others_cpu_s: float
    started: float = 0.0
    first_batch_s: float | None = None


class Failed(Exception):
    """The command did not end with 0; the text holds the tail of its log."""


def run(
    command: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    tree: bool = False,
    timeout_s: float = 900,
) -> Sample:
    """Run and measure.

    Args:
        command: what to run.
        log: where its output goes.
        environment: added to ours.
        tree: it starts processes that outlive their parents or that nobody waits for (Ray, Spark): look at all of them
            every second. One process alone is not looked at while it runs; the kernel keeps its books.
        timeout_s: then it is killed.

    Raises:
        Failed: exit status other than 0, or out of time.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    _adopt_orphans()
    before = frozenset(child.pid for child in psutil.Process().children(recursive=True))
    started, machine = time.monotonic(), _machine_cpu_s()
    try:
        process = _start(command, log, environment)
        alarm = threading.Timer(timeout_s, process.kill)
        alarm.start()
        observer = _Observer(before) if tree else None
        try:
            # wait4, not Popen.wait: the kernel's own account of the child, waited-for descendants included.
            _, status, usage = os.wait4(process.pid, 0)
            wall_s, machine = time.monotonic() - started, _machine_cpu_s() - machine
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            alarm.cancel()
            if observer is not None:
                observer.stop()
    finally:
        _end(_descendants(before))  # also where a signal comes as soon as the first of them has begun
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise Failed(f"{' '.join(command)} ended with {process.returncode} after {wall_s:.0f} s; see {log}\n{tail}")
    cpu_s, peak_mib = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    if observer is not None:
        cpu_s, peak_mib = max(cpu_s, observer.cpu_s), max(peak_mib, observer.peak_mib)
    return Sample(wall_s, cpu_s, peak_mib, max(0.0, machine - cpu_s), started)


def _start(command: Sequence[str], log: Path, environment: Mapping[str, str] | None) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=CHECKOUT,
            start_new_session=True,  # Ray ends its whole process group when it shuts down; not us with it
        )


@dataclass
class _Observer:
    """Looks at what a run started, every second.

    Attributes:
        before: processes of ours that do not belong to the run.
        peak_mib: the most memory that all had together.
    """

    before: frozenset[int]
    peak_mib: float = 0.0
    _cpu: dict[int, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def cpu_s(self) -> float:
        """Of every process ever seen, as of when it was last seen."""
        return sum(self._cpu.values())

    def stop(self) -> None:
        """One last look, at what outlived the command; then no more."""
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        memory = 0
        for process in _descendants(self.before):
            try:
                times = process.cpu_times()
                self._cpu[process.pid] = times.user + times.system
                memory += process.memory_full_info().pss
            except psutil.Error:  # ended meanwhile: what was last seen counts
                continue
        self.peak_mib = max(self.peak_mib, memory / 2**20)


def _descendants(before: frozenset[int]) -> list[psutil.Process]:
    """Of ours, adopted orphans included, but for those that were there before."""
    return [child for child in psutil.Process().children(recursive=True) if child.pid not in before]


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def _machine_cpu_s() -> float:
    """CPU seconds that the machine's CPUs were not idle, since it started."""
    with open("/proc/stat") as counters:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, counters.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _adopt_orphans() -> None:
    """Processes whose parent died become ours, not init's, and so stay in sight."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
