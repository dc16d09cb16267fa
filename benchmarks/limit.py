"""What the machine could do at most: the sum of the parts' CPU time, spread over the cores."""

import json
import os
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


@dataclass(frozen=True)
class Parts:
    """CPU milliseconds an image of each part, and images a second by the wall clock."""

    cpu_ms: Mapping[str, float]
    per_s: Mapping[str, float]

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
) -> Parts:
    """Every part, one process after the other, since how TensorFlow uses threads is decided once a process.

    Args:
        bundle: the model.
        images: local files.
        batch_images: images a forward pass, as in the plan.
        seconds: each part about as long.
        server: where the same images lie; without it there is no `get`.
        keys: of the images in the server's bucket.
    """
    common = {"bundle": str(bundle), "batch_images": batch_images, "seconds": seconds}
    files = [str(image) for image in images]
    found = _parts({"parts": ["read", "decode", "write"], "images": files, **common})
    found |= _parts({"parts": ["forward", "head"], "images": files[:batch_images], **common})
    found |= _parts({"parts": ["forward_by_callers"], "images": files[:batch_images], **common})
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
