"""The made-up marketplace: the same for everyone, and one in which photos matter."""

import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from scorer.demo.market import FLAWED_PHOTOS, NEW_CITY, Market, make_market
from scorer.demo.photos import FLAWS, Photo
from scorer.demo.pictures import Pixels
from scorer.errors import ImageFault
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.objectstore import ObjectStore
from scorer.settings import ImageLimits, ImageSources

SMALL = 120


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    return make_market(tmp_path_factory.mktemp("market"), seed=3, listings=SMALL)


def digest_of(directory: Path) -> str:
    """SHA-256 over the names and bytes of all files."""
    everything = hashlib.sha256()
    for file in sorted(file for file in directory.rglob("*") if file.is_file()):
        everything.update(f"{file.relative_to(directory)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return everything.hexdigest()


def ids(market: Market, night: int) -> list[str | None]:
    table = ds.dataset(market.listings / market.nights[night]).to_table(columns=["listing_id"])
    given: list[str | None] = table.column("listing_id").to_pylist()
    return given


def pixels_of(market: Market, photo: Photo) -> Pixels:
    """Decoded by OpenCV, which sets JPEGs upright."""
    pixels = cv2.imread(str(market.listings / photo.uri))
    assert pixels is not None, photo.uri
    return pixels.astype(np.uint8)


def test_the_same_seed_makes_the_same_files_byte_for_byte(market: Market, tmp_path: Path) -> None:
    make_market(tmp_path / "again", seed=3, listings=SMALL)
    make_market(tmp_path / "other", seed=4, listings=SMALL)

    assert digest_of(tmp_path / "again") == digest_of(market.directory)
    assert digest_of(tmp_path / "other") != digest_of(market.directory)


def test_every_photo_exists_and_is_upright_but_for_those_broken_on_purpose(market: Market) -> None:
    flaws: dict[str, int] = {}
    for photo in market.photos:
        if photo.flaw:
            flaws[photo.flaw] = flaws.get(photo.flaw, 0) + 1
        else:
            height, width = pixels_of(market, photo).shape[:2]
            assert width > height, f"{photo.uri} is not set upright by its EXIF orientation"

    assert flaws == dict.fromkeys(FLAWS, FLAWED_PHOTOS)
    absent = [photo.flaw for photo in market.photos if not (market.listings / photo.uri).is_file()]
    assert sorted(map(str, absent)) == ["foreign", "foreign", "missing", "missing"]


def test_each_broken_photo_is_broken_in_the_way_it_says(market: Market) -> None:
    places = ImagePlaces.of(str(market.listings), ImageSources())
    with Fetcher(ObjectStore(), ImageLimits(), concurrency=1) as fetcher:
        for photo in market.photos:
            if photo.flaw:
                with pytest.raises(ImageFault) as fault:
                    decode_image(fetcher.get(places.resolve(photo.uri)), PixelSpec(), ImageLimits())
                assert fault.value.reason == FLAWS[photo.flaw].reason, photo


def test_a_broken_photo_strikes_listings_of_every_night(market: Market) -> None:
    struck = [home for home in market.homes if any(photo.flaw for photo in home.photos)]

    assert all(home.nights == range(3) for home in struck)


def test_the_hidden_condition_moves_the_price(market: Market) -> None:
    condition = np.array([home.condition for home in market.homes])
    per_m2 = np.array([home.prices[0] / home.area_m2 for home in market.homes])
    worst, best = per_m2[condition < 0.25], per_m2[condition > 0.75]

    assert np.corrcoef(condition, np.log(per_m2))[0, 1] > 0.5
    assert 1.4 < np.median(best) / np.median(worst) < 2.6  # 1.3 / 0.7 but for the cities


def test_the_hidden_condition_shows_in_the_photos_and_in_no_column(market: Market) -> None:
    homes = [home for home in market.homes if home.photos and not any(photo.flaw for photo in home.photos)]
    condition = np.array([home.condition for home in homes])
    brightness = [np.mean([pixels_of(market, photo).mean() for photo in home.photos]) for home in homes]
    columns = {
        "area_m2": [home.area_m2 for home in homes],
        "rooms": [home.rooms for home in homes],
        "year_built": [home.year_built or 1975 for home in homes],
        "has_garden": [home.has_garden for home in homes],
    }

    assert np.corrcoef(brightness, condition)[0, 1] > 0.8
    for name, values in columns.items():
        # Four standard errors of a correlation that is none.
        assert abs(np.corrcoef(np.asarray(values, float), condition)[0, 1]) < 4 / np.sqrt(len(homes)), name


def test_nights_overlap_as_real_ones_do(market: Market) -> None:
    first, second = set(ids(market, 0)), set(ids(market, 1)) - {None}

    assert len(first & second) / len(first) > 0.9
    assert first - second
    assert second - first


def test_prices_move_a_little_between_nights(market: Market) -> None:
    moves = [home.prices[-1] / home.prices[0] for home in market.homes]

    assert 0.9 < min(moves) < 1.0
    assert np.mean(np.array(moves) == 1.0) > 0.7


def test_the_first_night_is_clean_and_the_later_ones_are_not(market: Market) -> None:
    first = ids(market, 0)
    assert None not in first
    assert len(set(first)) == len(first)
    for night in (1, 2):
        given = ids(market, night)
        assert given.count(None) == 1
        assert len(given) - len(set(given)) == 1


def test_a_city_comes_up_that_the_first_night_never_saw(market: Market) -> None:
    cities = [
        set(ds.dataset(market.listings / key).to_table(columns=["city"]).column("city").to_pylist())
        for key in market.nights
    ]

    assert NEW_CITY[0] not in cities[0]
    assert NEW_CITY[0] in cities[1] & cities[2]


def test_the_listings_read_as_one_table_and_survive_a_move(market: Market, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(market.directory, moved, symlinks=True)

    table = ds.dataset(moved / "listings", partitioning="hive", format="parquet").to_table()
    assert table.num_rows == sum(len(ids(market, night)) for night in range(3))
    assert set(table.column("ds").to_pylist()) == {key.removeprefix("ds=") for key in market.nights}
    good = next(photo for photo in market.photos if not photo.flaw)
    assert (moved / "listings" / good.uri).is_file()
    assert (moved / "images" / Path(good.uri).name).is_file()


def test_some_listings_have_no_photo_and_some_no_year(market: Market) -> None:
    table = pq.read_table(market.listings / market.nights[0])

    assert 0 in {len(uris) for uris in table.column("image_uris").to_pylist()}
    assert table.column("year_built").null_count > 0


def test_too_small_a_market_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="60 listings and 2 nights at least, not 10 and 3"):
        make_market(tmp_path, listings=10)
