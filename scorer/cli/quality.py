"""compare and evaluate: is a bundle any good?"""

import json as plain_json
from typing import TYPE_CHECKING, Annotated

import typer

from scorer.cli.app import EXIT_CODES, app, exit_code
from scorer.cli.options import (
    NOWHERE,
    PLACES,
    File,
    Listings,
    Partition,
    Predictions,
    Set,
    State,
    named,
    places,
    plain_store,
    print_table,
    tools_for,
)
from scorer.cli.words import figure, visible
from scorer.errors import SettingsError
from scorer.settings import Housekeeping, Job, load

if TYPE_CHECKING:
    from scorer.run.accuracy import Accuracy
    from scorer.run.agreement import Agreement
    from scorer.run.compare import Comparison, Side
    from scorer.run.evaluate import Evaluation

Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")]


@app.command(epilog=EXIT_CODES)
def compare(
    bundle: Annotated[list[str], typer.Option(help="Folder or S3 prefix of a bundle. Twice: first a, then b.")],
    listings: Listings = None,
    partition: Partition = None,
    job: File = None,
    settings: Set = None,
    out: Annotated[str | None, typer.Option(help="Parquet file for both scores of every listing.")] = None,
    json: Json = False,
) -> None:
    """Score one partition by two bundles, publish nothing, and say how far they agree."""
    with exit_code() as stop:
        if len(bundle) != 2:
            raise SettingsError(f"--bundle was given {len(bundle)} time(s), and two are compared. Nothing was read.")
        flags = named(settings, listings=listings, partition=partition, bundle=bundle[0], predictions=NOWHERE)
        wanted = load(Job, file=job, flags=flags, without=PLACES)
        from scorer.run.compare import compare as run

        found = run(wanted, (bundle[0], bundle[1]), tools_for(wanted, stop), out)
        if json:
            typer.echo(plain_json.dumps(found.plain(), indent=1))
        else:
            _print_comparison(found)


@app.command(epilog=EXIT_CODES)
def evaluate(
    labels: Annotated[str, typer.Option(help="Parquet or CSV file, or a folder of them: what became of the listings.")],
    target: Annotated[str, typer.Option(help="The labels' column that the predictions are held against.")],
    predictions: Predictions = None,
    output: Annotated[
        str | None, typer.Option(help="A further output of the predictions, for instance days for prediction_days.")
    ] = None,
    partition: Partition = None,
    state: State = None,
    job: File = None,
    id_column: Annotated[str, typer.Option("--id", help="The labels' column with the listing's id.")] = "listing_id",
    time: Annotated[
        str | None,
        typer.Option(help="The labels' column that says when each became known: earlier ones do not count."),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Report by this column of labels, predictions or listings. May be repeated."),
    ] = None,
    listings: Listings = None,
    last: Annotated[int | None, typer.Option(min=1, help="So many partitions, the last ones.  [default: all]")] = None,
    json: Json = False,
) -> None:
    """Hold published predictions against labels that arrived since: error by partition and by segment."""
    with exit_code():
        from scorer.run.evaluate import classes
        from scorer.run.evaluate import evaluate as run
        from scorer.run.labels import read_labels

        wanted = load(Housekeeping, file=job, flags=places(predictions, state, partition), besides=Job)
        store, columns = plain_store(), list(dict.fromkeys(by or ()))
        named = classes(wanted, last, store)
        known = read_labels(labels, target, store, id_column=id_column, time=time, by=columns, classes=named)
        found = run(wanted, known, store, by=columns, last=last, listings=listings, output=output)
        if json:
            typer.echo(plain_json.dumps(found.plain(), indent=1))
        else:
            _print_evaluation(found)


def _print_comparison(found: "Comparison") -> None:
    print_table([_side(name, side) for name, side in found.sides().items()])
    if found.a.target != found.b.target:
        typer.echo("The two predict different columns: differences in their unit mean nothing.", err=True)
    if found.agreement is None:
        typer.echo("No listing has a score by both.")
        return
    typer.echo(f"\n{found.partition}: {found.agreement.rows:,} listings with a score by both")
    for name, text in _agreed(found.agreement).items():
        typer.echo(f"  {name:<28}  {text}")
    typer.echo("\nThe listings that move most")
    names = ("a", "b", "difference")
    print_table(
        [
            {"listing": visible(mover["listing_id"][:60]), **{name: figure(mover[name]) for name in names}}
            for mover in found.movers
        ]
    )


