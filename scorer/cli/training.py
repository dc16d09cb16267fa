"""train, and the demo that shows the whole way."""

from pathlib import Path
from typing import Annotated

import typer

from scorer.cli.app import EXIT_CODES, app, exit_code
from scorer.cli.options import File, Listings, Set, named, store_for
from scorer.settings import TrainJob, load
from scorer.telemetry import hushed


@app.command(epilog=EXIT_CODES)
def train(
    listings: Listings = None,
    target: Annotated[
        list[str] | None, typer.Option(help="The column to predict. Repeated: further ones, by the same bundle.")
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="Folder or S3 prefix to write the bundle to.")] = None,
    partition: Annotated[
        list[str] | None, typer.Option(help="Train on this partition. May be repeated.  [default: all]")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="Which towers with which sizes.")] = None,
    fusion: Annotated[
        str | None, typer.Option(help="How numbers and images meet; all: try each, and take the best.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="A column whose equal values stay on one side of the split.")
    ] = None,
    time_column: Annotated[
        str | None, typer.Option(help="A column or partition key that says when: test on the latest listings.")
    ] = None,
    cross_validate: Annotated[
        str | None, typer.Option(help="Folds x repetitions, for instance 5x3: say more surely whether the images help.")
    ] = None,
    job: File = None,
    settings: Set = None,
) -> None:
    """Train a fused model on listings whose target is known, and write it as a bundle."""
    with exit_code():
        flags = named(
            settings,
            listings=listings,
            target=target[0] if target else None,
            further_targets=target[1:] or None if target else None,
            bundle=bundle,
            recipe=recipe,
            fusion=fusion,
            group=group,
            time_column=time_column,
            cross_validate=cross_validate,
            partitions=partition or None,
        )
        wanted = load(TrainJob, file=job, flags=flags)
        with hushed():
            from scorer.training.train import train as run

        report = run(wanted, store_for(wanted), lambda line: typer.echo(line, err=True))
        typer.echo(str(report))


@app.command()
def demo(
    directory: Annotated[Path, typer.Option("--dir", help="A new or empty folder for the demo's files.")],
) -> None:
    """Make a small marketplace, train on it, score two nights: the whole way on local files in about two minutes."""
    with exit_code():
        from scorer.demo.demo import run_demo

        run_demo(directory)
