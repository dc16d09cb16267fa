"""The command line's frame: errors become one message and an exit code, signals a clean stop."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from scorer.cli.words import harmless
from scorer.errors import ScorerError

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

EXIT_CODES = """\b
Exit codes: 0 published (or published already; a shard: its share is done), 2 settings, 3 input, contract or bundle,
4 gate or audit, 5 another run published, 70 a bug, 75 start again (stopped, store out of reach), 99 nothing to do."""


@contextmanager
def exit_code() -> Iterator["Stop"]:
    """Errors as one message on standard error and their exit code; SIGTERM and SIGINT as a clean stop."""
    from scorer.run.stop import Stop

    stop = Stop()
    try:
        with stop.listening():
            yield stop
    except ScorerError as error:
        typer.echo(harmless(f"{type(error).__name__}: {error}"), err=True)
        raise typer.Exit(error.exit_code) from None
    except (typer.Exit, SystemExit):
        raise
    except Exception as error:
        import traceback

        traceback.print_exc()
        became = stop.published or stop.otherwise or "Nothing was published."
        typer.echo(f"A bug in scorer ({type(error).__name__}). {became} Please report the lines above.", err=True)
        raise typer.Exit(ScorerError.exit_code) from None
