"""report: past runs on one page, or where the page of one run lies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scorer.cli.app import app, exit_code
from scorer.cli.options import File, Partition, Predictions, State, places, plain_store
from scorer.errors import NothingToDo, SettingsError
from scorer.settings import Housekeeping, Job, load

if TYPE_CHECKING:
    from scorer.objectstore import ObjectStore


@app.command()
def report(
    predictions: Predictions = None,
    partition: Partition = None,
    last: Annotated[int, typer.Option(min=1, max=1000, help="How many runs, the latest.")] = 30,
    out: Annotated[Path | None, typer.Option(help="File to write.  [default: STATE/report.html]")] = None,
    run: Annotated[str | None, typer.Option(help="Only say where the page of this run lies.")] = None,
    state: State = None,
    job: File = None,
) -> None:
    """Draw the past runs as one HTML page that needs no network: volumes, drift, time and cost, failures, versions."""
    with exit_code():
        wanted = load(Housekeeping, file=job, flags=places(predictions, state, partition), besides=Job)
        store = plain_store()
        if run is not None:
            typer.echo("\n".join(_pages(wanted, run, store)))
            return
        from scorer.run.report.series import series_page, write_series

        wish = (wanted.state_uri, wanted.predictions, last, wanted.partition, store)
        if out is None:
            typer.echo(write_series(*wish))
        else:
            _write(series_page(*wish), out)
            typer.echo(str(out))


def _pages(wanted: Housekeeping, run: str, store: "ObjectStore") -> list[str]:
    """The pages of a run that are still there, one for each of its starts."""
    from scorer.run.report.journal import of_run

    entries = of_run(wanted.state_uri, run, store)
    if not entries:
        raise NothingToDo(
            f"No run {run} has left an entry in {wanted.state_uri}. `scorer report` lists those that have."
        )
    pages = [entry.page for entry in entries if entry.page and store.exists(entry.page)]
    if not pages:
        raise NothingToDo(f"The page of run {run} was removed, as `scorer gc` does with what was superseded long ago.")
    return pages


def _write(page: str, out: Path) -> None:
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"The page cannot be written to {out}: {error.strerror}. Name another --out.") from None
