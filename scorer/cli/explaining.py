"""explain: one score."""

import json as plain_json
from typing import TYPE_CHECKING, Annotated

import typer

from scorer.cli.app import EXIT_CODES, app, exit_code
from scorer.cli.options import NOWHERE, PLACES, Bundle, File, Listings, Partition, Set, named, print_table, store_for
from scorer.cli.words import figure, visible
from scorer.settings import Job, load

if TYPE_CHECKING:
    from scorer.run.explanation import Explanation

MOST_FEATURES = 20
"""Shown; --json has all."""


@app.command(epilog=EXIT_CODES)
def explain(
    listing: Annotated[str, typer.Option(help="Id of the listing.")],
    listings: Listings = None,
    partition: Partition = None,
    bundle: Bundle = None,
    job: File = None,
    settings: Set = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Score one listing, publish nothing, and say what each image and each feature did to its score."""
    with exit_code():
        flags = named(settings, listings=listings, partition=partition, bundle=bundle, predictions=NOWHERE)
        wanted = load(Job, file=job, flags=flags, without=PLACES)
        from scorer.run.explain import explain as run

        found = run(wanted, listing, store_for(wanted))
        if json:
            typer.echo(plain_json.dumps(found.plain(), indent=1))
        else:
            _print(found)


def _print(found: "Explanation") -> None:
    lines = {
        "listing": f"{visible(found.listing_id)} of {visible(found.partition)}",
        "bundle": f"{found.bundle_name} {found.bundle_version}",
        "prediction": figure(found.prediction)
        + (f" ({visible(found.prediction_class)})" if found.prediction_class else ""),
        "probabilities": ", ".join(f"{visible(name)} {share:.3f}" for name, share in found.probabilities.items()),
        "interval": _interval(found),
        "image effect": f"{figure(found.image_effect, sign=True)}: the score minus that without any image",
        "degraded by": ", ".join(found.reasons),
    }
    for name, text in lines.items():
        if text:
            typer.echo(f"{name:<13}  {text}")
    if found.images:
        typer.echo("\nImages: the score minus that without this one alone")
        print_table([{"effect": _effect(one.effect, one.why_not), "image": visible(one.uri)} for one in found.images])
    if found.features:
        typer.echo("\nFeatures: the score minus that with the training's typical value instead")
        print_table(
            [
                {
                    "effect": figure(one.effect, sign=True),
                    "feature": one.name,
                    "value": _value(one.value),
                    "typical": _value(one.typical),
                }
                for one in found.features[:MOST_FEATURES]
            ]
        )
        more = len(found.features) - MOST_FEATURES
        if more > 0:
            typer.echo(f"and {more:,} features that moved it less; --json has them")
    if found.images or found.features:
        typer.echo(f"\nEffects are on the {visible(found.effects_on)}, one at a time; they need not add up.", err=True)


def _interval(found: "Explanation") -> str:
    if found.low is None:
        return ""
    level = "" if found.level is None else f", made to hold {found.level:.0%} of the truths"
    return f"{figure(found.low)} to {figure(found.high)}{level}; in training {found.seen}"


def _effect(effect: float | None, why_not: str) -> str:
    return why_not if effect is None else figure(effect, sign=True)


def _value(value: str | None) -> str:
    return "(missing)" if value is None else visible(value)
