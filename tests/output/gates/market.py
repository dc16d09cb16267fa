"""Nights of a market that does not change, as the gates see them; what goes wrong in one is an argument."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.random import Generator

from scorer.model.target import TargetTransform
from scorer.output import reference
from scorer.output.gates.facts import Earlier, Facts
from scorer.output.tally import Tally
from scorer.run.sketch import Sketcher
from scorer.training.features import fit_preprocessing
from scorer.training.profile import profile

FEATURES = ("area", "rooms", "year", "floor", "garden", "city", "street")
TARGET = TargetTransform("log", 12.0, 0.5)
MAX_IMAGES = 6
TRAINED_ON, HELD_BACK = 1_400, 600


def listings(rng: Generator, rows: int) -> pa.Table:
    """Numbers with few and with many values, one with gaps, a flag, a city of five and a street of 400 names."""
    streets = 1 / np.arange(1, 401)
    return pa.table(
        {
            "area": rng.lognormal(4.4, 0.4, rows),
            "rooms": rng.integers(1, 8, rows),
            "year": rng.integers(1900, 2026, rows),
            "floor": pa.array(rng.integers(0, 20, rows).astype(float), mask=rng.random(rows) < 0.15),
            "garden": rng.random(rows) < 0.3,
            "city": rng.choice(["Lyon", "Porto", "Oslo", "Bonn", "Cork"], rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]),
            "street": np.char.add("street ", rng.choice(400, rows, p=streets / streets.sum()).astype(str)),
        }
    )


def scores(table: pa.Table, rng: Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What a model would say: by the area, and by what the photos show."""
    said: np.ndarray[Any, np.dtype[np.float64]] = np.exp(
        7.6 + np.log(table.column("area").to_numpy()) + rng.normal(0, 0.25, len(table))
    )
    return said


def images(rng: Generator, rows: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Usable images per listing."""
    return rng.binomial(MAX_IMAGES, 0.6, rows).astype(np.int32)


@cache
def trained() -> dict[str, Any]:
    """The profile of a bundle."""
    rng = np.random.default_rng(1)
    table, held_back = listings(rng, TRAINED_ON), listings(rng, HELD_BACK)
    preprocessing = fit_preprocessing(table, FEATURES, "standard", 64)
    used = images(rng, TRAINED_ON).astype(np.int64)
    return profile(table, preprocessing, scores(table, rng), scores(held_back, rng), used)


@cache
def sketcher() -> Sketcher:
    """Of that bundle."""
    return Sketcher(trained(), FEATURES, TARGET, MAX_IMAGES)


def counts(rng: Generator, rows: int, images_read: int) -> Tally:
    """A night with the usual flaws: a few rows refused, some degraded, some images broken."""
    refused, degraded = int(rng.binomial(rows, 0.002)), int(rng.binomial(rows, 0.05))
    broken, missing = int(rng.binomial(images_read, 0.002)), int(rng.binomial(images_read, 0.004))
    return Tally(
        rows_in=rows,
        scored=rows - refused - degraded,
        degraded=degraded,
        quarantined=refused,
        images_given=images_read,
        images_used=images_read - broken - missing,
        images_read=images_read,
        reasons={"feature_missing": degraded},
        quarantine_reasons={"id_missing": refused} if refused else {},
        faults={"image_corrupt": broken, "image_not_found": missing},
    )


Spoil = Callable[[pa.Table], pa.Table]


def night(
    seed: int, rows: int, spoil: Spoil = lambda table: table, factor: float = 1.0, photographed: float = 1.0
) -> Facts:
    """One night of about so many rows, compared with nothing published yet.

    Args:
        seed: of the night.
        rows: on average.
        spoil: what happened to the features, after the scores were made.
        factor: on the scores.
        photographed: share of the listings that name images at all.
    """
    rng = np.random.default_rng([seed, rows])
    number = int(rng.poisson(rows))
    table, used = listings(rng, number), images(rng, number)
    used[rng.random(number) >= photographed] = 0
    said = scores(table, rng) * factor
    batch = spoil(table).combine_chunks().to_batches()[0]
    return Facts(
        bundle_digest="b",
        counts=counts(rng, number, int(used.sum())),
        distributions=sketcher().sketch(batch, said, used),
        training=reference.training(trained()),
    )


def after(facts: Facts, *before: Facts) -> Facts:
    """The same night, with others published before it, the nearest first."""
    known = tuple(
        Earlier(f"ds={number} before", f"run-{number}", facts.bundle_digest, one.counts, one.distributions)
        for number, one in enumerate(before, 1)
    )
    return replace(facts, earlier=known)
