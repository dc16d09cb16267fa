"""A few hundred listings whose price shows, by construction, in the brightness of their images and in no column."""

from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scorer.settings import TrainJob

SIZE = 16
"""Side of the images, in pixels."""

Row = dict[str, Any]


def rows_with_images(folder: Path, count: int, seed: int = 0) -> list[Row]:
    """Write 0 to 3 images for each of `count` listings below `folder`; give the rows back."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        brightness = random.random()
        uris = [
            f"images/{number}_{image}.png" for image in range(random.choice([0, 1, 2, 3], p=[0.05, 0.35, 0.35, 0.25]))
        ]
        for uri in uris:
            write_image(folder / uri, 30 + 195 * brightness, random)
        area = float(random.integers(30, 200))
        rows.append(
            {
                "listing_id": f"L{number:04}",
                "area": None if random.random() < 0.05 else area,
                "rooms": int(random.integers(1, 7)),
                "garden": bool(random.random() < 0.5),
                "city": str(random.choice(["Oslo", "Bergen", "Narvik"])),
                "listed_on": date(2026, 11, 1),
                "title": f"home number {number}",
                "price": float(np.exp(10 + area / 200 + 2.0 * brightness)),
                "image_uris": uris,
            }
        )
    return rows


def write_image(path: Path, level: float, random: np.random.Generator) -> None:
    """Noise around one level of brightness, so that every file is another one."""
    pixels = np.clip(random.normal(level, 12, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def write_listings(folder: Path, rows: list[Row], nights: int = 2) -> None:
    """Deal the rows out to so many partitions."""
    schema = pa.Table.from_pylist(rows).schema
    for night in range(nights):
        place = folder / f"ds=2026-11-{20 + night}"
        place.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows[night::nights], schema), place / "part-00000.parquet")


def job(folder: Path, **settings: Any) -> TrainJob:
    """Train on the listings in `folder`, quickly."""
    usual = {
        "listings": str(folder),
        "target": "price",
        "bundle": str(folder / "bundle"),
        "image_size": SIZE,
        "recipe": "small",
    }
    return TrainJob(**{**usual, **settings})


def random_embeddings(listings: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """float32 [slots, D] and int32 [m, 4]: none to four images a listing."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(3 * listings, width)).astype(np.float32)
    slots = np.where(random.random((listings, 4)) < 0.7, random.integers(0, 3 * listings, (listings, 4)), -1)
    return values, slots.astype(np.int32)
