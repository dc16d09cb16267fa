"""The card of a bundle: figures that are what they say, and nothing in it that the data could have put there."""

import re
from collections import Counter
from dataclasses import replace
from html import unescape

import numpy as np
import pyarrow as pa
import pytest

from scorer.model.preprocessing import CategoryFeature, NumberFeature, Preprocessing
from scorer.settings import TrainJob
from scorer.training.card.build import Finished, build, card_files
from scorer.training.card.content import Card, Curve
from scorer.training.card.markdown import text
from scorer.training.card.measures import first_images
from scorer.training.crossval import Crossed, Scheme, cross_validate, images_verdict
from scorer.training.examples import Examples
from scorer.training.images import ImageCache
from scorer.training.recipes import design_of
from scorer.training.split import group_folds, split_by_time, split_groups
from scorer.training.ties import SAME_IMAGE, tie
from tests.training.reading import PageReader

N = 400
RANDOM = np.random.default_rng(0)
HOSTILE = [
    "<script>alert(1)</script>",
    "a|b\n# owned",
    "![x](http://evil/x)",
    "`code` **bold** [l](javascript:1)",
    "\u202eabc",
]
MATRIX = np.concatenate([RANDOM.normal(0, 1, (N, 2)), np.eye(5)[np.arange(N) % 5]], axis=1).astype(np.float32)
IMAGES = np.where(RANDOM.random((N, 3)) < 0.8, np.arange(N)[:, None] % 40 + np.arange(3), -1).astype(np.int32)
BRIGHT = np.linspace(0, 1, 43)
PREPROCESSING = Preprocessing(
    (
        NumberFeature("area", "double", 0.0, 0.0, 1.0, False),
        NumberFeature("rooms", "double", 0.0, 0.0, 1.0, False),
        CategoryFeature("city", "string", tuple(HOSTILE), False),
    )
)


def predict(features: np.ndarray, images: np.ndarray) -> np.ndarray:
    """What the made-up model says: area, city and the brightness of the images count, rooms do not."""
    shown = np.where(images >= 0, BRIGHT[images], 0).sum(axis=1) / np.maximum((images >= 0).sum(axis=1), 1)
    return np.asarray(np.exp(10 + 0.5 * features[:, 0] + 0.3 * features[:, 2] + 0.8 * shown), np.float64)


TARGET = predict(MATRIX, IMAGES) * np.exp(RANDOM.normal(0, 0.05, N))
TARGET[::5] *= 1.5  # the first city's listings are missed by more than the others


