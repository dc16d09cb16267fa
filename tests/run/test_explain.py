"""scorer explain: the score that a run publishes, and what each part of the listing did to it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from scorer import score_partition
from scorer.cli import app
from scorer.errors import InputError, NothingToDo
from scorer.run.explain import explain
from scorer.run.explanation import Explanation
from tests import tiny
from tests.tiny import KEY, Market, listing, local_market

CLOSE = 1e-5 * tiny.SCALE
THREE = ["img/1.jpg", "img/2.jpg", "img/3.jpg"]


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    market = local_market(tmp_path, bundle)
    market.write(
        [
            listing(0, image_uris=THREE, city="Porto", area=120.0),
            listing(1, image_uris=[]),
            listing(2, image_uris=["img/1.jpg", "img/none.jpg", "img/2.jpg", "img/4.jpg"], area=None),
            listing(3),
            listing(3),
        ]
    )
    return market


def explained(market: Market, number: int) -> Explanation:
    return explain(market.job(), f"home-{number}", market.store)


def scored(market: Market, row: dict[str, Any]) -> float:
    """What a run publishes for one row alone."""
    market.write([row], key="ds=2026-12-24")
    score_partition(market.job(partition="ds=2026-12-24"))
    return float(market.read(key="ds=2026-12-24").column("prediction")[0].as_py())


def test_it_is_the_score_interval_and_image_effect_that_a_run_publishes(market: Market) -> None:
    score_partition(market.job())
    rows = {row["listing_id"]: row for row in market.read().to_pylist()}
    for number in range(3):
        found, row = explained(market, number), rows[f"home-{number}"]
        for name, value in (
            ("prediction", found.prediction),
            ("prediction_low", found.low),
            ("prediction_high", found.high),
            ("image_effect", found.image_effect),
        ):
            assert value == pytest.approx(row[name], abs=CLOSE)
        assert list(found.reasons) == row["reasons"]
    assert explained(market, 0).seen == "with an image: 91.0% of 99"
    assert explained(market, 1).seen == "without an image: 91.0% of 99"


def test_an_images_effect_is_the_score_minus_that_of_the_listing_without_it(market: Market) -> None:
    found = explained(market, 0)
    row = listing(0, city="Porto", area=120.0)
    whole = scored(market, row | {"image_uris": THREE})
    for place, one in enumerate(found.images):
        assert one.uri == THREE[place]
        left = [uri for uri in THREE if uri != one.uri]
        assert one.effect == pytest.approx(whole - scored(market, row | {"image_uris": left}), abs=CLOSE)
    assert found.image_effect == pytest.approx(whole - scored(market, row | {"image_uris": []}), abs=CLOSE)


def test_an_image_that_was_not_used_says_why(market: Market) -> None:
    images = explained(market, 2).images
    assert [one.why_not for one in images] == ["", "image_not_found", "", "beyond the first 3"]
    assert [one.effect is None for one in images] == [False, True, False, True]


def test_a_listing_without_images_is_explained_by_its_features(market: Market) -> None:
    found = explained(market, 1)
    assert (found.images, found.image_effect) == ((), 0.0)
    assert {one.name for one in found.features} == {"area", "garden", "city"}


def test_a_features_effect_is_the_score_minus_that_with_the_value_that_is_typical(market: Market) -> None:
    """The tiny bundle's profile tells nothing, so typical is: missing."""
    found = explained(market, 0)
    row = listing(0, city="Porto", area=120.0, image_uris=THREE)
    whole = scored(market, row)
    for one in found.features:
        assert one.typical is None
        assert one.effect == pytest.approx(whole - scored(market, row | {one.name: None}), abs=CLOSE)
    sizes = [abs(one.effect) for one in found.features]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) > 1.0


def test_a_profile_gives_the_typical_values_and_a_hostile_one_none(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scorer.model.bundle import Bundle

    told: dict[str, Any] = {
        "area": {"quantiles": {"0.5": 80.0}},
        "garden": {"top": {"True": 0.9, "False": 0.1}},
        "city": {"top": {"Lyon": 0.4, "Porto": 0.6}},
    }
    load = Bundle.__init__

    def profiled(self: Bundle, **values: Any) -> None:
        load(self, **{**values, "profile": {"features": told}})

    monkeypatch.setattr(Bundle, "__init__", profiled)
    shown = {one.name: one.typical for one in explained(market, 0).features}
    assert shown == {"area": "80.0", "garden": "True", "city": "Porto"}
    told |= {"area": {"quantiles": {"0.5": "wide"}}, "garden": {"top": {"maybe": None}}, "city": ["Lyon"]}
    assert {one.typical for one in explained(market, 0).features} == {None}


def test_a_listing_that_is_not_there_or_that_a_run_would_refuse_is_named(market: Market) -> None:
    with pytest.raises(NothingToDo, match="has no listing 'home-99'"):
        explained(market, 99)
    with pytest.raises(InputError, match="A run would quarantine listing 'home-3': id_duplicated"):
        explained(market, 3)


def test_the_command_prints_tables_or_json_and_writes_nothing(market: Market) -> None:
    places = ["--listings", market.listings, "--bundle", market.bundle, "--partition", KEY]
    before = sorted(Path(market.root).rglob("*"))
    said = CliRunner().invoke(app, ["explain", "--listing", "home-2", *places])
    assert said.exit_code == 0, said.output
    for text in ("made to hold 90% of the truths; in training with an image: 91.0% of 99", "image_not_found", "area"):
        assert text in said.stdout
    as_json = CliRunner().invoke(app, ["explain", "--listing", "home-2", *places, "--json"])
    found = json.loads(as_json.stdout)
    assert np.isfinite(found["prediction"])
    assert [one["uri"] for one in found["images"]] == ["img/1.jpg", "img/none.jpg", "img/2.jpg", "img/4.jpg"]
    assert CliRunner().invoke(app, ["explain", "--listing", "nobody", *places]).exit_code == 99
    assert sorted(Path(market.root).rglob("*")) == before
