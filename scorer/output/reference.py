"""A bundle's profile of its training data, as the distributions that a night is held against.

The profile is JSON from a store: what it does not say, or says in another form, is not compared, and fails nothing.
"""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from scorer.output.distribution import Distribution, Distributions, ScoreDistribution, image_bins

_SHARES = TypeAdapter(dict[str, float])
_COUNTS = TypeAdapter(dict[int, int])
_NUMBERS = TypeAdapter(tuple[float, ...])


def training(profile: Mapping[str, Any]) -> Distributions:
    """The counts of the training rows; empty where the profile does not tell them."""
    features = profile.get("features")
    columns = {name: _column(entry, profile.get("rows")) for name, entry in _entries(features).items()}
    scores = _entries(profile.get("scores"))
    return Distributions(
        features={str(name): column for name, column in columns.items() if column is not None},
        scores=_scores(scores, _column({"kind": "number", **scores}, scores.get("rows"))),
        images=_images(profile.get("images_per_listing")),
    )


def target_span(profile: Mapping[str, Any]) -> tuple[float, float] | None:
    """Smallest and largest target of the training, where the profile tells them."""
    quantiles = _entries(_entries(profile.get("target")).get("quantiles"))
    try:
        low, high = float(quantiles["0.0"]), float(quantiles["1.0"])
    except (KeyError, TypeError, ValueError):
        return None
    return (low, high) if low <= high else None


def _entries(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _column(entry: Any, rows: Any) -> Distribution | None:
    """One column's counts: shares times rows, to whole rows."""
    if not isinstance(entry, Mapping) or not isinstance(rows, int) or rows <= 0:
        return None
    try:
        missing = round(float(entry["null_share"]) * rows)
        if entry["kind"] == "number":
            return _numbers(entry, rows, missing)
        return _categories(entry, rows, missing)
    except (KeyError, TypeError, ValueError, OverflowError, ValidationError):
        return None


def _numbers(entry: Mapping[str, Any], rows: int, missing: int) -> Distribution | None:
    """The profile's bins, and one more on either side for what training never saw.

    Without those a constant that becomes another, or a tail that gets longer, would stay in its bin.
    """
    edges, shares = _NUMBERS.validate_python(entry["edges"]), _NUMBERS.validate_python(entry["shares"])
    if not shares and missing == rows:
        return Distribution(missing=missing)
    if len(shares) != len(edges) + 1 or sorted(set(edges)) != list(edges):
        return None
    counts = tuple(round(share * (rows - missing)) for share in shares)
    low, high = float(entry["quantiles"]["0.0"]), math.nextafter(float(entry["quantiles"]["1.0"]), math.inf)
    if not edges or low < edges[0]:
        edges, counts = (low, *edges), (0, *counts)
    if high > edges[-1]:
        edges, counts = (*edges, high), (*counts, 0)
    return Distribution(kind="number", edges=edges, counts=counts, missing=missing)


def _categories(entry: Mapping[str, Any], rows: int, missing: int) -> Distribution:
    top = _SHARES.validate_python(entry["top"])
    counts = (*(round(share * rows) for share in top.values()), round(float(entry["other_share"]) * rows))
    return Distribution(kind=entry["kind"], values=tuple(top), counts=counts, missing=missing)


def _scores(entry: Mapping[str, Any], histogram: Distribution | None) -> ScoreDistribution:
    if histogram is None or not histogram.counts:
        return ScoreDistribution()
    quantiles = _entries(entry.get("quantiles"))
    return ScoreDistribution(
        histogram=histogram,
        minimum=quantiles.get("0.0"),
        maximum=quantiles.get("1.0"),
        mean=entry.get("mean"),
        deviation=entry.get("deviation"),
    )


def _images(counts: Any) -> Distribution:
    try:
        found = _COUNTS.validate_python(counts)
    except ValidationError:
        return Distribution()
    if not found or min(found) < 0:
        return Distribution()
    return Distribution(
        edges=image_bins(max(found)), counts=tuple(found.get(number, 0) for number in range(max(found) + 1))
    )
