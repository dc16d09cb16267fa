"""The command line: flags become a job, errors become one message and an exit code. No work is done here."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from scorer.errors import ScorerError, SettingsError
from scorer.settings import Housekeeping, Job, TrainJob, load
from scorer.telemetry import hushed

if TYPE_CHECKING:
    from scorer.run.stop import Stop

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
Partition = Annotated[str | None, typer.Option(help="Which partition, for instance ds=2026-11-24.")]
SingleWriter = Annotated[
    bool | None, typer.Option("--single-writer", help="Nobody else publishes there meanwhile; see the settings.")
]
File = Annotated[Path | None, typer.Option("--job", help="YAML file of settings; flags and environment win over it.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Any other setting: --set speed.batch_images=128. May be repeated.")
]


@app.command(epilog=EXIT_CODES)
def score(
    listings: Listings = None,
    partition: Partition = None,
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
    with _exit_code() as stop:
        flags = _flags(settings, listings=listings, partition=partition, bundle=bundle, predictions=predictions)
        flags |= {"quarantine": quarantine, "state": state, "require_partition": require_partition, "force": force}
        wanted = load(Job, file=job, flags=flags)
        if dry_run:
            _print_estimates(wanted, [wanted.partition])
            return
        from scorer.run.score_partition import score_partition

        manifest = score_partition(wanted, _tools(wanted, stop))
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
    with _exit_code() as stop:
        from scorer.run.backfill import backfill as run
        from scorer.run.backfill import missing, repair

        flags = _flags(settings, listings=listings, bundle=bundle, predictions=predictions, quarantine=quarantine)
        wanted = load(Job, file=job, flags={**flags, "state": state})
        tools = _tools(wanted, stop)
        todo, published = missing(wanted, first, last, tools)
        typer.echo(f"{len(published)} partition(s) published already, {len(todo)} to score.", err=True)
        if dry_run:
            _print_estimates(wanted, list(todo))
            return
        repair(wanted, published, tools)
        outcomes = run(wanted, todo, tools)
        for outcome in outcomes:
            verdict = "published" if outcome.error is None else f"failed, exit code {outcome.error.exit_code}"
            typer.echo(f"{outcome.partition}\t{verdict}")
        if failed := [outcome.error for outcome in outcomes if outcome.error is not None]:
            raise typer.Exit(failed[0].exit_code)


@app.command()
def versions(
    predictions: Predictions = None,
    partition: Partition = None,
    state: State = None,
    job: File = None,
) -> None:
    """List the versions of a partition that readers have seen, oldest first, and which one is current."""
    with _exit_code():
        from scorer.run.rollback import history

        wanted = load(Housekeeping, file=job, flags=_places(predictions, state, partition), besides=Job)
        _print_table(history(wanted, _plain_store()))


@app.command(epilog=EXIT_CODES)
def rollback(
    predictions: Predictions = None,
    partition: Partition = None,
    to: Annotated[
        str | None, typer.Option(help="Run to go back to; see `versions`.  [default: the one before]")
    ] = None,
    state: State = None,
    job: File = None,
    single_writer: SingleWriter = None,
) -> None:
    """Show readers an earlier version of a partition again. Nothing is deleted: it is one more entry in the record."""
    with _exit_code() as stop:
        from scorer.run.rollback import rollback as run
        from scorer.run.tools import Tools

        flags = {**_places(predictions, state, partition), "single_writer": single_writer}
        wanted = load(Housekeeping, file=job, flags=flags, besides=Job)
        typer.echo(run(wanted, to, Tools(_plain_store(), stop=stop)).run_id)


@app.command(epilog=EXIT_CODES)
def gc(
    predictions: Predictions = None,
    partition: Annotated[str | None, typer.Option(help="Only this partition.  [default: all]")] = None,
    older_than: Annotated[
        str | None, typer.Option(help="Leave what is younger: 7d, 12h, 30m. Longer than any run.  [default: 7d]")
    ] = None,
    keep_versions: Annotated[
        int | None, typer.Option(help="Superseded versions to leave whatever their age.  [default: 3]")
    ] = None,
    state: State = None,
    job: File = None,
    single_writer: SingleWriter = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, remove nothing.")] = False,
) -> None:
    """Remove old staging and versions superseded long ago; never a published current one. Safe while runs work."""
    with _exit_code() as stop:
        from scorer.run.gc import collect
        from scorer.run.tools import Tools

        flags = {**_places(predictions, state, partition), "older_than": older_than, "keep_versions": keep_versions}
        flags["single_writer"] = single_writer
        wanted = load(Housekeeping, file=job, flags=flags, besides=Job)
        for collected in collect(wanted, Tools(_plain_store(), stop=stop), dry_run):
            for uri in collected.uris:
                typer.echo(uri)
            typer.echo(collected.sentence("would be removed" if dry_run else "removed"), err=True)


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
        from scorer.model.description import describe
        from scorer.objectstore import ObjectStore

        typer.echo(describe(load_bundle(bundle, ObjectStore())))


@bundle_app.command()
def sign(
    bundle: Annotated[str, typer.Argument(help="Folder or S3 prefix of the bundle.")],
    key: Annotated[Path, typer.Option(help="File with an Ed25519 private key, PEM, as `openssl genpkey` makes it.")],
) -> None:
    """Vouch for a bundle: jobs whose bundle_key is the key's public half score by no other."""
    with _exit_code():
        from scorer.model import signature
        from scorer.model.bundle import load_bundle
        from scorer.objectstore import ObjectStore

        try:
            private_key = key.read_bytes()
        except OSError as error:
            raise SettingsError(f"The key {key} cannot be read: {error.strerror}. Nothing was signed.") from None
        loaded = load_bundle(bundle, ObjectStore())
        signature.sign(loaded.uri, loaded.digest, private_key, ObjectStore())
        typer.echo(f"Signed {loaded.name} {loaded.version} ({loaded.digest}).")


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


def _plain_store() -> Any:
    from scorer.objectstore import ObjectStore

    return ObjectStore()


def _tools(job: Job, stop: "Stop") -> Any:
    from scorer.run.tools import Tools

    stop.grace_seconds = job.grace_seconds
    return Tools(_store(job), stop=stop)


def _places(predictions: str | None, state: str | None, partition: str | None) -> dict[str, Any]:
    return {"predictions": predictions, "state": state, "partition": partition}


def _print_table(lines: list[dict[str, str]]) -> None:
    """Columns as wide as their widest cell."""
    names = list(lines[0])
    widths = {name: max(len(name), *(len(line[name]) for line in lines)) for name in names}
    for cells in ({name: name for name in names}, *lines):
        typer.echo("  ".join(cells[name].ljust(widths[name]) for name in names).rstrip())


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
def _exit_code() -> Iterator["Stop"]:
    """Errors as one message on standard error and their exit code; SIGTERM and SIGINT as a clean stop."""
    from scorer.run.stop import Stop

    stop = Stop()
    try:
        with stop.listening():
            yield stop
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
