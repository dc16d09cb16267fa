"""doctor: is everything there that the night needs?"""

from typing import Annotated

import typer

from scorer.cli.app import app, exit_code
from scorer.cli.options import Bundle, File, Listings, Predictions, Quarantine, Set, State, named
from scorer.settings import Job, load

ATTEMPTS = 2
"""Tries of one request: a person waits for the answer."""


@app.command(epilog="Exit code: 0, or that of the first check that failed: 2 settings, 3 input, 75 store.")
def doctor(
    listings: Listings = None,
    partition: Annotated[str | None, typer.Option(help="Which partition.  [default: the last one]")] = None,
    bundle: Bundle = None,
    predictions: Predictions = None,
    quarantine: Quarantine = None,
    state: State = None,
    job: File = None,
    settings: Set = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what needs TensorFlow: 20 seconds less.")] = False,
) -> None:
    """Try everything that a job needs: machine, credentials, permissions, bundle, listings, 20 images. Scores nothing.

    Writes small objects under a scratch prefix of state, predictions and quarantine, and removes them again.
    """
    with exit_code() as stop:
        from scorer.objectstore import ObjectStore
        from scorer.objectstore.retry import Patience
        from scorer.run.doctor import examine
        from scorer.run.tools import Tools

        flags = named(
            settings,
            listings=listings,
            partition=partition,
            bundle=bundle,
            predictions=predictions,
            quarantine=quarantine,
            state=state,
        )
        wanted = load(Job, file=job, flags=flags)
        store = ObjectStore(wanted.speed.fetch_concurrency, Patience(ATTEMPTS))
        failed = []
        for finding in examine(wanted, Tools(store, stop=stop), quick=quick):
            typer.echo(f"{finding.verdict:<5} {finding.check:<12} {finding.text}")
            if finding.advice:
                typer.echo(f"{'':<5} {'':<12} -> {finding.advice}")
            if finding.verdict == "fail":
                failed.append(finding)
        if failed:
            raise typer.Exit(failed[0].exit_code)
