"""The listings that everyone scores: numbers, and one image each."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = ("area", "rooms", "bathrooms", "floor", "age", "distance", "photos", "days_listed")
KEY = "ds=2026-11-24"


def features(rows: int, seed: int) -> dict[str, npt.NDArray[np.float64]]:
    """Column name -> float64 [rows], each about its own mean."""
    random = np.random.default_rng(seed)
    return {name: random.normal(10.0 * (k + 1), 2.0 + k, rows) for k, name in enumerate(FEATURES)}


def listings(images: list[str], rows: int) -> pa.Table:
    """One image a listing: what peers handle best, and the most rows an image for us. Images repeat when they run out.

    `image_uris` is what we read; `image`, the same as a plain string, is what suits the peers.
    """
    named = [images[number % len(images)] for number in range(rows)]
    return pa.table(
        {
            "listing_id": [f"listing-{number:07}" for number in range(rows)],
            **features(rows, seed=1),
            "image_uris": pa.array([[uri] for uri in named], pa.list_(pa.string())),
            "image": named,
        }
    )


def write(table: pa.Table, folder: Path) -> Path:
    """One Parquet file in one partition. Row groups as warehouses write them, so that peers can read in parallel."""
    file = folder / KEY / "listings.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=4096)
    return file
