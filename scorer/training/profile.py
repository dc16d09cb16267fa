"""What the data looked like in training, as plain JSON: what later nights are compared with to notice drift."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.model.preprocessing import LARGEST, Preprocessing, floats, kind_of, plain

QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
BINS = 20
"""Bins of about equal weight, so that a shift anywhere moves the shares of some of them."""

TOP = 100
"""Categories listed by name; the rest is one share."""


def profile(
    table: pa.Table,
    preprocessing: Preprocessing,
    target: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    images_used: npt.NDArray[np.int64],
) -> dict[str, Any]:
    """Profile features, target, scores and images.

    Args:
        table: the training split; its feature columns are profiled.
        preprocessing: which columns are features.
        target: float64 [n] of the training split.
        scores: float64 [m] of listings the model was not trained on: those of training rows would look too good.
        images_used: int64 [n], usable images per listing of the training split.
    """
    counts = np.bincount(images_used)
    return {
        "rows": len(table),
        "features": {name: column_profile(table.column(name)) for name in preprocessing.names},
        "target": numbers_profile(target),
        "scores": numbers_profile(scores),
        "images_per_listing": {str(images): int(count) for images, count in enumerate(counts) if count},
    }


def column_profile(column: pa.ChunkedArray) -> dict[str, Any]:
    """One feature column: null share, and quantiles with a histogram, or the most frequent values with their shares."""
    values = plain(column.combine_chunks())
    if kind_of(values.type) == "number":
        return {"kind": "number", **numbers_profile(floats(values))}
    found = Counter(values.drop_null().to_pylist())
    rows = max(len(values), 1)
    top = sorted(found, key=lambda value: (-found[value], value))[:TOP]
    return {
        "kind": kind_of(values.type),
        "null_share": values.null_count / rows,
        "distinct": len(found),
        "top": {str(value): found[value] / rows for value in top},
        "other_share": sum(found[value] for value in found.keys() - set(top)) / rows,
    }


def numbers_profile(values: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Quantiles, and the share of values in bins of about equal weight; of how many rows, which bounds the noise.

    `edges` are the inner edges, ascending and distinct; `shares` has one more entry: below the first edge, ..., from
    the last edge on. Shares count the values that are there; the others are the null share.
    """
    there = values[np.abs(values) <= LARGEST]
    if not len(there):
        return {"rows": len(values), "null_share": 1.0, "quantiles": {}, "edges": [], "shares": []}
    edges = np.unique(np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, there, side="right")
    return {
        "rows": len(values),
        "null_share": 1 - len(there) / len(values),
        "mean": float(there.mean()),
        "deviation": float(there.std()),
        "quantiles": {
            str(at): float(value) for at, value in zip(QUANTILES, np.quantile(there, QUANTILES), strict=True)
        },
        "edges": edges.tolist(),
        "shares": (np.bincount(bins, minlength=len(edges) + 1) / len(there)).tolist(),
    }