def finished(**changes: object) -> Finished:
    table = pa.table(
        {
            "listing_id": [f"{HOSTILE[row % 5]} {row}" for row in range(N)],
            "area": MATRIX[:, 0],
            "rooms": MATRIX[:, 1],
            "city": [HOSTILE[row % 5] for row in range(N)],
        }
    )
    pixels = np.repeat((255 * BRIGHT).astype(np.uint8), 8 * 8 * 3).reshape(43, 8, 8, 3)
    cache = ImageCache(pixels, {f"{slot}.png": slot for slot in range(43)}, {}, Counter({"image_corrupt": 2}))
    groups, ties = tie({SAME_IMAGE: [[row // 2] if row < 20 else [] for row in range(N)]}, 0.5)
    given = np.maximum(IMAGES, -1)
    uris = [f"{slot}.png" for slot in range(43)]
    examples = Examples(table, ("ds=2026-11-20", "ds=2026-11-21"), TARGET, uris, given, IMAGES, cache, groups, 3, ties)
    split = split_groups(examples.groups, validation_share=0.1, test_share=0.5, seed=0)
    ours = predict(MATRIX, IMAGES)[split.test]
    job = TrainJob(listings="L", target="price", bundle="B")
    done = Finished(
        job=job,
        design=design_of(job),
        examples=examples,
        known=split.training,
        test=split.test,
        preprocessing=PREPROCESSING,
        features=MATRIX,
        predictions={"constant": np.full(len(split.test), np.median(TARGET)), "ours": ours},
        predict=predict,
        verdict="The images help.",
        curves=(Curve("fused", (1.0, 0.5, 0.4), (1.1, 0.7, 0.8)),),
    )
    return replace(done, **changes)  # type: ignore[arg-type] # fields by name


@pytest.fixture(scope="module")
def card() -> Card:
    return build(finished())


def test_what_a_feature_is_worth_is_what_its_loss_costs(card: Card) -> None:
    worth = {change.what: change for change in card.features}
    assert [change.what for change in card.features][-1] == "rooms"
    assert worth["area"].low > 10
    assert worth["rooms"].rise == worth["rooms"].high == 0


def test_taking_images_away_or_exchanging_them_costs_what_they_showed(card: Card) -> None:
    rises = {change.what: change.rise for change in card.images}
    assert list(rises) == ["at most 2 of 3 images", "at most 1 of 3 images", "no image", "another listing's images"]
    assert 0 < rises["at most 1 of 3 images"] < rises["no image"]
    assert rises["another listing's images"] > 5


def test_of_each_listing_the_first_usable_images_stay() -> None:
    images = np.array([[-1, 4, 5], [6, -1, -1]], np.int32)
    assert first_images(images, 1).tolist() == [[-1, 4, -1], [6, -1, -1]]
    assert first_images(images, 0).max() == -1


def test_segments_add_up_to_the_test_and_the_bad_one_is_named_among_the_limits(card: Card) -> None:
    for column, rows in card.columns:
        assert sum(one.n for one in rows) == len(finished().test), column
    cities = {one.value: one for one in card.segments if one.column == "city"}
    worst = cities[HOSTILE[0]]
    assert worst.low > max(one.high for name, one in cities.items() if name != HOSTILE[0])
    assert worst.bias < -20
    assert any(f"Where city is {HOSTILE[0]} the error is" in limit for limit in card.limits)


def test_calibration_is_of_ten_bins_that_hold_every_test_listing(card: Card) -> None:
    assert len(card.calibration) == 10
    assert sum(point.n for point in card.calibration) == len(finished().test)
    assert [point.predicted for point in card.calibration] == sorted(point.predicted for point in card.calibration)


def test_the_worst_are_the_worst_with_a_picture_where_there_is_an_image(card: Card) -> None:
    errors = [one.error for one in card.worst]
    assert errors == sorted(errors, reverse=True)
    for one in card.worst:
        assert one.picture.startswith("data:image/jpeg;base64,") == (one.images > 0)
        assert one.error == pytest.approx(100 * abs(one.predicted - one.actual) / one.actual)


def test_a_split_by_time_is_said_to_be_one_and_a_random_one_to_tell_nothing_of_age(card: Card) -> None:
    assert any("how the model ages was not measured" in limit for limit in card.limits)
    done = finished()
    times = np.arange(N)
    dated = done.examples.table.append_column("seen", pa.array([f"day {row:03} {HOSTILE[0]}" for row in range(N)]))
    examples = replace(done.examples, times=times, table=dated)
    split = split_by_time(examples.groups, times, validation_share=0, test_share=0.5)
    job = done.job.model_copy(update={"time_column": "seen"})
    ours = {"ours": predict(MATRIX, IMAGES)[split.test]}
    other = build(replace(done, job=job, examples=examples, known=split.training, test=split.test, predictions=ours))
    assert "by seen: what is learned from is of day 199" in other.split
    assert "up to day 399" in other.split
    assert "<script>" not in card_files(other)["card.html"].decode()
    assert not any("how the model ages" in limit for limit in other.limits)


def test_listings_without_any_image_have_a_card_too() -> None:
    done = finished()
    bare = replace(done.examples, images=np.full_like(IMAGES, -1))
    card = build(replace(done, examples=bare))
    assert card.images == ()
    assert all(one.picture == "" for one in card.worst)
    assert card_files(card)["card.html"]


def test_hostile_ids_and_values_are_text_on_the_page_and_the_page_loads_nothing() -> None:
    page = card_files(build(finished()))["card.html"].decode()
    reader = PageReader()
    reader.feed(page)
    assert not reader.tags["script"]
    assert not reader.handlers
    assert all(lead.startswith(("#", "data:image/jpeg;base64,", "data:,")) for lead in reader.leads)
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert "default-src 'none'" in unescape(page)
    assert len(page) < 400_000


def test_hostile_ids_and_values_are_text_in_markdown() -> None:
    written = card_files(build(finished()))["card.md"].decode()
    assert not re.search(r"(?<!\\)<", written)
    assert not re.search(r"(?<!\\)!\[|(?<!\\)\]\(", written)
    assert "\n# owned" not in written
    heads = [line for line in written.splitlines() if line.startswith("# ")]
    assert heads == ["# Model card: price"]
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in written.splitlines() if "alert" in line and "|" in line]
    assert set(cells) <= {6, 9}


@pytest.mark.parametrize(
    "hostile", [*HOSTILE, "1. one", "- item", "    code", "a\\|b", "<!-- --> & &lt;", "~~~", "***", "http://evil"]
)
def test_whatever_stands_in_markdown_every_mark_that_could_act_is_escaped(hostile: str) -> None:
    shown = text(hostile)
    assert "\n" not in shown
    assert not shown.startswith(" ")
    unescaped = re.sub(r"\\.", "", shown)
    assert not set(unescaped) & set('`*_{}[]<>#|!&~\\-=$^"@')


def test_the_cross_validation_and_its_verdict_stand_on_the_card() -> None:
    class Known:
        def predict(self, rows: np.ndarray) -> np.ndarray:
            return np.asarray(predict(MATRIX, IMAGES)[rows])

    folds = tuple(tuple(group_folds(np.arange(N), 5, seed)) for seed in range(2))
    ways = {"numbers and images": lambda rows, seed: Known(), "numbers only": lambda rows, seed: Known()}
    cross = cross_validate(
        ways, ["numbers and images"], TARGET, np.arange(N), Scheme(folds, "5 folds, twice"), 0, lambda line: None
    )
    crossed = Crossed("Numbers and images", cross, images_verdict(cross, "numbers only", None))
    files = card_files(build(finished(crossed=(crossed,))))
    for content in files.values():
        assert "Numbers and images, cross-validated" in content.decode()
        assert "5 folds, twice" in content.decode()
        assert "cannot be told" in content.decode()


def test_the_same_training_gives_the_same_card() -> None:
    assert card_files(build(finished())) == card_files(build(finished()))
