"""The page of a run, rendered: whole, harmless, and true to the manifest."""

import subprocess
import sys
from pathlib import Path

import pytest

from scorer.output.manifest import RunManifest
from scorer.run.report.content import Content, content
from scorer.run.report.observer import RunPage, html
from tests.run.report import made
from tests.run.report.pages import Parsed, problems

HOSTILE = "</script><img src=x onerror=alert(1)>\u202egpj.exe" + "A" * 10_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> made.Place:
    """A marketplace with one published night, and another beside it to spoil."""
    place = made.place(tmp_path_factory.mktemp("made"))
    made.account(place, place.market.nights[1])
    return place


@pytest.fixture(scope="module")
def told(place: made.Place) -> tuple[Content, str]:
    """The night after, with a listing whose id is an attack; and its page."""
    account = made.account(place, place.market.nights[2], moved=1.05, hostile=HOSTILE)
    page = content(account, made.samples(), 6)
    return page, html(page)


def manifest_of(page: Content) -> RunManifest:
    assert page.manifest is not None
    return page.manifest


def test_the_page_loads_nothing_runs_nothing_and_names_everything(told: tuple[Content, str]) -> None:
    page, text = told
    assert page.notes == []
    assert problems(Parsed(text)) == []


def test_the_page_says_what_the_intervals_held_in_training_and_that_this_is_no_promise(
    told: tuple[Content, str],
) -> None:
    page, text = told
    said = Parsed(text).text
    assert len(page.beside) == 3
    assert "made to hold 90% of the truths" in said
    assert "with an image: 90.4% of 312; without an image: 89.7% of 340 (their images taken away)" in said
    assert "That is no promise for tonight" in said


def test_the_page_is_small(told: tuple[Content, str]) -> None:
    assert len(told[1].encode()) < 3_000_000


def test_a_hostile_listing_id_is_text_and_nothing_else(told: tuple[Content, str]) -> None:
    _, text = told
    parsed = Parsed(text)
    assert "</script><img src=x onerror=alert(1)>[U+202E]gpj.exe" in parsed.text
    assert "\u202e" not in text
    assert "A" * 200 not in text
    assert not [picture for picture in parsed.all("img") if not picture.attributes["src"].startswith("data:")]


def test_bands_and_labels_say_the_same_numbers_and_add_up_to_the_manifest(told: tuple[Content, str]) -> None:
    page, text = told
    parsed, counts = Parsed(text), manifest_of(page).counts
    drawn = [element for element in parsed.all("svg") if "data-total" in element.attributes]
    totals = [int(element.attributes["data-total"]) for element in drawn]
    assert totals == [counts.rows_in, counts.images_read]
    bands = [
        int(element.attributes["data-count"]) for element in parsed.all("path") if "data-count" in element.attributes
    ]
    labels = [
        int(element.text.replace(",", ""))
        for element in parsed.all("b")
        if "li" in element.above and element.above[-2:] == ("li", "span")
    ]
    assert bands == labels
    assert sum(bands) == sum(totals)
    assert counts.rows_in == counts.scored + counts.degraded + counts.failed + counts.quarantined


def test_every_number_of_the_account_stands_on_the_page(told: tuple[Content, str]) -> None:
    page, text = told
    shown, manifest = Parsed(text).text, manifest_of(page)
    for fact in (manifest.run_id, manifest.bundle.digest, manifest.versions["numpy"], manifest.profile.bottleneck):
        assert fact in shown
    for fault in manifest.counts.examples:
        assert fault.uri in shown
        assert fault.detail in shown


def test_pictures_of_the_highest_lowest_and_most_changed_listings_are_shown(told: tuple[Content, str]) -> None:
    page, text = told
    assert [(group.title, len(group.cards)) for group in page.groups] == [
        ("Highest predictions", 6),
        ("Lowest predictions", 6),
        ("Moved most", 6),
    ]
    assert len(Parsed(text).all("img")) >= 15
    assert page.last_name == "ds=2026-11-23"


