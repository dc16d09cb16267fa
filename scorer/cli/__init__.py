"""The command line: flags become a job. No work is done here; one file a group of commands."""

import sys
from typing import NoReturn

import typer

# In the order in which `scorer --help` lists them.
# isort: off
from scorer.cli.app import app as app
from scorer.cli import scoring as scoring
from scorer.cli import backfill as backfill
from scorer.cli import report as report
from scorer.cli import housekeeping as housekeeping
from scorer.cli import quality as quality
from scorer.cli import explaining as explaining
from scorer.cli import doctor as doctor
from scorer.cli import training as training
from scorer.cli import bundles as bundles
# isort: on


@app.command()
def version() -> None:
    """Print the installed version."""
    from importlib import metadata

    typer.echo(metadata.version("scorer"))


def main() -> NoReturn:
    """Entry point of the console script and of jobs/."""
    app()
    sys.exit(0)
