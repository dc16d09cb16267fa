"""How time and cost grow with nodes and images, on paper: a simulation that calibrates itself with what was measured.

    python -m benchmarks.growth                                # the check, and the tables; a minute
    python -m benchmarks.growth --size 224 --prefixes 16 --fetch-concurrency 256 --requests 8192

What was measured comes from benchmarks/results/cluster.json; how much more an image costs from S3, or at 224 px, from
latest.json. Fitted are the small runs with one worker, the small ones of one process with all cores, and the driver's;
the check predicts the large runs with one worker, and all with two. What was not measured stands in `Store` and `Node`,
each with its source.
The last line on standard output is JSON.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

from benchmarks import cluster
from benchmarks.__main__ import HERE
from benchmarks.accounts import Account, of_size
from benchmarks.cluster import BARE, LOCAL, ONE, TINY, TINY_UNIT, TWO, UNIT, slope
from benchmarks.simulation import Costs, Node, Outcome, Store, Work, simulate

NODES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
IMAGES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
WORTH = 1.5
"""Twice the nodes are worth it while a run gets this much faster."""

FILES = Store(gets_per_s=float("inf"), puts_per_s=float("inf"), latency_s=0.0)
"""Local files, as measured."""

BY_HAND = {
    "computing": "more nodes, or nodes with more cores",
    "requests in flight": "speed.fetch_concurrency, and requests_together beside it",
    "the store": "images under more prefixes",
    "the driver's hand": "a larger rows_per_unit",
    "the last units": "a smaller rows_per_unit",
    "start-up": "fewer nodes",
    "plan and publish": "several partitions, each a run of its own",
}
"""What holds a run back -> what moves it."""


def main(arguments: Sequence[str]) -> None:
    """Check, print, draw the table."""
    options = _options(arguments)
    measured = json.loads(cluster.RESULT.read_text())
    accounts = runs_of(measured)
    alone = calibrate(accounts)
    costs = crowded(alone, accounts, measured["machine"]["cores"])
    checked = check(accounts, alone, costs)
    costs = replace(costs, image_s=costs.image_s * dearer(options.size))
    store = Store(
        gets_per_s=Store.gets_per_s * options.prefixes,
        fetch_concurrency=options.fetch_concurrency,
        requests_together=options.requests,
    )
    found = {images: grown(Work(images, rows_per_unit=options.rows_per_unit), costs, store) for images in IMAGES}
    print("\n".join([*_said(checked), "", *_table(found)]), file=sys.stderr)
    tables = {images: {nodes: asdict(one) for nodes, one in by_nodes.items()} for images, by_nodes in found.items()}
    print(json.dumps({"costs": asdict(costs), "check": checked, "growth": tables}))


def runs_of(measured: Mapping[str, Any]) -> dict[str, list[Account]]:
    """As `benchmarks.cluster` wrote them down."""
    return {
        name: [Account(**{**one, "units_s": tuple(one["units_s"])}) for one in runs]
        for name, runs in measured["accounts"].items()
    }


def calibrate(accounts: Mapping[str, Sequence[Account]]) -> Costs:
    """From the small runs of one worker, and from the driver's own: tiny units, and rows without images."""
    small = of_size(accounts[ONE], min(run.rows for run in accounts[ONE]))
    units = [seconds for run in small for seconds in run.unit_s]
    unit_s = statistics.fmean(units)
    row_after = slope(accounts[BARE], lambda run: run.published_s - run.units_s[-1])
    unit_after = slope(accounts[TINY], lambda run: run.published_s - run.units_s[-1]) * TINY_UNIT
    unit_cpu = slope(accounts[TINY], lambda run: run.driver_cpu_s or 0.0) * TINY_UNIT
    return Costs(
        image_s=unit_s / UNIT,
        spread=statistics.pstdev(units) / unit_s,
        start_s=statistics.median(run.units_s[0] for run in small) - unit_s,
        hand_s=max(0.0, unit_cpu - unit_after),
        plan_s_a_row=slope(accounts[BARE], lambda run: run.begun_s),
        close_s=statistics.median(run.closing_s for run in small) - small[0].rows * row_after,
        close_s_a_row=row_after,
        close_s_a_unit=unit_after,
    )


