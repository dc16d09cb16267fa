"""The Ray cluster: joined, or started on this machine for the time of a run."""

import os
import signal
import threading
import time
from typing import Any

import ray
from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError, WorkerCrashedError

from scorer.errors import SettingsError, WorkersLost
from scorer.run.tools import Tools
from scorer.settings import Ray

LOCAL = "local"

POLL_S = 0.5
"""Between two looks at whether somebody asked to stop: Ray's own waits do not end by a signal."""

PATIENCE_S = 600.0
"""Without a single worker, until the run ends: a cluster that grows has its nodes up in a few minutes."""

LOST = (RayActorError, WorkerCrashedError, OutOfMemoryError, NodeDiedError, ObjectLostError)
"""A worker that answers no more, or whose answer went with its node. One that Ray's memory monitor ends, or whose node
dies, comes as a class of its own, also where it was an actor."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def join(wanted: Ray) -> None:
    """Become a driver of the cluster, if this process is none yet.

    Raises:
        WorkersLost: there is no such cluster, or it does not answer.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a job tells nobody outside what it does
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS} if main else {}
    own: dict[str, Any] = {"include_dashboard": False} if wanted.address == LOCAL else {}
    try:
        ray.init(address=wanted.address, log_to_driver=False, logging_level="ERROR", **own)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        raise WorkersLost(
            f"The Ray cluster at {wanted.address!r} cannot be joined: {str(error).splitlines()[0]}. Nothing was scored."
            " ray.address is auto inside a cluster, HOST:PORT of its head elsewhere, local for this machine alone."
        ) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # Ray puts its own there, which ends the process at once


def leave() -> None:
    """The cluster goes on without this driver; one that was started here ends."""
    ray.shutdown()


def room(wanted: Ray) -> int:
    """Workers that the nodes have room for, whatever else runs there.

    Raises:
        SettingsError: for none.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    found = sum(_on(node, wanted) for node in nodes)
    if not found:
        there = "; ".join(f"{node.get('CPU', 0):g} cores, {node.get('GPU', 0):g} GPUs" for node in nodes)
        raise SettingsError(
            f"No node of the Ray cluster has {wanted.cores} cores and {wanted.gpus} GPUs for one worker ({there})."
            " Nothing was scored. Lower ray.cores or ray.gpus; or set ray.workers, to wait until the cluster grows."
        )
    return found


def _on(node: dict[str, float], wanted: Ray) -> int:
    fit = int(node.get("CPU", 0) // wanted.cores)
    return min(fit, int(node.get("GPU", 0) // wanted.gpus)) if wanted.gpus else fit


def waited(ref: Any, wanted: Ray, tools: Tools) -> Any:
    """What a call gives, while signals are heard. Raises WorkersLost where nobody came, LOST, and what it raises."""
    until = time.monotonic() + PATIENCE_S
    while not ray.wait([ref], timeout=POLL_S)[0]:
        tools.stop.check()
        if time.monotonic() > until:
            raise nobody(wanted)
    return ray.get(ref)


def nobody(wanted: Ray) -> WorkersLost:
    """Nobody came, for too long."""
    return WorkersLost(
        f"The Ray cluster at {wanted.address!r} gave no worker with {wanted.cores} cores and {wanted.gpus} GPUs within"
        f" {PATIENCE_S / 60:.0f} minutes. Nothing was published; finished units are kept. Start the run again when it"
        " has room; `ray status` says what it waits for."
    )
