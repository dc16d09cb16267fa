"""The command line: flags become a job, errors become one message and an exit code. No work is done here."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from scorer.errors import Interrupted, ScorerError, SettingsError
from scorer.settings import Job, TrainJob, load
from scorer.telemetry import hushed

app = typer.Typer(
    name="scorer",
    help="Scores marketplace listings, numbers and images together, partition by partition.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
bundle_app = typer.Typer(help="Look into a bundle, or prove that it is intact.", no_args_is_help=True)
app.add_typer(bundle_app, name="bundle")

EXIT_CODES = """\b
Exit codes: 0 published (or published already), 2 settings, 3 input, contract or bundle, 4 gate or audit,
5 another run published, 70 a bug, 75 start again (stopped, store out of reach), 99 nothing to do."""

Listings = Annotated[
    str | None, typer.Option(help="Folder or S3 prefix of the partitions; or one partition; or one Parquet file.")
]
Bundle = Annotated[str | None, typer.Option(help="Folder or S3 prefix of the bundle.")]
Predictions = Annotated[str | None, typer.Option(help="Folder or S3 prefix to publish under.")]
Quarantine = Annotated[str | None, typer.Option(help="Where refused rows go.  [default: PREDICTIONS.quarantine]")]
State = Annotated[str | None, typer.Option(help="Plans, staged files, manifests.  [default: PREDICTIONS.scorer]")]
File = Annotated[Path | None, typer.Option("--job", help="YAML file of settings; flags and environment win over it.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Any other setting: --set speed.batch_images=128. May be repeated.")
]


@app.command(epilog=EXIT_CODES)
def score(
    listings: Listings = None,
    partition: Annotated[str | None, typer.Option(help="Which partition, for instance ds=2026-11-24.")] = None,
    bundle: Bundle = None,
    predictions: Predictions = None,
    quarantine: Quarantine = None,
    state: State = None,
    job: File = None,
    settings: Set = None,
    require_partition: Annotated[
        bool | None, typer.Option("--require-partition", help="No such partition: exit 3, not 99.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, count, write nothing.")] = False,
    force: Annotated[bool | None, typer.Option("--force", help="Score again what is published already.")] = None,
) -> None:
    """Score one partition and publish its predictions."""
    with _exit_code():
        flags = _flags(settings, listings=listings, partition=partition, bundle=bundle, predictions=predictions)
        flags |= {"quarantine": quarantine, "state": state, "require_partition": require_partition, "force": force}
        wanted = load(Job, file=job, flags=flags)
        if dry_run:
            _print_estimates(wanted, [wanted.partition])
            return
        from scorer.run.score_partition import score_partition

        manifest = score_partition(wanted, _tools(wanted))
        typer.echo(manifest.predictions[0].listed.rpartition("/")[0])


@app.command(epilog=EXIT_CODES)
def backfill(
    first: Annotated[str, typer.Option("--from", help="First date, 2026-11-01, or key and value: day=2026-11-01.")],
    last: Annotated[str, typer.Option("--to", help="Last date, inclusive.")],
    listings: Listings = None,
    bundle: Bundle = None,
    predictions: Predictions = None,
    quarantine: Quarantine = None,
    state: State = None,
    job: File = None,
    settings: Set = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be scored, write nothing.")] = False,
) -> None:
    """Score every partition between two dates that is not published yet, one after the other."""
    with _exit_code():
        from scorer.run.backfill import backfill as run
        from scorer.run.backfill import missing

        flags = _flags(settings, listings=listings, bundle=bundle, predictions=predictions, quarantine=quarantine)
        wanted = load(Job, file=job, flags={**flags, "state": state})
        tools = _tools(wanted)
        todo, published = missing(wanted, first, last, tools)
        typer.echo(f"{len(published)} partition(s) published already, {len(todo)} to score.", err=True)
        if dry_run:
            _print_estimates(wanted, list(todo))
            return
        outcomes = run(wanted, todo, tools)
        for outcome in outcomes:
            verdict = "published" if outcome.error is None else f"failed, exit code {outcome.error.exit_code}"
            typer.echo(f"{outcome.partition}\t{verdict}")
        if failed := [outcome.error for outcome in outcomes if outcome.error is not None]:
            raise typer.Exit(failed[0].exit_code)


@app.command(epilog=EXIT_CODES)
def train(
    listings: Listings = None,
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    bundle: Annotated[str | None, typer.Option(help="Folder or S3 prefix to write the bundle to.")] = None,
    partition: Annotated[
        list[str] | None, typer.Option(help="Train on this partition. May be repeated.  [default: all]")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="Which towers with which sizes.")] = None,
    job: File = None,
    settings: Set = None,
) -> None:
    """Train a fused model on listings whose target is known, and write it as a bundle."""
    with _exit_code():
        flags = _flags(settings, listings=listings, target=target, bundle=bundle, recipe=recipe)
        wanted = load(TrainJob, file=job, flags={**flags, "partitions": partition or None})
        with hushed():
            from scorer.training.train import train as run

        report = run(wanted, _store(wanted), lambda line: typer.echo(line, err=True))
        typer.echo(str(report))


@app.command()
def demo(
    directory: Annotated[Path, typer.Option("--dir", help="A new or empty folder for the demo's files.")],
) -> None:
    """Make a small marketplace, train on it, score two nights: the whole way on local files in about two minutes."""
    with _exit_code():
        from scorer.demo.demo import run_demo

        run_demo(directory)


@bundle_app.command("inspect")
def inspect(bundle: Annotated[str, typer.Argument(help="Folder or S3 prefix of the bundle.")]) -> None:
    """Print what a bundle holds. Digests are checked, nothing is run."""
    with _exit_code():
        from scorer.model.bundle import load_bundle
        from scorer.objectstore import ObjectStore

        typer.echo(load_bundle(bundle, ObjectStore()).describe())


@bundle_app.command()
def verify(bundle: Annotated[str, typer.Argument(help="Folder or S3 prefix of the bundle.")]) -> None:
    """Check every digest, every graph operation, and score the golden rows again."""
    with _exit_code():
        with hushed():
            from scorer.model.predictor import verify_bundle
        from scorer.objectstore import ObjectStore

        typer.echo(verify_bundle(bundle, ObjectStore()))


@app.command()
def version() -> None:
    """Print the installed version."""
    from importlib import metadata

    typer.echo(metadata.version("scorer"))


def main() -> NoReturn:
    """Entry point of the console script and of jobs/."""
    app()
    sys.exit(0)


def _flags(settings: list[str] | None, **named: Any) -> dict[str, Any]:
    """Named flags and `--set NAME=VALUE` as dotted settings."""
    for text in settings or ():
        name, separator, value = text.partition("=")
        if not separator:
            raise SettingsError(f"--set {text!r} is not NAME=VALUE, for instance speed.batch_images=128.")
        named[name.strip()] = value
    return named


def _store(job: Job | TrainJob) -> Any:
    from scorer.objectstore import ObjectStore

    return ObjectStore(job.speed.fetch_concurrency)


def _tools(job: Job) -> Any:
    from scorer.run.tools import Tools

    return Tools(_store(job))


def _print_estimates(job: Job, partitions: list[str | None]) -> None:
    from scorer.run.estimate import estimate

    store = _store(job)
    typer.echo(f"{'partition':<24} {'files':>7} {'rows':>12} {'images':>13} {'megabytes':>10}  state")
    for partition in partitions:
        found = estimate(job.model_copy(update={"partition": partition}), store)
        state = f"published by run {found.published}" if found.published else "to score"
        size = found.bytes / 1e6
        typer.echo(
            f"{found.partition:<24} {found.files:>7,} {found.rows:>12,} {found.images:>13,} {size:>10,.1f}  {state}"
        )


@contextmanager
def _exit_code() -> Iterator[None]:
    """Errors as one message on standard error and their exit code; SIGTERM and SIGINT as a clean stop."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    except ScorerError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except (typer.Exit, SystemExit):
        raise
    except Exception as error:
        import traceback

        traceback.print_exc()
        typer.echo(
            f"A bug in scorer ({type(error).__name__}). Nothing was published. Please report the lines above.", err=True
        )
        raise typer.Exit(ScorerError.exit_code) from None


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise Interrupted(
        f"Stopped by {signal.Signals(number).name}. Nothing was published; finished units are kept."
        " Start the same command again to go on."
    )
