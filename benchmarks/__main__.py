"""Measure.

    python -m benchmarks             # ours and the peers, both models: under 55 minutes; writes benchmarks/results/
    python -m benchmarks quick       # ours alone, about 5 minutes
    python -m benchmarks parts       # only the parts and the limits that follow, about a minute a model
    python -m benchmarks smoke       # does the harness work? Its figures mean nothing

The last line on standard output is JSON.
"""

import argparse
import json
import shutil
import signal
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import limit, report
from benchmarks.contest import Contest
from benchmarks.contestants import PEERS
from benchmarks.gateway import Gateway, gateway
from benchmarks.ours import Ours
from benchmarks.watch import Sample
from benchmarks.workload import Workload, say

HERE = Path(__file__).parent
SMALL = {
    "full": {"64": {"local": 8192, "s3": 4096}, "224": {"local": 2048, "s3": 1024}},
    "quick": {"64": {"local": 4096, "s3": 2048}, "224": {"local": 1024, "s3": 512}},
    "smoke": {"64": {"local": 32}},
}
"""n of ours: 4n - n takes 15 s or more where figures count, since start-up times differ by half a second."""

ROUNDS = {"full": 3, "quick": 1, "smoke": 1}
SECONDS = {"full": 3.0, "quick": 3.0, "parts": 3.0, "smoke": 0.2}
GROWTH = (2048, 8192, 32_768)
"""1x, 4x, 16x the work."""


def main(arguments: Sequence[str]) -> None:
    """Measure what is asked for."""
    options = _options(arguments)
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # by way of every `finally`: nothing of ours goes on running
    workload = Workload.at(options.work)
    if options.what == "parts":
        found = {name: _parts(workload, name, options) for name in options.models}
    else:
        found = {name: _contest(workload, name, options) for name in options.models}
    result = report.result(options.what, workload, found)
    if options.what == "full":
        result["growth"] = _growth(workload, options)
        report.write(result, HERE / "results")
    print(report.table(result), file=sys.stderr)
    print(json.dumps(result))


def _contest(workload: Workload, name: str, options: argparse.Namespace) -> dict[str, Any]:
    small = {
        place: options.images or number
        for place, number in SMALL[options.what][name].items()
        if place in options.places
    }
    with ExitStack() as stack:
        contest = Contest(workload, name, small, options.peers, options.seconds, settings=tuple(options.set))
        contest.peers_small = options.images or 0
        if "s3" in small:
            contest.server = stack.enter_context(serving(workload))
        if options.what == "smoke":
            contest.parts, contest.one_batch = ("read", "decode", "write"), 0  # no more TensorFlow than need be
        if options.no_parts:
            contest.parts = ()
        return contest.hold(options.rounds)


def _parts(workload: Workload, name: str, options: argparse.Namespace) -> dict[str, Any]:
    bundle, _ = workload.model(name)
    files = workload.images(2048)
    batch, precision = _batch(options.set), Ours(workload, bundle, 1, settings=tuple(options.set)).precision
    with ExitStack() as stack:
        server, keys = None, []
        if "s3" in options.places:
            server = stack.enter_context(serving(workload))
            keys = [f"images/{file.name}" for file in files]
            say("uploading the images")
            server.upload(dict(zip(keys, files, strict=True)))
        parts = limit.measure(bundle, files, batch, options.seconds, server, keys, precision)
    limits = {place: {"limit_images_per_s": parts.limit(place)} for place in options.places}
    return {
        "batch_images": batch,
        "parts": {"cpu_ms": dict(parts.cpu_ms), "per_s": dict(parts.per_s)},
        "limits": limits,
    }


def _batch(settings: Sequence[str]) -> int:
    """Images a forward pass: as set, or what most plans choose on a CPU."""
    return int(dict(setting.split("=", 1) for setting in settings).get("speed.batch_images", 128))


def _growth(workload: Workload, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time and memory of ours at 64 pixels, over 1x, 4x and 16x the work."""
    bundle, _ = workload.model("64")
    ours = Ours(workload, bundle, max(GROWTH) // 2, settings=tuple(options.set))
    runs: list[tuple[int, Sample]] = []
    try:
        for rows in GROWTH:
            say(f"growth: {rows:,} images")
            runs.append((rows, ours.run(rows)))
    finally:
        shutil.rmtree(workload.runs, ignore_errors=True)
    return [{"images": rows, "wall_s": run.wall_s, "cpu_s": run.cpu_s, "peak_mib": run.peak_mib} for rows, run in runs]


@contextmanager
def serving(workload: Workload) -> Iterator[Gateway]:
    """An S3 server whose objects go when it goes."""
    folder = workload.folder / f"s3-{uuid.uuid4().hex[:8]}"
    try:
        with gateway(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = lambda text: text.split(",")  # noqa: E731  # argparse wants a callable
    parser.add_argument("what", nargs="?", default="full", choices=["full", "quick", "parts", "smoke"])
    parser.add_argument("--models", type=names, default=["64", "224"], help="64,224")
    parser.add_argument("--places", type=names, default=["local", "s3"], help="local,s3")
    parser.add_argument(
        "--peers", type=names, help=f"of {','.join(PEERS)}; by default all of them when full, else none"
    )
    parser.add_argument("--rounds", type=int, help="pairs of runs; the medians count")
    parser.add_argument("--images", type=int, help="n of the pair n and 4n, for everyone")
    parser.add_argument("--seconds", type=float, help="how long each part is measured")
    parser.add_argument("--no-parts", action="store_true", help="leave the parts out")
    parser.add_argument("--set", action="append", default=[], help="a setting of our job, NAME=VALUE; may be repeated")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="where images, tables and models are kept")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or ROUNDS.get(options.what, 1)
    options.seconds = options.seconds or SECONDS[options.what]
    if options.peers is None:
        options.peers = list(PEERS) if options.what == "full" else []
    if options.what == "smoke":
        options.models, options.places = ["64"], ["local"]
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