def test_scores_and_features_stand_beside_the_training(told: tuple[Content, str]) -> None:
    page, _ = told
    assert page.scores is not None
    assert page.scores.columns == ("this run", "ds=2026-11-23", "training")
    assert {row.name for row in page.features} == set(made.FEATURES)


def test_a_refused_run_says_first_which_gates_refused_it_and_why(place: made.Place) -> None:
    text = html(content(made.refused(place, place.market.nights[2]), made.samples(), 2))
    parsed = Parsed(text)
    assert problems(parsed) == []
    assert parsed.all("h1")[0].text == "Refused by 2 gates"
    shown = parsed.text
    assert shown.index("score_shift: predictions: PSI 0.410") < shown.index("listings in")
    assert shown.index("30 % of the images") < shown.index("20 % of the rows")  # what warns comes after what failed
    assert "Nothing was published of ds=2026-11-24; readers see what they saw before." in shown


def test_a_run_that_failed_before_its_plan_has_a_page_with_its_error(place: made.Place) -> None:
    error = "The bundle at s3://u:p@models has no <digests.json>. Nothing was scored.\nName another."
    text = html(content(made.failed(place, "ds=2026-11-24", error), (), 6))
    parsed = Parsed(text)
    assert problems(parsed) == []
    assert parsed.all("h1")[0].text == "Failed"
    assert "The bundle at s3://…@models has no <digests.json>. Nothing was scored.\nName another." in parsed.text


def test_a_run_that_may_be_started_again_is_called_stopped(place: made.Place) -> None:
    text = html(content(made.failed(place, "ds=2026-11-24", "The store does not answer.", 75), (), 6))
    assert Parsed(text).all("h1")[0].text == "Stopped"
    assert "Start the same run again" in text


def test_a_run_that_another_one_overtook_says_what_readers_see_now(place: made.Place) -> None:
    error = "Run r-2 was published while this run worked. Start it again if its outcome should replace that one."
    parsed = Parsed(html(content(made.failed(place, "ds=2026-11-24", error, 5), (), 6)))
    assert parsed.all("h1")[0].text == "Overtaken"
    assert "another version became current while it worked, and that is what readers see" in parsed.text
    assert "fails again" not in parsed.text


def test_what_cannot_be_had_is_named_and_the_rest_stays(place: made.Place) -> None:
    account = made.account(place, place.market.nights[2])
    assert account.manifest is not None
    place.store.delete([account.manifest.predictions[0].uri])
    page = content(account, (), 6)
    parsed = Parsed(html(page))
    assert problems(parsed) == []
    assert [note.partition(" could")[0] for note in page.notes] == ["The gallery"]
    assert "The gallery could not be had: NotFound" in parsed.text
    assert page.rows is not None
    assert page.features


def test_no_image_is_fetched_where_no_gallery_is_wanted(place: made.Place) -> None:
    page = content(made.account(place, place.market.nights[2]), (), 0)
    assert page.groups == ()
    assert page.rows is not None
    assert len(page.rows.bands) > 3  # the reasons are told apart all the same


@pytest.mark.parametrize("partition", ["../../etc", "ds=../x", "ds=a/../b", "", "plain", "ds=a\nb"])
def test_a_partition_key_leads_no_page_out_of_the_state(place: made.Place, partition: str) -> None:
    account = made.failed(place, partition, "There is no such partition.")
    page = RunPage(0)
    page.ended(account)
    assert Path(page.uri).parent == Path(account.job.state_uri) / "reports"
    assert Path(page.uri).is_file()


def test_a_secret_among_the_settings_is_not_shown() -> None:
    from scorer.run.report.accounts import settings_rows

    rows = settings_rows({"a": {"api_token": "s3cr3t", "url": "https://me:pw@host/"}, "headers": {"x": "y"}, "b": None})
    assert rows == [
        ("a.api_token", "set, not shown"),
        ("a.url", "https://…@host/"),
        ("b", "–"),
        ("headers", "set, not shown"),
    ]


def test_what_writes_the_page_is_loaded_without_tensorflow_and_pandas() -> None:
    code = "import sys, scorer.run.report.observer; print(sorted({'tensorflow', 'keras', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
