from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scorer.errors import ContractError, InputError, NothingToDo, ScorerError, SettingsError
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.pixels import PixelSpec
from scorer.objectstore import ObjectStore
from scorer.training.examples import Examples, open_partitions, read_examples
from scorer.training.images import Source
from tests.training.listings import Row, job, rows_with_images, write_listings

Read = Callable[..., Examples]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes rows and reads them as examples."""

    def read_rows(rows: list[Row], **settings: Any) -> Examples:
        write_listings(tmp_path, rows)
        store, training = ObjectStore(), job(tmp_path, **settings)
        partitions = open_partitions(training, store)
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        with ExitStack() as stack:
            fetcher = stack.enter_context(Fetcher(store, training.images, 4))
            places = ImagePlaces.of(partitions[0].base, training.sources)
            source = Source(fetcher, places, training.images, 4)
            return read_examples(partitions, training, PixelSpec(16), source, store, scratch)

    return read_rows


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Thirty rows, each with at least one image."""
    return [row for row in rows_with_images(tmp_path, 40) if row["image_uris"]][:30]


def by_id(examples: Examples) -> dict[str, int]:
    return {listing: row for row, listing in enumerate(examples.table.column("listing_id").to_pylist())}


def test_every_listing_of_every_partition_is_read_with_its_images_in_order(read: Read, rows: list[Row]) -> None:
    examples = read(rows)
    assert examples.partitions == ("ds=2026-11-20", "ds=2026-11-21")
    places = by_id(examples)
    assert places.keys() == {row["listing_id"] for row in rows}
    for row in rows:
        place = places[row["listing_id"]]
        assert examples.target[place] == row["price"]
        assert [examples.uris[uri] for uri in examples.given[place] if uri >= 0] == row["image_uris"]
        assert (examples.images[place] >= 0).sum() == len(row["image_uris"])


def test_only_the_partitions_that_are_named_are_read(read: Read, rows: list[Row]) -> None:
    assert len(read(rows, partitions=("ds=2026-11-21",))) == 15


def test_of_many_images_the_first_are_used(read: Read, rows: list[Row]) -> None:
    examples = read(rows, max_images=1)
    assert examples.given.shape == (30, 1)
    assert set(examples.uris) == {row["image_uris"][0] for row in rows}


def test_rows_without_target_are_left_out_and_counted(read: Read, rows: list[Row]) -> None:
    rows[3]["price"] = None
    examples = read(rows)
    assert len(examples) == 29
    assert examples.without_target == 1
    assert rows[3]["listing_id"] not in by_id(examples)


def test_an_image_that_cannot_be_used_is_missing_from_its_listing_and_no_other(
    read: Read, rows: list[Row], tmp_path: Path
) -> None:
    (tmp_path / rows[0]["image_uris"][0]).write_bytes(b"not an image")
    examples = read(rows)
    used = (examples.images >= 0).sum(axis=1)
    for row in rows:
        assert used[by_id(examples)[row["listing_id"]]] == len(row["image_uris"]) - (row is rows[0])


def group_of(examples: Examples, row: Row) -> int:
    return int(examples.groups[by_id(examples)[row["listing_id"]]])


def test_listings_that_share_nothing_are_groups_of_their_own(read: Read, rows: list[Row]) -> None:
    assert len(np.unique(read(rows).groups)) == 30


def test_listings_that_name_the_same_image_belong_together_even_if_it_cannot_be_had(
    read: Read, rows: list[Row]
) -> None:
    rows[1]["image_uris"], rows[8]["image_uris"] = ["images/gone.png"], ["images/gone.png"]
    examples = read(rows)
    assert group_of(examples, rows[1]) == group_of(examples, rows[8])


def test_listings_with_the_same_image_bytes_under_two_names_belong_together(
    read: Read, rows: list[Row], tmp_path: Path
) -> None:
    (tmp_path / rows[2]["image_uris"][0]).write_bytes((tmp_path / rows[9]["image_uris"][-1]).read_bytes())
    examples = read(rows)
    assert group_of(examples, rows[2]) == group_of(examples, rows[9])
    assert len(np.unique(examples.groups)) == 29


def test_one_listing_on_two_nights_belongs_together(read: Read, rows: list[Row]) -> None:
    rows[4]["listing_id"] = rows[5]["listing_id"]
    rows[4]["image_uris"] = []
    assert len(np.unique(read(rows).groups)) == 29


def test_rows_of_the_same_group_column_belong_together(read: Read, rows: list[Row]) -> None:
    examples = read(rows, group="city")
    cities = examples.table.column("city").to_pylist()
    assert len(np.unique(examples.groups)) == len(set(cities))


@pytest.mark.parametrize(
    ("change", "settings", "error", "says"),
    [
        ({}, {"target": "cost"}, SettingsError, r"target: .*'cost'\. Known: area, .*price"),
        ({}, {"group": "seller"}, SettingsError, r"group: .*'seller'"),
        ({}, {"target": "city", "task": "regression"}, ContractError, r"target 'city' is string; expected a number"),
        ({"price": float("inf")}, {}, ContractError, r"NaN or infinite in 30 rows \(listing_id L.*\)"),
        ({"tags": ["new"]}, {"group": "tags"}, ContractError, r"group: column 'tags' is no plain value in each row"),
        ({"price": None}, {}, ContractError, r"target 'price' is null; expected a number"),
        ({"image_uris": ["images/gone.png"]}, {}, InputError, r"Not one of 1 images .*image_not_found 1"),
        ({"image_uris": []}, {}, InputError, r"Not one of 0 images .*none is named"),
        # Before the image that is not there is asked for:
        (
            {"image_uris": ["images/gone.png"]},
            {"target": "city", "cross_validate": "5x3", "fusion": "all"},
            SettingsError,
            r"cross_validate, fusion all: for targets that are numbers; 'city' names classes\. Nothing was trained",
        ),
        *(
            ({"image_uris": ["images/gone.png"]}, {name: given}, SettingsError, rf"{name}: .*'aera'\. Known: area,")
            for name, given in (
                ("features", ("aera",)),
                ("exclude", ("aera",)),
                ("categories", ("aera",)),
                ("prefixes", {"aera": 2}),
            )
        ),
        ({}, {"partitions": ("ds=2026-11-20", "ds=1999-01-01")}, InputError, r"No Parquet file in ds=1999-01-01"),
        ({}, {"listings": "/nowhere"}, NothingToDo, r"no Parquet file below /nowhere"),
    ],
)
def test_listings_that_cannot_be_trained_on_are_refused_in_words(
    read: Read, rows: list[Row], change: Row, settings: Row, error: type[ScorerError], says: str
) -> None:
    with pytest.raises(error, match=says):
        read([{**row, **change} for row in rows], **settings)


def test_listings_whose_images_look_the_same_belong_together_unless_that_is_not_wanted(
    read: Read, rows: list[Row], tmp_path: Path
) -> None:
    pixels = cv2.imread(str(tmp_path / rows[2]["image_uris"][0]))
    assert pixels is not None
    brighter = np.clip(pixels.astype(int) + 3, 0, 255).astype(np.uint8)
    (tmp_path / rows[9]["image_uris"][0]).write_bytes(cv2.imencode(".png", brighter)[1].tobytes())
    together, apart = read(rows), read(rows, near_duplicates=False)
    assert group_of(together, rows[2]) == group_of(together, rows[9])
    assert len(np.unique(together.groups)) == 29
    assert "2 have an image that looks like that of another file" in together.ties.text
    assert len(np.unique(apart.groups)) == 30
