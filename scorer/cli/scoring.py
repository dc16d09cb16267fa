"""score: one partition."""

from typing import Annotated

import typer

from scorer.cli.app import EXIT_CODES, app, exit_code
from scorer.cli.arrow import spare_pandas
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
    print_table,
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
    reuse: Annotated[
        str | None, typer.Option(help="Take over from earlier runs: none, embeddings, or rows (embeddings, too).")
    ] = None,
    embeddings: Annotated[
        str | None, typer.Option(help="The store of embeddings.  [default: PREDICTIONS.embeddings]")
    ] = None,
    reuse_from: Annotated[
        str | None, typer.Option(help="Partition to carry rows from.  [default: the latest earlier one by this bundle]")
    ] = None,
    audit_reuse: Annotated[
        float | None, typer.Option(help="Share of what is taken over that is computed all the same, and compared.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="local: this process; ray: the workers of a Ray cluster, see the settings.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(help="0/3, 1/3, 2/3: one of three equal shares; the last to finish publishes.")
    ] = None,
    summary: Annotated[
        str | None, typer.Option(help="File for the outcome as one line of JSON, however the run ends; - for stdout.")
    ] = None,
) -> None:
    """Score one partition and publish its predictions."""
    with exit_code() as stop:
        flags = named(
            settings,
            listings=listings,
            partition=partition,
            bundle=bundle,
            predictions=predictions,
            quarantine=quarantine,
            state=state,
            require_partition=require_partition,
            force=force,
            reuse=reuse,
            reuse_from=reuse_from,
            audit_reuse=audit_reuse,
            engine=engine,
            shard=shard,
            **{"embeddings.uri": embeddings},
        )
        wanted = load(Job, file=job, flags=flags)
        spare_pandas()
        if dry_run:
            _print_estimate(wanted)
            return
        from scorer.run.audience import audience
        from scorer.run.score_partition import score_partition
        from scorer.run.summary import Summary

        kept = Summary()
        try:
            kept.manifest = score_partition(wanted, tools_for(wanted, stop), [*audience(wanted), kept])
            typer.echo(kept.manifest.predictions[0].listed.rpartition("/")[0])
        finally:
            if summary is not None:
                kept.write(summary)


def _print_estimate(job: Job) -> None:
    from scorer.run.check import check
    from scorer.run.estimate import cost, size
    from scorer.run.pace import pace_of, threads_of
    from scorer.run.reuse import expectation
    from scorer.run.tools import Tools

    store = store_for(job)
    checked = check(job, store)
    found = size(job, checked, store, Tools(store))
    pace, basis = pace_of(job, checked.bundle, store)
    seconds = found.seconds(pace, threads_of(job.speed)) if pace and not found.published else None
    line = {
        "partition": found.partition,
        "files": f"{found.files:,}",
        "rows": f"{found.rows:,}",
        "images": f"{found.images:,}",
        "megabytes": f"{found.bytes / 1e6:,.1f}",
        "minutes": "-" if seconds is None else f"{seconds / 60:,.1f}",
    }
    if job.costs.price_per_hour is not None:
        line["cost"] = "-" if seconds is None else cost(seconds, job.costs)
    print_table([{**line, "state": f"published by run {found.published}" if found.published else "to score"}])
    if found.known is not None:
        typer.echo(expectation.sentence(expectation.expected(found.known, seconds)))
    if not found.published:
        typer.echo(basis, err=True)
