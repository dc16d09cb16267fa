"""Several runs at a time, each in a process with a TensorFlow of its own; they share the cores."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scorer.errors import BundleError, Interrupted, NothingToDo, Transient
from scorer.run.backfill.outcomes import Outcome, is_still_there, not_begun
from scorer.run.backfill.planning import BackfillPlan, Line
from scorer.run.history import ledger_of, read_manifest
from scorer.run.pace import threads_of
from scorer.run.tools import Tools
from scorer.settings import ENVIRONMENT_PREFIX, Job

SCORE = (sys.executable, "-m", "jobs.score")
"""The command of one run, as the container's."""

LOOK_S = 0.1
"""Between two looks at the children."""

LAST_S = 10.0
"""Left to children that were told twice to stop, before they are killed."""

SAID = 12
"""Lines without structure kept of each child, for its error."""


@dataclass
class _Child:
    """One run in a process of its own.

    Attributes:
        process: leads a group of its own: what a terminal sends to ours does not reach it twice.
        said: its last lines that are no events.
    """

    line: Line
    process: "subprocess.Popen[str]"
    said: deque[str] = field(default_factory=lambda: deque(maxlen=SAID))
    ear: threading.Thread = field(init=False)


def in_children(
    job: Job, plan: BackfillPlan, tools: Tools, command: Sequence[str] = SCORE
) -> Generator[Outcome, None, None]:
    """Outcomes in the order in which the runs end. SIGTERM is handed on; each child has the grace of the settings.

    Args:
        job: without a partition.
        plan: `wanted.parallel` runs at a time.
        tools: store, voice, and an ear for signals.
        command: takes `--job FILE --partition KEY` and ends with the exit codes of `scorer score`.

    Raises:
        Interrupted: by a signal, once all children have ended.
    """
    waiting, running = deque(plan.chosen), list[_Child]()
    changed = told = False
    with tempfile.TemporaryDirectory(prefix="scorer-") as folder, _all_ended(running), _patient(tools):
        while running or (waiting and not changed and not tools.stop.asked):
            while waiting and len(running) < plan.wanted.parallel and not (changed or tools.stop.asked):
                running.append(_started(job, waiting.popleft(), plan, tools, command, Path(folder)))
            if tools.stop.asked and not told:
                _tell(running)
                told = True
            ended = [child for child in running if child.process.poll() is not None]
            for child in ended:
                running.remove(child)
                outcome = _outcome(child, job, tools)
                yield outcome
                if outcome.exit_code == BundleError.exit_code:
                    changed = changed or not is_still_there(plan, tools.store)
            if not ended:
                time.sleep(LOOK_S)
    if tools.stop.asked:
        raise Interrupted(
            f"Stopped by {tools.stop.asked}. What was published stays; finished units are kept; {len(waiting)}"
            " partition(s) were not begun. Start the same command again to go on."
        )
    yield from not_begun(tuple(waiting), plan, tools)


def _patient(tools: Tools) -> contextlib.AbstractContextManager[None]:
    return tools.stop.finishing("What was published stays; the work units in hand were dropped.")


@contextlib.contextmanager
def _all_ended(running: list[_Child]) -> Iterator[None]:
    """Whatever happens, no child outlives the block."""
    try:
        yield
    finally:
        _tell(running)
        deadline = time.monotonic() + LAST_S
        for child in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            if child.process.poll() is None:
                child.process.kill()
                child.process.wait()
            child.ear.join(LAST_S)


def _tell(running: Sequence[_Child]) -> None:
    for child in running:
        child.process.send_signal(signal.SIGTERM)


def _started(job: Job, line: Line, plan: BackfillPlan, tools: Tools, command: Sequence[str], folder: Path) -> _Child:
    speed = job.speed.model_copy(update={"decode_threads": job.speed.decode_threads or _share(job, plan)})
    own = job.model_copy(update={"partition": line.partition, "force": line.again, "speed": speed})
    file = folder / f"{len(list(folder.iterdir()))}.yaml"  # JSON is YAML
    file.write_text(own.model_dump_json(), encoding="utf-8")
    process = subprocess.Popen(
        [*command, "--job", str(file), "--partition", line.partition],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=_environment(_share(job, plan)),
        start_new_session=True,
    )
    child = _Child(line, process)
    child.ear = threading.Thread(target=_relay, args=(child, tools), daemon=True)
    child.ear.start()
    return child


def _share(job: Job, plan: BackfillPlan) -> int:
    return threads_of(job.speed, plan.wanted.parallel)


def _environment(threads: int) -> dict[str, str]:
    """Ours, but for the settings: the job's file holds them all, and the environment would win over it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    shared = dict.fromkeys(("TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"), str(threads))
    # One process would take the whole memory of a GPU at its start.
    return {"TF_FORCE_GPU_ALLOW_GROWTH": "true", **shared, **kept}


def _relay(child: _Child, tools: Tools) -> None:
    """What a child says, under the name of its partition."""
    assert child.process.stderr is not None
    with child.process.stderr as lines:
        for text in lines:
            _hand_on(text.rstrip("\n"), child, tools)


def _hand_on(text: str, child: _Child, tools: Tools) -> None:
    """One line: an event under its partition's name, or whatever else a process may say."""
    key = child.line.partition
    try:
        event = json.loads(text)
        name, message = str(event.pop("event")), str(event.pop("message"))
    except (ValueError, KeyError, AttributeError, TypeError):
        child.said.append(text)
        tools.reporter.event("output", f"{key}: {text}", partition=key)
        return
    event.pop("time", None)
    prefixed = message if message.startswith(key) or not tools.reporter.people else f"{key}: {message}"
    tools.reporter.event(name, prefixed, **{**event, "partition": key})


def _outcome(child: _Child, job: Job, tools: Tools) -> Outcome:
    """The outcome of a child that has ended."""
    child.ear.join(LAST_S)  # a process that it left behind may keep its end of the pipe
    key, code = child.line.partition, child.process.returncode
    if code == 0:
        version = ledger_of(job.state_uri, key, tools.store).read().record.current
        manifest = read_manifest(version.manifest, tools.store) if version else None
        return Outcome(key, 0, version.run_id if version else None, manifest.seconds if manifest else None)
    error = _last_words(child.said)
    if code < 0:
        name = signal.Signals(-code).name
        error = (
            f"Its process was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}. Nothing was"
            " published; finished units are kept. Start the same command again to go on."
        )
        code = Transient.exit_code
    name = "nothing to do" if code == NothingToDo.exit_code else "failed"
    tools.reporter.event(name, f"{key}: {error}", partition=key, exit_code=code)
    return Outcome(key, code, error=error)


def _last_words(said: Sequence[str]) -> str:
    """The error that a child ended with: from the last line that begins with an error's name on."""
    lines = [line for line in said if line.strip()]
    begins = [at for at, line in enumerate(lines) if line.partition(": ")[0].isidentifier()]
    words = lines[begins[-1] :] if begins else lines[-1:]
    return " ".join(line.strip() for line in words).partition(": ")[2] if begins else "".join(words)
