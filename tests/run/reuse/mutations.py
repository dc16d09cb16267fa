"""Nights that differ from each other at random: listings, images, bundles, settings, and what lies in the store.

    python -m tests.run.reuse.mutations 1000

makes so many changes, ten a night, and compares each night's reusing run with one from scratch. Changes are small
beside the marketplace, and what was spoilt is mended as often as it is spoilt, so that on most nights most rows are
carried forward: only there could a stale score be seen.
"""

import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scorer import score_partition
from scorer.run.tools import Tools
from scorer.telemetry import Reporter
from tests import images, tiny
from tests.tiny import Market, listing

PHOTOS = list(images.photographs(12, width=90, height=60))
CUT = PHOTOS[0][:-40]
A_NIGHT = 10
"""Changes between one night and the next."""

LISTINGS, NAMES = 48, 60
"""Listings, and names of images that they choose from: an image changes the one or two listings that show it."""

WIDE_NIGHTS = 0.25
"""Of the nights: one of the changes is of bundle or settings, under which nothing may be carried. They last a night or
two, then the usual ones are back, and rows come from an earlier night than the last."""

HALF_BOUND = 0.01
"""Times the deviation of the target: by how much float16 may move a score."""


@dataclass
class World:
    """One marketplace in the hands of chance.

    Attributes:
        market: its place.
        bundles: to score by.
        random: chance.
        rows: tonight's listings.
        settings: of the reusing job.
        bundle: that scores tonight.
        made: changes so far, by name.
    """

    market: Market
    bundles: tuple[str, ...]
    random: np.random.Generator
    rows: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    bundle: str = ""
    made: list[str] = field(default_factory=list)
    spoilt: set[int] = field(default_factory=set)
    night: int = 0
    number: int = 100

    def start(self) -> None:
        """The first night."""
        self.usual()
        for name in range(NAMES):
            self.put(name, PHOTOS[name % len(PHOTOS)])
        self.rows = [self.listing() for _ in range(LISTINGS)]

    def usual(self) -> None:
        """The bundle and the settings of most nights."""
        self.bundle = self.bundles[0]
        self.settings = {"reuse": "rows", "speed": {"batch_images": 32}, "rows_per_unit": 16}

    def listing(self) -> dict[str, Any]:
        """A new one with up to four images."""
        self.number += 1
        names = self.random.integers(0, NAMES + 1, self.random.integers(0, 5))  # one of them is never there
        return listing(self.number, image_uris=[f"img/{name}.jpg" for name in names])

    def put(self, name: int, data: bytes, *, spoilt: bool = False) -> None:
        """An image file."""
        self.market.store.put(f"{self.market.listings}/img/{name}.jpg", data)
        (self.spoilt.add if spoilt else self.spoilt.discard)(name)

    def quiet(self) -> Tools:
        """Tools of a run that nobody listens to."""
        return Tools(self.market.store, Reporter(io.StringIO(), people=False))

    def any_row(self) -> dict[str, Any]:
        """One of tonight's."""
        return self.rows[int(self.random.integers(len(self.rows)))]

    def any_image(self) -> int:
        """The name of one that may be there."""
        return int(self.random.integers(NAMES))

    def any_photo(self) -> bytes:
        """What may lie under such a name."""
        return PHOTOS[int(self.random.integers(len(PHOTOS)))]

    def day(self) -> None:
        """The changes between one night and the next."""
        if self.random.random() < 0.6:
            self.usual()
        wide = self.random.random() < WIDE_NIGHTS
        for number in range(A_NIGHT):
            self.change(WIDE if wide and not number else CHANGES)

    def change(self, among: "dict[str, Callable[[World], None]]") -> None:
        """One change."""
        name = list(among)[int(self.random.integers(len(among)))]
        among[name](self)
        self.made.append(name)

    def compare(self) -> tuple[int, int]:
        """Score tonight twice. Returns rows carried and images known. Raises AssertionError: a score is stale."""
        self.night += 1
        key = f"ds=2026-01-01-{self.night:05}"
        order = self.random.permutation(len(self.rows))
        self.market.write([self.rows[place] for place in order], key=key)
        job = self.market.job(partition=key, bundle=self.bundle, **self.settings)
        warm = score_partition(job, self.quiet())
        scratch = {"reuse": "none", "predictions": f"{self.market.root}/scratch", "state": f"{self.market.root}/cold"}
        cold_job = job.model_copy(update=scratch | {"quarantine": f"{self.market.root}/scratch.quarantine"})
        cold = score_partition(cold_job, self.quiet())
        _insist(self.market.read(key=key), self.market.read("scratch", key), job.embedding_type, self.made)
        counts = warm.counts
        assert counts.images_distinct == cold.counts.images_read, self.made
        same = {"images_read", "images_known", "rows_carried", "examples"}
        assert counts.model_dump(exclude=same) == cold.counts.model_dump(exclude=same), self.made
        return counts.rows_carried, counts.images_known


def _insist(warm: pa.Table, cold: pa.Table, stored: str, made: list[str]) -> None:
    exact = ["listing_id", "status", "reasons", "images_given", "images_used", "bundle_digest"]
    assert warm.select(exact).equals(cold.select(exact)), made
    bound = HALF_BOUND if stored == "float16" else 1e-5
    for now, then in zip(warm.to_pylist(), cold.to_pylist(), strict=True):
        if then["prediction"] is not None:
            allowed = bound * max(abs(then["prediction"]), tiny.SCALE)
            assert abs(now["prediction"] - then["prediction"]) <= allowed, (now, then, made)


def _feature(world: World) -> None:
    world.any_row()["area"] = float(world.random.integers(20, 200))


