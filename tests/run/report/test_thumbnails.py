"""Pictures on a page: within the run's limits, decoded elsewhere, upright, and small."""

import base64
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from scorer.run.report import thumbnails as module
from scorer.run.report.thumbnails import SIDE, thumbnails
from tests import images
from tests.tiny import Market


@pytest.fixture
def market(tmp_path: Path) -> Market:
    """Images of every kind below the listings."""
    market = Market(str(tmp_path), "")
    market.write_images(
        {
            "good.jpg": images.jpeg(),
            "turned.jpg": images.oriented_jpeg(6),
            "broken.jpg": images.jpeg()[:100],
            "page.jpg": b"<html><script>alert(1)</script>",
        }
    )
    return market


def test_the_first_image_that_can_be_used_stands_for_its_listing(market: Market) -> None:
    wanted = {"a": ["page.jpg", "good.jpg"], "b": ["page.jpg"], "c": [], "d": ["nowhere.jpg", "broken.jpg"]}
    made = thumbnails(wanted, market.listings, market.job(), market.store)
    assert made["a"].uri.startswith("data:image/jpeg;base64,")
    assert [made[name].why_not for name in "abcd"] == ["", "image_unsupported", "no_images", "image_corrupt"]


def test_a_picture_has_the_proportions_of_the_upright_image(market: Market) -> None:
    made = thumbnails({"a": ["good.jpg"], "b": ["turned.jpg"]}, market.listings, market.job(), market.store)
    assert (made["a"].width, made["a"].height) == (SIDE, round(SIDE * images.HEIGHT / images.WIDTH))
    assert (made["b"].width, made["b"].height) == (made["a"].width, made["a"].height)
    pixels = Image.open(BytesIO(base64.b64decode(made["a"].uri.partition(",")[2])))
    assert (pixels.format, pixels.size) == ("JPEG", (made["a"].width, made["a"].height))


@pytest.mark.parametrize("uri", ["s3://elsewhere/a.jpg", "../../etc/passwd", "https://tracker/a.gif"])
def test_what_the_run_may_not_read_the_page_does_not_read(market: Market, uri: str) -> None:
    made = thumbnails({"a": [uri]}, market.listings, market.job(), market.store)
    assert made["a"].why_not == "image_forbidden"


def test_an_image_beyond_the_limits_is_not_shown(market: Market) -> None:
    job = market.job(images={"max_bytes": 50})
    assert thumbnails({"a": ["good.jpg"]}, market.listings, job, market.store)["a"].why_not == "image_too_large"


def test_pictures_end_where_the_page_would_grow_too_large(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUDGET", 1)
    made = thumbnails({name: ["good.jpg"] for name in "ab"}, market.listings, market.job(), market.store)
    assert made["a"].uri
    assert made["b"].why_not.startswith("left out")
