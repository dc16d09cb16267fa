"""The whole job on a made-up marketplace: train on its first night, score the others, show what came out."""

import io
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from scorer.demo import tables
from scorer.demo.market import Market, make_market
from scorer.errors import SettingsError
from scorer.objectstore import ObjectStore
from scorer.output.manifest import RunManifest
from scorer.run.report.observer import RunPage
from scorer.run.report.series import write_series
from scorer.run.score_partition import score_partition
from scorer.run.tools import Tools
from scorer.settings import Job, TrainJob
from scorer.telemetry import Reporter, hushed

MARK = "market.json"
MADE_BY_US = ("listings", "images", "bundle", "predictions", "predictions.scorer", "quarantine", MARK)
"""What an earlier demo left, and a new one replaces. Anything else in the folder stays."""

EPOCHS = 20
"""The error on the test listings falls by little after that, and each epoch takes 2.2 s on two cores."""


def run_demo(directory: Path, *, seed: int = 0, listings: int = 600, console: Console | None = None) -> None:
    """Leaves DIR/listings, images, bundle, predictions, predictions.scorer and quarantine, and says what they are.

    Args:
        directory: empty, missing, or that of an earlier demo, which is replaced.
        seed: of the marketplace and of the training.
        listings: homes on the marketplace; the default trains in about a minute on two cores.
        console: where the story is told; by default standard output.

    Raises:
        SettingsError: the directory holds something else; nothing in it was touched.
    """
    console, started = console or Console(highlight=False), time.monotonic()
    make_room(directory)
    with _chapter(console, 1, "A marketplace is made up"):
        market = make_market(directory, seed, listings)
        tables.say_market(console, market)
    with _chapter(console, 2, f"A model is trained on the first night, {market.nights[0]}: about a minute"):
        _train(market, seed, console)
    with _chapter(console, 3, "The other nights are scored"):
        runs = [_score(market, night, console) for night in market.nights[1:]]
    manifests, pages = [run[0] for run in runs], [run[1] for run in runs]
    _title(console, 4, "What came out")
    tables.say_predictions(console, market, manifests[-1])
    tables.say_gaps(console, market)
    tables.say_newcomers(console, market)
    _title(console, 5, "Where everything is")
    tables.say_places(console, market)
    tables.say_pages(console, [*pages, _series(market)])
    tables.say_next(console, market, time.monotonic() - started)


def job_for(directory: Path, night: str) -> Job:
    """The scoring job of one night of the demo's marketplace; what the story's last lines give as flags."""
    return Job(
        listings=str(directory / "listings"),
        partition=night,
        bundle=str(directory / "bundle"),
        predictions=str(directory / "predictions"),
        quarantine=str(directory / "quarantine"),
    )


def make_room(directory: Path) -> None:
    """Remove what an earlier demo left. Raises SettingsError where the directory holds something else."""
    if directory.exists() and not directory.is_dir():
        raise SettingsError(f"{directory} is a file; the demo needs a folder. Nothing was touched. Name another --dir.")
    if directory.is_dir() and any(directory.iterdir()) and not _is_demo(directory):
        raise SettingsError(
            f"{directory} is not empty and holds no earlier demo. Nothing in it was touched. Name another --dir."
        )
    for name in MADE_BY_US:
        place = directory / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def _is_demo(directory: Path) -> bool:
    try:
        about = json.loads((directory / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("made_by") == "scorer demo"


def _title(console: Console, number: int, title: str) -> None:
    console.print(f"\n[bold cyan]{number}[/]  [bold]{title}[/]")


@contextmanager
def _chapter(console: Console, number: int, title: str) -> Iterator[None]:
    """A title, and below what follows the time that it took."""
    _title(console, number, title)
    started = time.monotonic()
    yield
    tables.say(console, f"[dim]{time.monotonic() - started:.0f} s[/]")


def _train(market: Market, seed: int, console: Console) -> None:
    with hushed():
        import tensorflow as tf

        from scorer.training.train import train

        tf.config.list_physical_devices()  # looks for a GPU, and complains where there is none

    job = TrainJob(
        listings=str(market.listings),
        partitions=(market.nights[0],),
        target="price",
        recipe="small",
        bundle=str(market.directory / "bundle"),
        seed=seed,
        epochs=EPOCHS,
    )
    with console.status("Training") as status:
        report = train(job, ObjectStore(), lambda text: status.update(escape(text)))
    tables.say_metrics(console, report.text)


def _score(market: Market, night: str, console: Console) -> tuple[RunManifest, str]:
    """The run, and where its page lies.

    On a terminal the job speaks for itself, with its progress; elsewhere one line says how it ended.
    """
    stream = sys.stderr if console.is_terminal else io.StringIO()
    job = job_for(market.directory, night)
    page = RunPage(job.page.gallery)
    manifest = score_partition(job, Tools(reporter=Reporter(stream, people=True)), [page])
    if not console.is_terminal:
        tables.say_run(console, manifest)
    return manifest, page.uri


def _series(market: Market) -> str:
    """All scored nights on one page; where it lies."""
    job = job_for(market.directory, market.nights[-1])
    return write_series(job.state_uri, job.predictions, len(market.nights), None, ObjectStore())
