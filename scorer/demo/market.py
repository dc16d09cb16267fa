"""A marketplace of homes, made up: the same seed makes the same files, byte for byte.

What a buyer pays depends on the columns and, by a factor of 0.6 to 1.4, on the home's condition. No column holds the
condition; it shows in the photos. So a model that sees them must do better than one that does not.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.random import Generator

from scorer import machine
from scorer.demo.photos import FLAWS, FOLDER, Photo
from scorer.demo.pictures import Scene

Row = dict[str, Any]

LAST_NIGHT = date(2026, 11, 24)
FEWEST = 60
"""Fewest listings that leave room for every flaw and for homes that come and go."""

TURNOVER = 0.05
"""Share of the homes that leave each night, and that are new."""

PHOTOLESS = 0.02
FLAWED_PHOTOS = 2
"""Photos broken on purpose in each of the ways in `FLAWS`, each of another home."""

EUROS_PER_M2 = {"Aldersund": 4200, "Brinkholm": 3300, "Corvale": 2600, "Dunmere": 5200, "Estwick": 2100}
NEW_CITY = ("Fairhaven", 3000)
"""Only homes that came after the first night lie here: a model trained on that night has never seen the name."""

KINDS = {"flat": 1.0, "terraced": 1.04, "detached": 1.18, "farmhouse": 0.92}
ROOMS = ("living", "kitchen", "bath", "bedroom")

SCHEMA = pa.schema(
    [
        pa.field("listing_id", pa.string()),
        pa.field("area_m2", pa.float64()),
        pa.field("rooms", pa.int32()),
        pa.field("bathrooms", pa.int32()),
        pa.field("year_built", pa.int32()),
        pa.field("has_garden", pa.bool_()),
        pa.field("city", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("price", pa.float64()),
        pa.field("image_uris", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class Home:
    """One home on the market, from its first night to its last."""

    listing_id: str
    area_m2: float
    rooms: int
    bathrooms: int
    year_built: int | None
    has_garden: bool
    city: str
    kind: str
    condition: float
    """0 (run down) to 1 (immaculate). In no column."""

    prices: tuple[int, ...]
    """What is asked on each night, in euros. Now and then a seller comes down a little."""

    photos: tuple[Photo, ...]
    nights: range
    """The nights on which it is listed, counted from 0."""

    def row(self, night: int) -> Row:
        """As the listings of that night show it."""
        row = {name: getattr(self, name) for name in SCHEMA.names if name not in ("price", "image_uris")}
        return {**row, "price": float(self.prices[night]), "image_uris": [photo.uri for photo in self.photos]}


@dataclass(frozen=True)
class Market:
    """The marketplace on disk, and what only its maker knows."""

    directory: Path
    nights: tuple[str, ...]
    """Partition keys, oldest first."""

    homes: tuple[Home, ...]

    @property
    def listings(self) -> Path:
        """Folder of the partitions."""
        return self.directory / "listings"

    @property
    def images(self) -> Path:
        """Folder of the photos."""
        return self.directory / "images"

    @property
    def photos(self) -> tuple[Photo, ...]:
        """Every photo of every home."""
        return tuple(photo for home in self.homes for photo in home.photos)


def make_market(directory: Path, seed: int = 0, listings: int = 600, nights: int = 3) -> Market:
    """Make the marketplace up and write it.

    Args:
        directory: gets `listings/ds=YYYY-MM-DD/part-0000N.parquet`, `listings/_images/` and the link `images` to it.
        seed: of everything.
        listings: homes over all nights together, at least `FEWEST`.
        nights: consecutive nights, at least 2, the last being `LAST_NIGHT`. The first is a clean one to train on;
            the later ones hold a listing_id given twice, one that is null, and a city that is new.

    Raises:
        ValueError: too few listings or nights.
    """
    if listings < FEWEST or nights < 2:
        raise ValueError(f"A marketplace needs {FEWEST} listings and 2 nights at least, not {listings} and {nights}.")
    keys = tuple(f"ds={LAST_NIGHT - timedelta(days=nights - 1 - night)}" for night in range(nights))
    market = Market(directory, keys, tuple(_homes(seed, listings, nights)))
    for night, key in enumerate(keys):
        _write_night(market.listings / key, _rows(market.homes, night))
    folder = market.listings / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    market.images.unlink(missing_ok=True)
    market.images.symlink_to(folder.relative_to(directory))
    with ThreadPoolExecutor(machine.cores()) as pool:
        for _ in pool.map(lambda photo: photo.write(folder), market.photos):
            pass
    about = {"made_by": "scorer demo", "seed": seed, "listings": listings, "nights": list(keys)}
    (directory / "market.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return market


def _homes(seed: int, listings: int, nights: int) -> Iterator[Home]:
    rng = np.random.default_rng(seed)
    fresh = max(1, round(listings * TURNOVER))
    first = listings - fresh * (nights - 1)
    # Places in the first night's list, each taken by one kind of special home: they must not coincide.
    places = iter(rng.permutation(first).tolist())
    flaws = {next(places): flaw for flaw in FLAWS for _ in range(FLAWED_PHOTOS)}
    photoless = {next(places) for _ in range(max(1, round(listings * PHOTOLESS)))}
    leaving = {next(places): night for night in range(1, nights) for _ in range(fresh)}
    for number in range(listings):
        arrival = 0 if number < first else 1 + (number - first) // fresh
        # Every sixth newcomer, and the first of them, lies where the model has never been.
        abroad = arrival > 0 and (number - first) % fresh % 6 == 0
        stay = range(arrival, leaving.get(number, nights))
        yield _home((seed, number), _Fate(stay, abroad, number in photoless, flaws.get(number)), nights)


@dataclass(frozen=True)
class _Fate:
    """What is decided about a home before it is made up."""

    stay: range
    abroad: bool
    photoless: bool
    flaw: str | None


def _home(seed: tuple[int, int], fate: _Fate, nights: int) -> Home:
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(list(KINDS), p=(0.45, 0.25, 0.22, 0.08)))
    city = NEW_CITY[0] if fate.abroad else str(rng.choice(list(EUROS_PER_M2), p=(0.28, 0.24, 0.20, 0.16, 0.12)))
    area = float(np.clip(rng.lognormal(4.2 if kind == "flat" else 4.75, 0.32), 26, 340).round(1))
    rooms = int(np.clip(round(area / 26 + rng.normal(0, 0.7)), 1, 12))
    year = int(np.clip(round(2024 - rng.gamma(2.0, 24.0)), 1780, 2025))
    has_garden = bool(rng.uniform() < (0.15 if kind == "flat" else 0.8))
    condition = float(rng.uniform())
    per_m2 = EUROS_PER_M2.get(city, NEW_CITY[1]) * KINDS[kind] * (1.06 if has_garden else 1.0)
    price = per_m2 * area**0.94 * (1 + (year - 1975) / 900) * (0.6 + 0.8 * condition) * rng.lognormal(0.0, 0.03)
    listing_id = f"home-{seed[1]:05d}"
    # A run-down home tends to show fewer photos, but the count alone tells little.
    count = 0 if fate.photoless else int(np.clip(rng.binomial(5, 0.42 + 0.06 * condition) + 1, 1, 6))
    return Home(
        listing_id=listing_id,
        area_m2=area,
        rooms=rooms,
        bathrooms=int(np.clip(round(rooms / 3.4), 1, 4)),
        year_built=None if rng.uniform() < 0.02 else year,
        has_garden=has_garden,
        city=city,
        kind=kind,
        condition=condition,
        prices=_asked(price, nights, rng),
        photos=tuple(_photos(listing_id, (*seed, 1), count, Scene("facade", kind, has_garden, condition), fate.flaw)),
        nights=fate.stay,
    )


def _asked(price: float, nights: int, rng: Generator) -> tuple[int, ...]:
    """Rounded to 500 euros; each night one seller in fifteen comes down by 1 to 4 %."""
    cuts = np.where(rng.uniform(size=nights) < 1 / 15, rng.uniform(0.96, 0.99, nights), 1.0)
    cuts[0] = 1.0
    return tuple(int(round(asked / 500) * 500) for asked in price * np.cumprod(cuts))


def _photos(listing_id: str, seed: tuple[int, ...], count: int, facade: Scene, flaw: str | None) -> Iterator[Photo]:
    """The facade first, then rooms in any order, then perhaps the garden. A flaw strikes the last photo."""
    rng = np.random.default_rng(seed)
    views = ["facade", *rng.permutation(ROOMS), "garden" if facade.has_garden else "living"][:count]
    for position, view in enumerate(views):
        # No photo shows the condition exactly: several of them tell more than one.
        shown = float(np.clip(facade.condition + rng.normal(0.0, 0.05), 0.0, 1.0))
        yield Photo(
            name=f"{listing_id}-{position + 1}",
            scene=Scene(str(view), facade.kind, facade.has_garden, shown),
            seed=(*seed, position),
            flaw=flaw if position == count - 1 else None,
            ending=str(rng.choice(["jpg", "png", "webp"], p=(0.88, 0.06, 0.06))),
        )


def _rows(homes: tuple[Home, ...], night: int) -> list[Row]:
    """The listings of one night. After the first one they hold what uploads do wrong: an id twice, and none at all."""
    rows = [home.row(night) for home in homes if night in home.nights]
    if night == 0:
        return rows
    twice, nameless = rows[len(rows) // 3], rows[len(rows) // 2]
    rows.insert(len(rows) // 2 + 3, {**twice, "area_m2": twice["area_m2"] + 10.0})
    rows.insert(2 * len(rows) // 3, {**nameless, "listing_id": None})
    return rows


def _write_night(folder: Path, rows: list[Row]) -> None:
    """Two files, as exports come."""
    folder.mkdir(parents=True, exist_ok=True)
    half = len(rows) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        pq.write_table(pa.Table.from_pylist(part, schema=SCHEMA), folder / f"part-{number:05d}.parquet")
