"""What the machine could do at most: the sum of the parts' CPU time, spread over the cores."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gateway import BUCKET, Gateway
from benchmarks.workload import CHECKOUT, say

CORES = len(os.sched_getaffinity(0))
FORWARD = ("forward", "forward, a caller a core")

TOGETHER = (("read", "decode", "write"), ("forward", "head"), ("forward_by_callers",))
"""What one process measures: without TensorFlow, with it, with it on one thread each."""

NEEDED = frozenset({"read", "decode", "write", "forward", "head"})
"""Without these there is no limit."""

ALL = tuple(name for group in TOGETHER for name in group)


@dataclass(frozen=True)
class Parts:
    """CPU milliseconds an image of each part, and images a second by the wall clock."""

    cpu_ms: Mapping[str, float]
    per_s: Mapping[str, float]

    @classmethod
    def median(cls, several: Sequence["Parts"]) -> "Parts":
        """Part by part."""
        cpu_ms, per_s = (
            {name: statistics.median(values[name] for values in found) for name in found[0]}
            for found in ([parts.cpu_ms for parts in several], [parts.per_s for parts in several])
        )
        return cls(cpu_ms, per_s)

    def summands(self, place: str, *, whole: bool = True) -> dict[str, float]:
        """The parts that one image must pass through.

        Args:
            place: "local" or "s3".
            whole: with head and writing, which every job has to do as well; without them it is the model's limit of
                fetching, decoding and the image tower alone.
        """
        forward = min(self.cpu_ms[name] for name in FORWARD if name in self.cpu_ms)
        fetch = ("read",) if place == "local" else ("get", "get server")
        rest = ("head", "write") if whole else ()
        return {name: self.cpu_ms[name] for name in (*fetch, "decode", *rest)} | {"forward": forward}

    def limit(self, place: str, *, whole: bool = True) -> float:
        """Images a second: cores / sum of the parts."""
        return CORES / sum(self.summands(place, whole=whole).values()) * 1e3


def measure(
    bundle: Path,
    images: Sequence[Path],
    batch_images: int,
    seconds: float,
    server: Gateway | None = None,
    keys: Sequence[str] = (),
    precision: str = "float32",
    names: Sequence[str] = ALL,
) -> Parts:
    """Every part, one process after the other, since how TensorFlow uses threads is decided once a process.

    Args:
        bundle: the model.
        images: local files.
        batch_images: images a forward pass, as in the plan.
        seconds: each part about as long.
        server: where the same images lie; without it there is no `get`.
        keys: of the images in the server's bucket.
        precision: of the forward pass.
        names: which parts, if not all.
    """
    common = {"bundle": str(bundle), "batch_images": batch_images, "seconds": seconds, "precision": precision}
    files = [str(image) for image in images]
    found: dict[str, dict[str, float]] = {}
    for group in TOGETHER:
        if parts := [name for name in group if name in names]:
            few = files if "read" in group else files[:batch_images]
            found |= _parts({"parts": parts, "images": few, **common})
    if server is not None:
        remote = [f"s3://{BUCKET}/{key}" for key in keys]
        wanted = {"parts": ["get"], "images": remote, "server": server.process.pid, **common}
        found |= _parts(wanted, server.environment)
    return Parts(
        {name: cost["cpu_ms"] for name, cost in found.items()}, {name: cost["per_s"] for name, cost in found.items()}
    )


def _parts(wanted: dict[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, dict[str, float]]:
    """Thousands of paths do not fit on a command line: the request goes by a file of its own."""
    say(f"measuring {', '.join(wanted['parts'])}")
    command = [sys.executable, "-m", "benchmarks.parts"]
    answer = subprocess.run(
        command,
        input=json.dumps(wanted),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        cwd=CHECKOUT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
    )
    found: dict[str, dict[str, float]] = json.loads(answer.stdout.splitlines()[-1])
    return found
