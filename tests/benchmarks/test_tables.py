"""The benchmarks' listings, and the lock of the environment that the peers live in."""

import re
from pathlib import Path

from benchmarks import tables

LOCK = Path(__file__).parent.parent.parent / "benchmarks" / "requirements-peers.lock"


def test_every_listing_has_one_image_and_an_id_of_its_own() -> None:
    table = tables.listings(["a.jpg", "b.jpg", "c.jpg"], 7)

    assert len(set(table["listing_id"].to_pylist())) == 7
    assert table["image_uris"].to_pylist() == [[uri] for uri in table["image"].to_pylist()]
    assert set(table["image"].to_pylist()) == {"a.jpg", "b.jpg", "c.jpg"}


def test_the_small_run_scores_images_of_the_large_one() -> None:
    images = [f"{number}.jpg" for number in range(8)]

    small, large = tables.listings(images, 2), tables.listings(images, 8)

    assert small["image"].to_pylist() == large["image"].to_pylist()[:2]


def test_the_peers_lock_pins_and_hashes_every_package_and_names_no_server() -> None:
    text = LOCK.read_text(encoding="utf-8")

    assert "://" not in text
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[a-z0-9.-]+(\[[a-z0-9,-]+\])?==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
