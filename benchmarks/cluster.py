"""Two Ray workers of one core beside one process with two, and beside Ray Data by its own template, on one machine.

    make ray                             # sets .venv-ray up
    python -m benchmarks.cluster         # three rounds, some 30 minutes; writes benchmarks/results/cluster.json

The small network, 64 pixels, local files. Every run starts a Ray cluster of its own, of this machine's cores, in a
network namespace of its own; start-up drops out of a rate, which is a slope between n and 4n or 8n listings. Beside the
rates stands what `benchmarks.growth` calibrates itself with: when each unit was finished, what the driver's process
took for 768 more units of four listings, and what a million listings without images cost before, after and at the
publish.
The last line on standard output is JSON.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks import report, rounds, tables, watch
from benchmarks.__main__ import HERE
from benchmarks.accounts import Account, account, of_size
from benchmarks.contest import DISTINCT
from benchmarks.contestants import PEERS, PeerRunner, namespace
from benchmarks.ours import ENVIRONMENT, Ours
from benchmarks.rounds import Entry
from benchmarks.watch import Sample
from benchmarks.workload import CHECKOUT, Workload, say

PYTHON = CHECKOUT / ".venv-ray" / "bin" / "python"
RESULT = HERE / "results" / "cluster.json"
LOCAL, TWO, ONE, TEMPLATE = "local, 2 cores", "ray, 2 workers", "ray, 1 worker", "ray data"
TINY, BARE = "ray, units of 4", "no images"
SMALL = {LOCAL: 8192, TWO: 8192, TEMPLATE: 6144, ONE: 8192, TINY: 1024, BARE: 250_000}
"""n. Ray Data decodes while its actor loads the model: few images would all hide there."""

FACTOR = {LOCAL: 8, TWO: 8}
"""The large run is so many times n, 4 where nothing stands here: the difference takes 20 s or more, a minute for the
two that are close to each other."""

ONCE = (TINY, BARE)
"""What a driver costs needs no rounds: nobody is compared."""

UNIT = 1024
"""Listings a unit: 8 units in the small run, 32 or 64 in the large one."""

TINY_UNIT = 4


@dataclass(frozen=True)
class Bare:
    """Runs over listings without images by one process: what a driver does for rows, whoever scores them."""

    workload: Workload
    bundle: Path
    outs: list[Path]

    def run(self, rows: int) -> Sample:
        """Score a partition of so many listings."""
        folder = self.workload.runs / uuid.uuid4().hex[:8]
        table = tables.listings(["none"], rows).drop_columns(["image", "image_uris"])
        nothing = pa.nulls(rows, pa.list_(pa.string()))
        tables.write(table.append_column("image_uris", nothing), folder / "listings")
        command = [sys.executable, "-m", "jobs.score", "--listings", str(folder / "listings")]
        command += ["--partition", tables.KEY, "--bundle", str(self.bundle), "--predictions", f"{folder}/predictions"]
        command += ["--state", f"{folder}/state", "--set", "gates.enforce=false"]
        sample = watch.run(command, folder / "log", environment=ENVIRONMENT)
        self.outs.append(folder / "predictions" / tables.KEY)
        return sample


def main(arguments: Sequence[str]) -> None:
    """Measure, print, write."""
    options = _options(arguments)
    workload = Workload.at(options.work)
    bundle, keras_file = workload.model("64")
    runners = _runners(workload, bundle, keras_file)
    accounts: dict[str, list[Account]] = defaultdict(list)

    def run(name: str, rows: int) -> Sample:
        sample: Sample = runners[name].run(rows)
        if name != TEMPLATE:
            accounts[name].append(account(runners[name].outs[-1].parents[1], rows, sample))
        return sample

    try:
        wanted = {
            name: Entry(partial(run, name), options.images or SMALL[name], FACTOR.get(name, 4))
            for name in options.only or SMALL
        }
        records = rounds.alternate({name: one for name, one in wanted.items() if name not in ONCE}, options.rounds)
        records |= rounds.alternate({name: one for name, one in wanted.items() if name in ONCE}, 1)
    finally:
        shutil.rmtree(workload.runs, ignore_errors=True)
    result = _result(workload, {name: record.figures() for name, record in records.items()}, accounts)
    if not options.only and not options.images:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        say(f"wrote {RESULT}")
    print(_table(result), file=sys.stderr)
    print(json.dumps(result))


def _runners(workload: Workload, bundle: Path, keras_file: Path) -> dict[str, Any]:
    alone = (*namespace(), str(PYTHON), "-m", "benchmarks.peers.loopback")

    def ray(workers: int, unit: int, *prefix: str) -> Ours:
        settings = ("engine=ray", "ray.cores=1", f"ray.workers={workers}", f"rows_per_unit={unit}")
        return Ours(workload, bundle, DISTINCT, settings=settings, launcher=(*prefix, *alone), tree=True)

    # Ray counts cores and holds nobody to them: a worker alone on a machine would take what is free.
    one_core = ("taskset", "--cpu-list", str(min(os.sched_getaffinity(0))))

    return {
        LOCAL: Ours(workload, bundle, DISTINCT, settings=(f"rows_per_unit={UNIT}",)),
        TWO: ray(2, UNIT),
        TEMPLATE: PeerRunner(PEERS["ray"], workload, keras_file, 64, DISTINCT, python=PYTHON),
        ONE: ray(1, UNIT, *one_core),
        TINY: ray(2, TINY_UNIT),
        BARE: Bare(workload, bundle, []),
    }


def _result(
    workload: Workload, figures: Mapping[str, Mapping[str, Any]], accounts: Mapping[str, Sequence[Account]]
) -> dict[str, Any]:
    rates = {name: found["images_per_s"] for name, found in figures.items()}
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": report.machine(),
        "versions": report.versions_in(PYTHON, (*report.OURS, "ray")),
        "images": report.images(workload),
        "rows_per_unit": UNIT,
        "over_local": _ratio(rates, TWO, LOCAL),
        "over_template": _ratio(rates, TWO, TEMPLATE),
        **_parts(accounts),
        "contestants": {name: dict(found) for name, found in figures.items()},
        "accounts": {name: [asdict(_short(one)) for one in runs] for name, runs in accounts.items()},
    }


def _ratio(rates: Mapping[str, float], one: str, other: str) -> float | None:
    return rates[one] / rates[other] if {one, other} <= rates.keys() else None


def _parts(accounts: Mapping[str, Sequence[Account]]) -> dict[str, Any]:
    """What a unit took one worker, what units and rows cost the driver, and how long a publish took."""
    found: dict[str, Any] = {}
    if ONE in accounts:
        every = [seconds for run in accounts[ONE] for seconds in run.unit_s]
        found["unit_s"] = {"median": statistics.median(every), "sd": statistics.pstdev(every), "most": max(every)}
    if TINY in accounts:
        found["driver_cpu_ms_per_unit"] = 1e3 * slope(accounts[TINY], lambda run: run.driver_cpu_s or 0.0) * TINY_UNIT
    if BARE in accounts:
        found["driver_s_per_million_rows"] = {
            "before the first unit": 1e6 * slope(accounts[BARE], lambda run: run.begun_s),
            "from the last unit to the verdicts": 1e6
            * slope(accounts[BARE], lambda run: run.judged_s - run.units_s[-1]),
            "publish": 1e6 * slope(accounts[BARE], lambda run: run.published_s - run.judged_s),
        }
    found["publish_s"] = {
        name: statistics.median(run.published_s - run.judged_s for run in runs) for name, runs in accounts.items()
    }
    return found


def slope(runs: Sequence[Account], seconds: Callable[[Account], float]) -> float:
    """Seconds a row: by the medians of the small and of the large runs."""
    few, many = (extreme(run.rows for run in runs) for extreme in (min, max))
    small, large = (statistics.median(map(seconds, of_size(runs, rows))) for rows in (few, many))
    return (large - small) / (many - few)


def _short(one: Account) -> Account:
    """Without the moments of a thousand units of which only the ends are asked for."""
    return one if len(one.units_s) <= 64 else replace(one, units_s=(one.units_s[0], one.units_s[-1]))


def _table(result: Mapping[str, Any]) -> str:
    lines = [f"\n{'':18} images/s  CPU ms  start-up  peak MiB  others' cores"]
    for name, figures in result["contestants"].items():
        lines.append(
            f"  {name:16} {figures['images_per_s']:8,.0f} {figures['cpu_ms_per_image']:7.2f}"
            f" {figures['start_up_s']:7.1f} s {figures['peak_mib']:9,.0f} {figures['others_cores']:14.2f}"
        )
    told = ("over_local", "over_template", "unit_s", "driver_cpu_ms_per_unit", "driver_s_per_million_rows", "publish_s")
    return "\n".join([*lines, "", *(f"  {name}: {result[name]}" for name in told if name in result)])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="medians count")
    parser.add_argument("--only", action="append", choices=SMALL, help="nothing is written then; may be repeated")
    parser.add_argument("--images", type=int, help="n for everyone; nothing is written then")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="where images, tables and models are kept")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
