"""versions, rollback and gc."""

from typing import Annotated

import typer

from scorer.cli.app import EXIT_CODES, app, exit_code
from scorer.cli.options import File, Partition, Predictions, SingleWriter, State, places, plain_store, print_table
from scorer.settings import Housekeeping, Job, load


@app.command()
def versions(
    predictions: Predictions = None,
    partition: Partition = None,
    state: State = None,
    job: File = None,
) -> None:
    """List the versions of a partition that readers have seen, oldest first, and which one is current."""
    with exit_code():
        from scorer.run.rollback import history

        wanted = load(Housekeeping, file=job, flags=places(predictions, state, partition), besides=Job)
        print_table(history(wanted, plain_store()))


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
    with exit_code() as stop:
        from scorer.run.rollback import rollback as run
        from scorer.run.tools import Tools

        flags = {**places(predictions, state, partition), "single_writer": single_writer}
        wanted = load(Housekeeping, file=job, flags=flags, besides=Job)
        typer.echo(run(wanted, to, Tools(plain_store(), stop=stop)).run_id)


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
    with exit_code() as stop:
        from scorer.run.gc import collect
        from scorer.run.tools import Tools

        flags = {**places(predictions, state, partition), "older_than": older_than, "keep_versions": keep_versions}
        flags["single_writer"] = single_writer
        wanted = load(Housekeeping, file=job, flags=flags, besides=Job)
        for collected in collect(wanted, Tools(plain_store(), stop=stop), dry_run):
            for uri in collected.uris:
                typer.echo(uri)
            typer.echo(collected.sentence("would be removed" if dry_run else "removed"), err=True)