def crowded(costs: Costs, accounts: Mapping[str, Sequence[Account]], cores: int) -> Costs:
    """The same where all cores of a machine are at work, and slow each other: by the small runs of one process."""
    small = of_size(accounts[LOCAL], min(run.rows for run in accounts[LOCAL]))
    unit_s = statistics.fmean(seconds for run in small for seconds in run.unit_s)
    return replace(costs, image_s=unit_s * cores / UNIT)


def dearer(size: str) -> float:
    """How many times the CPU time of a local image at 64 pixels one from S3 takes, at some size."""
    models = json.loads((HERE / "results" / "latest.json").read_text())["models"]
    there, here = models[size]["contestants"]["s3"], models["64"]["contestants"]["local"]
    return float(there["cpu_ms_per_image"] / here["cpu_ms_per_image"])


def check(accounts: Mapping[str, Sequence[Account]], alone: Costs, together: Costs) -> dict[str, dict[str, float]]:
    """Predicted and measured seconds of runs that nothing was fitted to.

    Args:
        accounts: of all runs.
        alone: for one worker of one core.
        together: for two, which keep this machine busy.
    """
    found = {}
    for name, workers, costs in ((ONE, 1, alone), (TWO, 2, together)):
        sizes = sorted({run.rows for run in accounts[name]})
        for rows in sizes[1:] if name == ONE else sizes:
            work = Work(rows, images_a_row=1, rows_per_unit=UNIT)
            runs = [simulate(work, workers, costs, FILES, Node(cores=1), seed).seconds for seed in range(5)]
            measured = statistics.median(run.wall_s for run in of_size(accounts[name], rows))
            predicted = statistics.median(runs)
            found[f"{name}, {rows:,} images"] = {
                "predicted_s": predicted,
                "measured_s": measured,
                "off": predicted / measured - 1,
            }
    return found


def grown(work: Work, costs: Costs, store: Store, node: Node | None = None) -> dict[int, Outcome]:
    """The same work by more and more nodes."""
    return {nodes: simulate(work, nodes, costs, store, node or Node()) for nodes in NODES}


def knee(by_nodes: Mapping[int, Outcome]) -> tuple[int, str]:
    """So many nodes that twice as many would not be worth it any more, and the largest part that would not shrink."""
    nodes = sorted(by_nodes)
    for few, many in pairwise(nodes):
        before, after = by_nodes[few], by_nodes[many]
        if before.seconds < WORTH * after.seconds:
            held = [name for name, part in after.parts.items() if WORTH * part > before.parts.get(name, 0.0)]
            return few, max(held, key=lambda name: after.parts[name])
    return nodes[-1], by_nodes[nodes[-1]].most


def _said(checked: Mapping[str, Mapping[str, float]]) -> list[str]:
    return ["check: runs that nothing was fitted to", ""] + [
        f"  {name:30} predicted {one['predicted_s']:6.1f} s, measured {one['measured_s']:6.1f} s: {one['off']:+.1%}"
        for name, one in checked.items()
    ]


def _table(found: Mapping[int, Mapping[int, Outcome]]) -> list[str]:
    lines = [f"  {'images':>13} {'nodes':>6} {'hours':>8} {'USD':>8}  takes most of it", ""]
    for images, by_nodes in found.items():
        bend, held = knee(by_nodes)
        for nodes, one in by_nodes.items():
            mark = f" <- knee, by {held}: {BY_HAND[held]}" if nodes == bend else ""
            lines.append(
                f"  {images:13,} {nodes:6} {one.seconds / 3600:8.2f} {one.usd:8.2f}  {one.most}"
                f" ({one.parts[one.most] / one.seconds:.0%}){mark}"
            )
        lines.append("")
    return lines


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=["64", "224"], default="64", help="of the model, pixels")
    parser.add_argument("--prefixes", type=int, default=1, help="that the images are spread over")
    parser.add_argument("--fetch-concurrency", type=int, default=Store.fetch_concurrency, help="of one worker")
    parser.add_argument("--requests", type=int, default=Store.requests_together, help="requests_together")
    parser.add_argument("--rows-per-unit", type=int, default=Work.rows_per_unit)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
