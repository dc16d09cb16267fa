"""backfill: the partitions between two dates."""

import json as plain_json
import time
from typing import Annotated

import typer

from scorer.cli.app import EXIT_CODES, app, exit_code
from scorer.cli.options import (
    Bundle,
    File,
    Listings,
    Predictions,
    Quarantine,
    Set,
    State,
    named,
    print_table,
    tools_for,
)
from scorer.settings import Job, load


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
    only: Annotated[
        str,
        typer.Option(
            help="missing: not published. failed: of these, those a run was begun for. stale: published by another"
            " bundle, from other input or settings. all: everything again."
        ),
    ] = "missing",
    max_parallel: Annotated[
        int, typer.Option(help="Runs at a time; several have processes of their own and share the cores.")
    ] = 1,
    reverse: Annotated[bool, typer.Option("--reverse", help="The last date first.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, score and write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The plan, and what became of it, as one JSON object.")] = False,
) -> None:
    """Score the partitions between two dates that are not published yet. Interrupted, the same command goes on."""
    with exit_code() as stop:
        from scorer.run.audience import audience
        from scorer.run.backfill import account
        from scorer.run.backfill.dates import Range
        from scorer.run.backfill.outcomes import Outcome, exit_code_of
        from scorer.run.backfill.planning import Wanted, make_plan
        from scorer.run.backfill.running import backfill as run

        flags = named(
            settings, listings=listings, bundle=bundle, predictions=predictions, quarantine=quarantine, state=state
        )
        work = load(Job, file=job, flags=flags)
        asked = Wanted(Range.of(first, last), only, max_parallel, reverse)  # type: ignore[arg-type]  # make_plan refuses others
        tools = tools_for(work, stop)
        plan = make_plan(work, asked, tools.store)
        typer.echo(account.sentence(plan, work.costs), err=True)
        if dry_run:
            if json:
                typer.echo(plain_json.dumps(account.plain(plan, None, work.costs), indent=1))
            else:
                print_table(account.planned(plan, work.costs))
            return
        outcomes: list[Outcome] = []
        stop.otherwise = "What was published so far stays; start the same command again for the rest."
        began = time.monotonic()
        try:
            for outcome in run(work, plan, tools, audience):
                outcomes.append(outcome)  # noqa: PERF402 (those that ended before a signal are to be shown)
        finally:
            if json:
                typer.echo(plain_json.dumps(account.plain(plan, outcomes, work.costs), indent=1))
            elif plan.chosen:
                print_table(account.done(plan, outcomes, work.costs))
            if plan.chosen:
                typer.echo(account.verdict(plan, outcomes, time.monotonic() - began, work.costs), err=True)
        if code := exit_code_of(outcomes):
            raise typer.Exit(code)
