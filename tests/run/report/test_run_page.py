"""Real runs and the pages that they leave: also where something went wrong, and never at the run's cost."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from scorer import score_partition
from scorer.errors import BundleError, NothingToDo, SettingsError
from scorer.objectstore import ObjectStore, join
from scorer.output.manifest import RunManifest
from scorer.run.report.journal import Entry, last
from scorer.run.report.observer import RunPage
from scorer.run.tools import Tools
from scorer.telemetry import Reporter
from tests.run.report.pages import Parsed, problems
from tests.tiny import KEY, Market, listing, local_market


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    """Listings of which some lack an image, a feature, or an id."""
    market = local_market(tmp_path, bundle)
    rows = [listing(number) for number in range(40)]
    rows += [listing(40, image_uris=[]), listing(41, area=None), listing(42, listing_id=None)]
    rows += [listing(43, image_uris=["img/0.jpg", "img/none.jpg"])]
    market.write(rows)
    return market


def scored(market: Market, **settings: Any) -> tuple[RunManifest, RunPage, list[dict[str, Any]]]:
    """A run with its page, and the events that it told."""
    page, said = RunPage(3), io.StringIO()
    manifest = score_partition(market.job(**settings), Tools(reporter=Reporter(said, people=False)), [page])
    return manifest, page, [json.loads(line) for line in said.getvalue().splitlines()]


def entries(market: Market) -> list[Entry]:
    return last(market.job().state_uri, 10, ObjectStore())


def test_a_published_run_leaves_its_page_beside_its_manifest_and_says_where(market: Market) -> None:
    manifest, page, events = scored(market)
    assert [event["page"] for event in events if event["event"] == "page"] == [page.uri]
    assert page.uri.endswith(f"/starts/{manifest.start}/report.html")
    parsed = Parsed(Path(page.uri).read_text())
    assert problems(parsed) == []
    assert parsed.all("h1")[0].text.startswith("Published")
    assert manifest.run_id in parsed.text
    assert len(parsed.all("img")) >= 3
    assert "The slowest images of this start" in parsed.text
    assert "img/none.jpg" in parsed.text
    bands = [int(path.attributes["data-count"]) for path in parsed.all("path") if "data-count" in path.attributes]
    assert sum(bands) == manifest.counts.rows_in + manifest.counts.images_read
    (entry,) = entries(market)
    assert (entry.run_id, entry.outcome, entry.page) == (manifest.run_id, "published", page.uri)
    assert entry.counts == manifest.counts.model_copy(update={"examples": ()})


def test_a_second_night_is_compared_with_the_first(market: Market) -> None:
    scored(market)
    market.write([listing(number, area=90.0 + number) for number in range(40)], key="ds=2026-11-25")
    _, page, _ = scored(market, partition="ds=2026-11-25")
    text = Parsed(Path(page.uri).read_text()).text
    assert f"40 listings have a prediction here and in {KEY}" in text


def test_work_that_is_published_already_leaves_no_second_page(market: Market) -> None:
    scored(market)
    _, page, _ = scored(market)
    assert page.uri == ""
    assert len(entries(market)) == 1


def test_a_run_that_fails_before_its_plan_leaves_a_page_in_the_partitions_reports(market: Market) -> None:
    page = RunPage(3)
    with pytest.raises(BundleError):
        score_partition(market.job(bundle=join(market.root, "nowhere")), observers=[page])
    assert Path(page.uri).parent == Path(market.job().state_uri) / KEY / "reports"
    parsed = Parsed(Path(page.uri).read_text())
    assert problems(parsed) == []
    assert parsed.all("h1")[0].text == "Failed"
    assert "There is no bundle at" in parsed.text
    (entry,) = entries(market)
    assert (entry.outcome, entry.exit_code, entry.run_id) == ("failed", 3, "")


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"partition": "ds=2026-01-01"}, NothingToDo), ({"state": "s3://bucket/state"}, SettingsError)],
)
def test_a_run_with_nothing_to_do_or_wrong_settings_leaves_no_page(
    market: Market, settings: dict[str, Any], error: type[Exception]
) -> None:
    page = RunPage(3)
    with pytest.raises(error):
        score_partition(market.job(**settings), observers=[page])
    assert page.uri == ""
    assert entries(market) == []


def test_a_page_that_cannot_be_written_costs_a_warning_and_not_the_run(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise OSError("no space left")

    monkeypatch.setattr("scorer.run.report.observer.html", broken)
    manifest, _, events = scored(market)
    assert manifest.outcome == "published"
    warnings = [event["message"] for event in events if event["event"] == "warning"]
    assert [text for text in warnings if "RunPage" in text] == [
        "RunPage was not served (OSError: no space left). The run is not affected."
    ]
