"""How good the models are beside what they have to beat, by repeated grouped cross-validation.

    python -m benchmarks.accuracy                            # the demo's market, every fusion
    python -m benchmarks.accuracy --listings FOLDER          # your own listings with their default fusion, three times
    BENCH_LISTINGS=FOLDER python -m benchmarks.accuracy      # the same
    python -m benchmarks.accuracy --listings FOLDER --at-least zipcode=25   # of ZIP codes with 25 listings or more

The last line on standard output is JSON. Listings whose target is zero have no percentage error, and are refused.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.held_out import IMAGES, NUMBERS, PRESENT, SHIFTED, SHUFFLED, HeldOut, hold_out, with_images
from benchmarks.workload import say
from scorer.demo.market import make_market
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.model.fusions import FUSIONS
from scorer.model.towers import build_tower
from scorer.objectstore import ObjectStore
from scorer.settings import TrainJob, load
from scorer.training.baselines import BASELINES
from scorer.training.embed import embed_images
from scorer.training.examples import Examples, open_partitions, read_examples
from scorer.training.images import Source
from scorer.training.prepare import Data, gather
from scorer.training.recipes import design_of

MARKET = {"seed": 0, "listings": 600}
HOMES = "the demo's market"


def main(arguments: Sequence[str]) -> None:
    """Measure what is asked for."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="scorer-accuracy-") as name:
        folder, found = Path(name), {}
        if options.listings:
            job = _job(options, listings=options.listings, target=options.target)
            found[options.listings] = _measured(job, options.fusions, options.repeats, options, folder)
        else:
            market = make_market(folder / "market", **MARKET)
            job = _job(options, listings=str(market.listings), target="price", partitions=(market.nights[0],))
            found[HOMES] = _measured(job, options.fusions or list(FUSIONS), options.repeats, options, folder)
    print(json.dumps(found))


def gathered(job: TrainJob, folder: Path, at_least: tuple[str, int] | None = None) -> Data:
    """Read listings and images, and embed these once for all folds where the image tower stays as it is.

    Args:
        job: which listings, which target, which recipe.
        folder: for decoded images and embeddings.
        at_least: a column, and how many listings must share its value for them to be kept.
    """
    store, design = ObjectStore(), design_of(job)
    partitions = open_partitions(job, store)
    with Fetcher(store, job.images, job.speed.fetch_concurrency) as fetcher:
        places = ImagePlaces.of(partitions[0].base, job.sources)
        source = Source(fetcher, places, job.images, job.speed.fetch_concurrency)
        examples = read_examples(partitions, job, design.pixels, source, store, folder)
    if not (examples.target != 0).all():
        raise SystemExit(f"{job.target} is zero in some listings, so they have no percentage error. Leave them out.")
    embedded = None
    if design.frozen:
        tower = build_tower(design.pixels.size, design.pixels.scaling, design.recipe)
        embedded = embed_images(tower, examples.cache, folder, say)
    examples = examples if at_least is None else some_rows(examples, frequent(examples, *at_least))
    return gather(examples, np.arange(len(examples.target)), job, design, embedded, folder, say)


