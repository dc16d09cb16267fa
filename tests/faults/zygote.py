"""Starts `scorer` again and again without importing TensorFlow each time: a process that imports once, then forks.

It forks before TensorFlow has run its first operation, so every child is as fresh as a new process would be. Speaks
JSON lines: requests on standard input, `started` and `ended` on standard output.
"""

import importlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

from tests.faults.shim import Shim
from tests.faults.training_shim import TrainingShim

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Serve until standard input ends. Modules that are named as arguments are imported beforehand, too."""
    import tensorflow  # noqa: F401

    import scorer.cli
    import scorer.demo
    import scorer.run.engines.local
    import scorer.run.gc
    import scorer.run.rollback
    import scorer.run.score_partition
    import scorer.run.worker  # noqa: F401
    from tests import tiny  # noqa: F401

    for name in sys.argv[1:]:
        importlib.import_module(name)
    say({"ready": True, "threads": len(os.listdir("/proc/self/task"))})
    children: dict[int, int] = {}
    buffer = b""
    while True:
        readable, _, _ = select.select([0], [], [], 0.005)
        if readable:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                request = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    child(request)
                children[pid] = request["id"]
                say({"started": request["id"], "pid": pid})
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            say({"ended": children.pop(pid), "code": os.waitstatus_to_exitcode(status)})
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def say(what: dict[str, Any]) -> None:
    """One line to whoever started us."""
    os.write(1, (json.dumps(what) + "\n").encode())


def child(request: dict[str, Any]) -> None:
    """Run one command line and end; never returns."""
    code = 70
    try:
        os.setpgid(0, 0)
        said = os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ.update(request["environ"])
        code = run(request)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(request: dict[str, Any]) -> int:
    """The command itself, by the real command line."""
    if request["bundle"]:
        from tests.tiny import make_bundle

        make_bundle(request["bundle"])
        return 0
    barrier = Path(request["barrier"]) if request["barrier"] else None
    kill = (request["kill"][0], request["kill"][1]) if request["kill"] else None
    of = TrainingShim if request["arguments"][0] == "train" else Shim
    shim = of(Path(request["log"]), kill, barrier)
    shim.install()
    if request["rows_per_file"]:
        from scorer.output.sinks import parquet

        parquet.ROWS_PER_GROUP = request["rows_per_file"]  # a file is cut between row groups
    from scorer.cli import app

    try:
        app(request["arguments"], prog_name="scorer")
    except SystemExit as ended:
        shim.say("points", dict(shim.points))
        return int(ended.code or 0)
    return 0


if __name__ == "__main__":
    main()
