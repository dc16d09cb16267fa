"""What the demo prints: sentences and tables, made from what the run left on disk."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from scorer.contracts import reason_texts
from scorer.demo.market import Market
from scorer.demo.photos import FLAWS
from scorer.output.manifest import RunManifest

HEAD = 8
"""Predictions shown."""

STYLES = {"scored": "green", "degraded": "yellow", "failed": "red", "quarantined": "magenta"}

PLACES = {
    "listings/ds=*/": "the input: Parquet, one folder a night",
    "images/": "the photos",
    "bundle/": "the trained model, with all that a score depends on",
    "predictions/ds=*/": "the output: a row for every listing that is not quarantined",
    "quarantine/ds=*/": "the rows that cannot be scored, with their reasons",
    "predictions.scorer/": "the job's own state: plans, staged files, manifests, pages",
}
"""What lies in the demo's folder."""


def say(console: Console, what: str | Table) -> None:
    """A paragraph or a table below a chapter's title, wrapped where the window ends."""
    console.print(Padding(what, (0, 0, 0, 3), expand=False))


def say_market(console: Console, market: Market) -> None:
    """How large it is, and what is wrong with it on purpose."""
    homes, photos, nights = len(market.homes), len(market.photos), len(market.nights)
    flawed = sum(photo.flaw is not None for photo in market.photos)
    say(
        console,
        f"{homes:,} homes with {photos:,} photos over {nights} nights. How well a home is kept moves its price by up to"
        " 40 %. No column says it; the photos show it.",
    )
    say(
        console,
        f"Wrong on purpose: {flawed} photos ({', '.join(FLAWS)}); on the later nights a listing_id given twice, one"
        " that is null, and a city that the model has never seen.",
    )


def say_metrics(console: Console, text: str) -> None:
    """The training's own account of its errors."""
    say(console, "\n" + escape(text))


def say_run(console: Console, manifest: RunManifest) -> None:
    """Rows in and out of one night."""
    counts = manifest.counts
    say(
        console,
        f"{manifest.partition}: {counts.rows_in:,} rows in = [green]{counts.scored:,} scored[/]"
        f" + [yellow]{counts.degraded:,} degraded[/] + [red]{counts.failed:,} failed[/]"
        f" + [magenta]{counts.quarantined:,} quarantined[/]",
    )


def say_predictions(console: Console, market: Market, manifest: RunManifest) -> None:
    """The first predictions of a night beside what the sellers ask."""
    homes = {home.listing_id: home for home in market.homes}
    night = market.nights.index(manifest.partition)
    table = _table(f"The first {HEAD} predictions of {manifest.partition}, in EUR")
    for name in ("listing_id", "asked", "prediction", "status", "reasons", "images"):
        table.add_column(name, justify="right" if name in ("asked", "prediction") else "left")
    for row in _rows(market.directory / "predictions" / manifest.partition)[:HEAD]:
        prediction = "-" if row["prediction"] is None else f"{row['prediction']:,.0f}"
        table.add_row(
            row["listing_id"],
            f"{homes[row['listing_id']].prices[night]:,}",
            prediction,
            f"[{STYLES[row['status']]}]{row['status']}[/]",
            ", ".join(row["reasons"]),
            f"{row['images_used']} of {row['images_given']}",
        )
    say(console, table)


def say_gaps(console: Console, market: Market) -> None:
    """What was degraded or quarantined on any night, how often and why, each with an example."""
    texts = reason_texts()
    for became, found in _gaps(market).items():
        table = _table(f"{became.capitalize()} on the scored nights, and why")
        for name in ("reason", "rows", "for instance", "which means"):
            table.add_column(name, justify="right" if name == "rows" else "left", no_wrap=name == "reason")
        for reason, ids in sorted(found.items()):
            cells = (f"[{STYLES[became]}]{reason}[/]", f"{len(ids):,}", ids[0] or "(null)", texts.get(reason, ""))
            table.add_row(*cells)
        if found:
            say(console, table)


def say_newcomers(console: Console, market: Market) -> None:
    """The error on homes that the training cannot have seen in any form."""
    new = {home.listing_id: home.prices[-1] for home in market.homes if home.nights.start > 0}
    last = _rows(market.directory / "predictions" / market.nights[-1])
    errors = [
        abs(row["prediction"] / new[row["listing_id"]] - 1)
        for row in last
        if row["listing_id"] in new and row["prediction"] is not None
    ]
    say(
        console,
        f"\n{len(errors):,} homes of the last night came on the market after the training. Half of them are predicted"
        f" to within [bold]{100 * float(np.median(errors)):.1f} %[/] of what is asked.",
    )


def say_places(console: Console, market: Market) -> None:
    """Where everything is."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, meaning in PLACES.items():
        table.add_row(f"[cyan]{escape(f'{market.directory}/{name}')}[/]", meaning)
    say(console, table)


def say_pages(console: Console, pages: list[str]) -> None:
    """Where the pages of the runs lie: one of each night, and one of all of them."""
    say(console, "\nEach run left a page for a browser, the last one shows all of them:")
    for page in pages:
        near = os.path.relpath(page)
        console.print(f"   {page if near.startswith('..') else near}", soft_wrap=True, markup=False)


def say_next(console: Console, market: Market, seconds: float) -> None:
    """What to type next."""
    place, scorer = shlex.quote(str(market.directory)), _command("scorer")
    console.print(f"\n[bold]Done in {seconds:.0f} s.[/] Type next:\n")
    again = (
        f"{scorer} score --listings {place}/listings --partition {market.nights[-1]} --bundle {place}/bundle"
        f" --predictions {place}/predictions --quarantine {place}/quarantine"
    )
    look = f"import pandas; print(pandas.read_parquet({str(market.directory / 'predictions')!r}))"
    for meaning, line in (
        ("the last night once more: it is published already, so nothing is done", again),
        ("what is inside the bundle", f"{scorer} bundle inspect {place}/bundle"),
        ("every prediction", f"{_command('python')} -c {shlex.quote(look)}"),
    ):
        console.print(f"  [dim]# {meaning}[/]")
        console.print(f"  {line}", soft_wrap=True, markup=False)
    console.print("\nThe tutorial goes on from here: docs/tutorial.md")


def _table(title: str) -> Table:
    return Table(title=f"\n{title}", title_justify="left", title_style="bold", box=SIMPLE, padding=(0, 1))


def _gaps(market: Market) -> dict[str, dict[str, list[Any]]]:
    """degraded, failed and quarantined -> reason -> ids of the rows that carry it, over all nights."""
    found: dict[str, dict[str, list[Any]]] = {"degraded": {}, "failed": {}, "quarantined": {}}
    for row in _rows(market.directory / "predictions"):
        for reason in row["reasons"]:
            found[row["status"]].setdefault(reason, []).append(row["listing_id"])
    for row in _rows(market.directory / "quarantine"):
        found["quarantined"].setdefault(row["reason"], []).append(row["listing_id"])
    return found


def _rows(place: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ds.dataset(place, format="parquet").to_table().to_pylist()
    return rows


def _command(name: str) -> str:
    """The name where the shell finds it, else the path of our environment's own."""
    ours = Path(sys.executable).parent / name
    if shutil.which(name) == str(ours) or not ours.exists():
        return name
    near = os.path.relpath(ours)
    return str(ours) if near.startswith("..") else near