def frequent(examples: Examples, column: str, least: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Rows whose value in a column so many listings share, int64, ascending."""
    values = examples.table.column(column).to_pylist()
    counts = Counter(values)
    return np.flatnonzero([counts[value] >= least for value in values])


def some_rows(examples: Examples, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Examples:
    """Those listings alone, with all decoded images."""
    return replace(
        examples,
        table=examples.table.take(pa.array(rows)),
        target=examples.target[rows],
        given=examples.given[rows],
        images=examples.images[rows],
        groups=examples.groups[rows],
        times=None if examples.times is None else examples.times[rows],
        weights=None if examples.weights is None else examples.weights[rows],
    )


def figures(found: HeldOut, fusions: Sequence[str]) -> dict[str, Any]:
    """Plain JSON: errors by name, and for each fusion what the images gave."""
    errors = {}
    for name in found.told:
        each = found.errors(name)
        repeats = each.mean(axis=1)
        errors[name] = {
            "mape": float(repeats.mean()),
            "sd": float(repeats.std(ddof=1)) if len(repeats) > 1 else None,
            "repetitions": repeats.tolist(),
            "median_ape": float(np.median(each, axis=1).mean()),
        }
    return {
        "listings": len(found.target),
        "errors": errors,
        "fusions": {name: _of_fusion(found, name) for name in fusions},
    }


def _of_fusion(found: HeldOut, fusion: str) -> dict[str, Any]:
    less, low, high = found.less_than(fusion, NUMBERS)
    return {
        "points_less": less,
        "interval": [low, high],
        "share_less": less / float(found.errors(NUMBERS).mean()),
        "points_less_shuffled": list(found.less_than(fusion + SHUFFLED, NUMBERS)),
        "by_images": {images: float(found.errors(with_images(fusion, images)).mean()) for images in PRESENT},
        "in_interval": found.coverage(fusion),
        "seconds_a_fit": float(np.mean(found.seconds[fusion])),
    }


def table(figures: dict[str, Any]) -> str:
    """For people."""
    shown = [*BASELINES, IMAGES, IMAGES + SHUFFLED, NUMBERS, NUMBERS + SHIFTED]
    for fusion in figures["fusions"]:
        shown += [fusion, fusion + SHIFTED, fusion + SHUFFLED]
    lines = [f"{'':40}{'MAPE %':>8}{'sd':>6}{'median APE %':>14}  repetitions"]
    for name in shown:
        if (one := figures["errors"].get(name)) is not None:
            spread = "-" if one["sd"] is None else f"{one['sd']:.2f}"
            each = " ".join(f"{value:.1f}" for value in one["repetitions"])
            lines.append(f"{name:40}{one['mape']:8.2f}{spread:>6}{one['median_ape']:14.1f}  {each}")
    lines += [
        "",
        f"{'':18}{'less than the numbers alone by':32}{'shuffled':26}{'4, 2, 1, 0 images':24}in interval  s a fit",
    ]
    for fusion, one in figures["fusions"].items():
        low, high = one["interval"]
        gain = f"{one['points_less']:.2f} ({low:.2f} to {high:.2f}), {one['share_less']:.0%}"
        shuffled = "{:.2f} ({:.2f} to {:.2f})".format(*one["points_less_shuffled"])
        present = " ".join(f"{value:.1f}" for value in one["by_images"].values())
        inside = "-" if one["in_interval"] is None else f"{one['in_interval']:.1%}"
        lines.append(f"{fusion:18}{gain:32}{shuffled:26}{present:24}{inside:>11}{one['seconds_a_fit']:9.1f}")
    return "\n".join(lines)


def _measured(job: TrainJob, fusions: Sequence[str], repeats: int, options: argparse.Namespace, folder: Path) -> Any:
    data = gathered(job, folder, options.at_least)
    fusions = fusions or [data.design.fusion]
    found = figures(hold_out(data, fusions, options.folds, repeats, say), fusions)
    groups = len(np.unique(data.examples.groups))
    say(f"\n{job.listings}: {len(data.examples):,} listings in {groups:,} groups, {options.folds} folds x {repeats}\n")
    say(table(found))
    return found


def _job(options: argparse.Namespace, **settings: Any) -> TrainJob:
    flags = {"bundle": "unused", "recipe": options.recipe, **settings}
    return load(TrainJob, file=None, flags={**flags, **dict(one.split("=", 1) for one in options.set)})


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--listings", default=os.environ.get("BENCH_LISTINGS"))
    parser.add_argument("--target", default="price")
    parser.add_argument("--recipe", default="lite0")
    parser.add_argument("--set", action="append", default=[], help="a setting of the training, NAME=VALUE")
    parser.add_argument("--fusions", nargs="*", choices=list(FUSIONS))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=None, help="by default 3; 1 of the demo's market")
    parser.add_argument("--at-least", type=_at_least, help="COLUMN=N: only listings whose value so many share")
    options = parser.parse_args(arguments)
    options.repeats = options.repeats or (3 if options.listings else 1)
    return options


def _at_least(text: str) -> tuple[str, int]:
    column, _, least = text.partition("=")
    return column, int(least)


if __name__ == "__main__":
    main(sys.argv[1:])
