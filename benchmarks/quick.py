"""Ours alone, in a few minutes: the parts, the limit that follows from them, and what the whole job reaches.

python -m benchmarks.quick                          # 64 px and 224 px, local and S3, one round
python -m benchmarks.quick --models 64 --places local --rounds 3 --images 8192
python -m benchmarks.quick --no-parts --set speed.batch_images=128
"""

import argparse
import json
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import limit, rounds
from benchmarks.gateway import Gateway, gateway
from benchmarks.limit import Parts
from benchmarks.ours import Ours
from benchmarks.rounds import Entry
from benchmarks.workload import Workload, say

WORK = Path(__file__).parent / ".work"
SMALL = {"64": 4096, "224": 1024}
"""n of ours by model, for a quick look."""
DISTINCT = 16_384


def main() -> None:
    """Measure and print; JSON on standard output, a table for people on standard error."""
    options = _options()
    workload = Workload.at(options.work)
    result: dict[str, Any] = {}
    with ExitStack() as stack:
        for name in options.models.split(","):
            small = options.images or SMALL[name]
            server = stack.enter_context(serving(workload)) if "s3" in options.places else None
            result[name] = _measure(workload, name, small, options, server)
    shutil.rmtree(workload.folder / "runs", ignore_errors=True)
    print(json.dumps(result, indent=1))


@contextmanager
def serving(workload: Workload) -> Iterator[Gateway]:
    """An S3 server whose objects go when it goes."""
    folder = workload.folder / f"s3-{uuid.uuid4().hex[:8]}"
    try:
        with gateway(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(
    workload: Workload, name: str, small: int, options: argparse.Namespace, server: Gateway | None
) -> dict[str, Any]:
    bundle, _ = workload.model(name)
    settings = tuple(options.set or ())
    places = options.places.split(",")
    ours = {place: Ours(workload, bundle, DISTINCT, server if place == "s3" else None, settings) for place in places}
    if server is not None:
        say("uploading the images")
        ours["s3"].upload(4 * small)
    records = rounds.alternate({place: Entry(runner.run, small) for place, runner in ours.items()}, options.rounds)
    figures = {place: record.figures() for place, record in records.items()}
    if options.parts:
        batch = ours[places[0]].batch_images
        files = workload.images(min(4 * small, 2048))
        keys = [f"images/{file.name}" for file in files]
        parts = limit.measure(bundle, files, batch, options.seconds, server, keys)
        figures |= {"parts": {"cpu_ms": dict(parts.cpu_ms), "per_s": dict(parts.per_s)}}
        for place in places:
            figures[place] |= shares(figures[place], parts, place)
    _say(name, figures, places)
    return figures


def shares(figures: dict[str, Any], parts: Parts, place: str) -> dict[str, float]:
    """The limit, and what share of it the rate is; by CPU time as well, which a busy machine disturbs less."""
    rate, whole, bare = figures["images_per_s"], parts.limit(place), parts.limit(place, whole=False)
    own = {name: cost for name, cost in parts.summands(place).items() if name != "get server"}
    return {
        "cpu_share": sum(own.values()) / figures["cpu_ms_per_image"],
        "limit_images_per_s": whole,
        "limit_share": rate / whole,
        "limit_without_head_and_writing": bare,
        "share_without_head_and_writing": rate / bare,
    }


def _say(name: str, figures: dict[str, Any], places: list[str]) -> None:
    for part, cpu_ms in figures.get("parts", {}).get("cpu_ms", {}).items():
        say(f"{name} px: {part:26} {cpu_ms:6.3f} CPU ms, alone {figures['parts']['per_s'][part]:10,.0f} images/s")
    for place in places:
        found = figures[place]
        share = f", {found['limit_share']:.1%} of {found['limit_images_per_s']:,.0f}" if "limit_share" in found else ""
        spent = f" of which the parts are {found['cpu_share']:.1%}" if "cpu_share" in found else ""
        say(
            f"{name} px: {place:6} {found['images_per_s']:,.0f} images/s{share}, {found['cpu_ms_per_image']:.2f} CPU ms"
            f"{spent}, others took {found['others_cores']:.1f} cores,"
            f" start-up {found['start_up_s']:.1f} s, {found['peak_mib']:,.0f} MiB"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quick", description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="64,224", help="64, 224")
    parser.add_argument("--places", default="local,s3", help="local, s3")
    parser.add_argument("--rounds", type=int, default=1, help="pairs of runs; the median counts")
    parser.add_argument("--images", type=int, default=0, help="n of the pair n and 4n; by default 4096 and 1024")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each part is measured")
    parser.add_argument("--no-parts", dest="parts", action="store_false", help="leave the parts out")
    parser.add_argument("--set", action="append", help="a setting of the job, NAME=VALUE; may be repeated")
    parser.add_argument("--work", type=Path, default=WORK, help="where images, tables and models are kept")
    return parser.parse_args(sys.argv[1:])


if __name__ == "__main__":
    main()