def _side(name: str, side: "Side") -> dict[str, str]:
    counts = side.counts
    return {
        "": name,
        "bundle": f"{side.name} {side.version}",
        "predicts": side.target,
        "rows": f"{counts.rows_in:,}",
        "scored": f"{counts.scored:,}",
        "degraded": f"{counts.degraded:,}",
        "failed": f"{counts.failed:,}",
        "quarantined": f"{counts.quarantined:,}",
        "seconds": f"{side.seconds:,.1f}",
    }


def _agreed(found: "Agreement") -> dict[str, str]:
    return {
        "rank correlation (Spearman)": figure(found.spearman, ".4f"),
        "correlation (Pearson)": figure(found.pearson, ".4f"),
        "mean of b - a": figure(found.mean_difference),
        "mean of |b - a|": figure(found.mean_absolute_difference),
        **{f"moved by at most {share:.0%} of a": f"{part:.1%}" for share, part in found.within.items()},
        **{f"in the top {one.top:,} of both": f"{one.common:,} ({one.share:.0%})" for one in found.overlaps},
        "mean change of rank": f"{found.mean_rank_change:.2%} of the listings",
        "largest change of rank": f"{found.largest_rank_change:.2%} of the listings",
    }


def _print_evaluation(found: "Evaluation") -> None:
    print_table(
        [
            *(
                {"partition": one.name, **_coverage(one.predictions or 0, one.errors), **_errors(one.errors)}
                for one in found.partitions
            ),
            {
                "partition": "all",
                **_coverage(sum(one.predictions or 0 for one in found.partitions), found.overall),
                **_errors(found.overall),
            },
        ]
    )
    for column, slices in found.segments.items():
        typer.echo("")
        if slices:
            print_table(
                [
                    {visible(column): visible(one.name), "labelled": f"{one.errors.n:,}", **_errors(one.errors)}
                    for one in slices
                ]
            )
    facts = {
        "usable": found.labels,
        "without a prediction": found.labels_without_prediction,
        "repeated": found.labels_repeated,
        "unusable": found.labels_unusable,
    }
    typer.echo(f"\nlabels: {_facts(facts)}", err=True)
    facts = {
        "without a label so far": found.predictions_without_label,
        "of a later day than their label, left out": found.known_before,
        "rows that failed": found.failed,
    }
    if found.of_other_classes:
        facts["partitions of another task or other classes, left out"] = found.of_other_classes
    typer.echo(f"predictions: {_facts(facts)}", err=True)


def _coverage(predictions: int, errors: "Accuracy") -> dict[str, str]:
    share = f"{errors.n / predictions:.1%}" if predictions else "-"
    return {"predictions": f"{predictions:,}", "labelled": f"{errors.n:,}", "coverage": share}


def _errors(errors: "Accuracy") -> dict[str, str]:
    if (classes := errors.classes) is not None:
        return {
            "accuracy": f"{classes.accuracy:.1%}",
            "AUC": figure(classes.auc, ".4f"),
            "log loss": figure(classes.log_loss, ".4f"),
            "Brier": figure(classes.brier, ".4f"),
            "calibration error": figure(classes.calibration_error, ".4f"),
        }
    return {
        "MAE": figure(errors.mae),
        "95 % interval": "-" if errors.low is None else f"{figure(errors.low)} to {figure(errors.high)}",
        "bias": figure(errors.bias),
        "MAPE %": figure(errors.mape, ",.1f"),
        "median APE %": figure(errors.median_ape, ",.1f"),
        "in their interval": _inside(errors),
    }


def _inside(errors: "Accuracy") -> str:
    """The share of labels inside the intervals, how far chance could move it, and what they were made to hold."""
    found = errors.coverage
    if found is None:
        return "-"
    made = "" if found.level is None else f", made for {found.level:.0%}"
    return f"{found.share:.1%} ({found.low:.1%} to {found.high:.1%}{made})"


def _facts(facts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in facts.items())