def _gap(world: World) -> None:
    world.any_row()[str(world.random.choice(["area", "garden", "city"]))] = None


def _category(world: World) -> None:
    world.any_row()["city"] = str(world.random.choice(["Lyon", "Porto", "Atlantis", ""]))


def _repainted(world: World) -> None:
    world.put(world.any_image(), world.any_photo())


def _mended(world: World) -> None:
    """Whatever keeps a row from being carried night after night, image, ids or URIs: one of each."""
    if world.spoilt:
        world.put(min(world.spoilt), world.any_photo())
    ids = [row["listing_id"] for row in world.rows]
    for row in [row for row in world.rows if ids.count(row["listing_id"]) > 1][:1]:
        world.number += 1
        row["listing_id"] = f"mended-{world.number}"
    for row in [row for row in world.rows if any("://" in uri for uri in row["image_uris"])][:1]:
        row["image_uris"] = world.listing()["image_uris"]


def _commented(world: World) -> None:
    data = world.any_photo()
    note = b"note %d" % world.random.integers(1000)
    world.put(world.any_image(), data[:2] + b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note + data[2:])


def _gone(world: World) -> None:
    name = world.any_image()
    world.market.store.delete([f"{world.market.listings}/img/{name}.jpg"])
    world.spoilt.add(name)


def _damaged(world: World) -> None:
    world.put(world.any_image(), CUT, spoilt=True)


def _reordered(world: World) -> None:
    row = world.any_row()
    row["image_uris"] = [str(name) for name in world.random.permutation(row["image_uris"])]


def _spelled(world: World) -> None:
    row = world.any_row()
    row["image_uris"] = [f"./{name}" if name.startswith("img") else name for name in row["image_uris"]]


def _forbidden(world: World) -> None:
    world.any_row()["image_uris"] = ["https://example.org/x.jpg", "img/1.jpg"]


def _images(world: World) -> None:
    world.any_row()["image_uris"] = world.listing()["image_uris"]


def _deleted(world: World) -> None:
    if len(world.rows) > LISTINGS // 2:
        world.rows.remove(world.any_row())


def _new(world: World) -> None:
    world.rows.append(world.listing())


def _renamed(world: World) -> None:
    world.number += 1
    world.any_row()["listing_id"] = f"renamed-{world.number}"


def _twice(world: World) -> None:
    world.any_row()["listing_id"] = world.any_row()["listing_id"]


def _bundle(world: World) -> None:
    world.bundle = str(world.random.choice(world.bundles))


def _setting(world: World) -> None:
    choices: list[dict[str, Any]] = [
        {"images": {"truncated": "use"}},
        {"images": {"truncated": "corrupt"}},
        {"images": {"max_bytes": 2000}},
        {"images": {}},
        {"embeddings": {"dtype": "float16"}},  # by ETag
        {"embeddings": {"dtype": "float32"}},
        {"reuse": "embeddings"},
        {"reuse": "rows", "embeddings": {}},  # not by content
        {"rows_per_unit": 7},
        {"audit_reuse": 0.3},
        {"audit_reuse": 0.0},
    ]
    world.settings |= choices[int(world.random.integers(len(choices)))]


def _by_content(world: World) -> None:
    world.settings |= {"reuse": "embeddings", "embeddings": {"identity": "content"}}


def _by_etag(world: World) -> None:
    world.settings |= {"reuse": "rows", "embeddings": {}}


def _store_damaged(world: World) -> None:
    for path in sorted(Path(world.market.root).glob("predictions.embeddings/*/*.arrow"))[:2]:
        data = bytearray(path.read_bytes())
        data[int(world.random.integers(len(data)))] ^= 1 << int(world.random.integers(8))
        path.write_bytes(data)


def _store_torn(world: World) -> None:
    for path in sorted(Path(world.market.root).glob("predictions.embeddings/*/*.arrow"))[:1]:
        path.write_bytes(path.read_bytes()[: int(world.random.integers(2000))])


CHANGES: dict[str, Callable[[World], None]] = {
    "feature": _feature,
    "gap": _gap,
    "category": _category,
    "repainted": _repainted,
    "commented": _commented,
    "mended": _mended,
    "mended again": _mended,
    "gone": _gone,
    "damaged": _damaged,
    "reordered": _reordered,
    "spelled": _spelled,
    "forbidden": _forbidden,
    "images": _images,
    "deleted": _deleted,
    "new": _new,
    "renamed": _renamed,
    "twice": _twice,
    "store damaged": _store_damaged,
    "store torn": _store_torn,
}

WIDE: dict[str, Callable[[World], None]] = {
    "bundle": _bundle,
    "setting": _setting,
    "by content": _by_content,
    "by etag": _by_etag,
}


def nights(world: World, changes: int) -> Iterator[tuple[int, int]]:
    """Night after night; see `World.compare`."""
    world.start()
    yield world.compare()
    while len(world.made) < changes:
        world.day()
        yield world.compare()


def main(changes: int, seed: int = 7) -> None:
    """So many changes; says how much was taken over."""
    with tempfile.TemporaryDirectory() as folder:
        bundles = tuple(f"{folder}/bundle-{number}" for number in range(2))
        for number, bundle in enumerate(bundles):
            tiny.make_bundle(bundle, seed=3 + number)
        world = World(Market(f"{folder}/market", ""), bundles, np.random.default_rng(seed))
        rows = of = images_known = 0
        for carried, known in nights(world, changes):
            rows, of, images_known = rows + carried, of + len(world.rows), images_known + known
        sys.stdout.write(
            f"{len(world.made):,} changes in {world.night:,} nights, seed {seed}: no stale score;"
            f" {rows:,} of {of:,} rows were carried forward, {images_known:,} images were known.\n"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(int, sys.argv[2:]))
