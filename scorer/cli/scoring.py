"""score and backfill."""

from typing import Annotated

import typer

from scorer.cli.app import EXIT_CODES, app, exit_code
from scorer.cli.options import (
    Bundle,
    File,
    Listings,
    Partition,
    Predictions,
    Quarantine,
    Set,
    State,
    named,
    store_for,
    tools_for,
)
from scorer.settings import Job, load


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
    with exit_code() as stop:
        flags = named(settings, listings=listings, partition=partition, bundle=bundle, predictions=predictions)
        flags |= {"quarantine": quarantine, "state": state, "require_partition": require_partition, "force": force}
        wanted = load(Job, file=job, flags=flags)
        if dry_run:
            _print_estimates(wanted, [wanted.partition])
            return
        from scorer.run.score_partition import score_partition

        manifest = score_partition(wanted, tools_for(wanted, stop))
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
    with exit_code() as stop:
        from scorer.run.backfill import backfill as run
        from scorer.run.backfill import missing, repair

        flags = named(settings, listings=listings, bundle=bundle, predictions=predictions, quarantine=quarantine)
        wanted = load(Job, file=job, flags={**flags, "state": state})
        tools = tools_for(wanted, stop)
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


def _print_estimates(job: Job, partitions: list[str | None]) -> None:
    from scorer.run.estimate import estimate

    store = store_for(job)
    typer.echo(f"{'partition':<24} {'files':>7} {'rows':>12} {'images':>13} {'megabytes':>10}  state")
    for partition in partitions:
        found = estimate(job.model_copy(update={"partition": partition}), store)
        state = f"published by run {found.published}" if found.published else "to score"
        size = found.bytes / 1e6
        typer.echo(
            f"{found.partition:<24} {found.files:>7,} {found.rows:>12,} {found.images:>13,} {size:>10,.1f}  {state}"
        )
