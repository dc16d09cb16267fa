from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorer.model.fusions import FUSIONS
from scorer.model.recipe import Recipe
from scorer.model.towers import build_tower
from scorer.settings import TrainJob
from scorer.training import recipes
from scorer.training.embed import embed_images
from scorer.training.examples import Examples
from scorer.training.fitted import FittedNet, kept_images
from scorer.training.images import ImageCache
from scorer.training.prepare import Data, gather
from scorer.training.procedure import PROCEDURES, fit_fused, fit_images_only, fit_numbers_only
from scorer.training.recipes import design_of
from scorer.training.ways import Nets

SIZE, LISTINGS = 32, 400
KNOWN, TEST = np.arange(300), np.arange(300, LISTINGS)
TINY = Recipe("convolutions", (4,), 6, "dense", (8,), (8,), size=SIZE, members=2)


@pytest.fixture(autouse=True)
def tiny_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = replace(TINY, trained_stages=0, fusion="late_gate")
    backbone = replace(frozen, image_tower="lite0", weights="imagenet", embedding=0)
    tiny = {"trained": TINY, "frozen": frozen, "backbone": backbone}
    monkeypatch.setattr(recipes, "RECIPES", tiny)


def examples() -> Examples:
    """Listings with none to three images, whose colour moves the target as much as the one column does."""
    random = np.random.default_rng(0)
    area, warmth = random.normal(size=LISTINGS), random.normal(size=LISTINGS)
    counts = random.integers(0, 4, LISTINGS)
    images = np.where(np.arange(3)[None] < counts[:, None], np.arange(3 * LISTINGS).reshape(-1, 3), -1)
    level = 128 + 40 * np.repeat(warmth, 3)[:, None, None, None] * np.array([1, 0, -1])
    pixels = np.clip(random.normal(level, 8, (3 * LISTINGS, SIZE, SIZE, 3)), 0, 255)
    slots = {str(slot): int(slot) for slot in images[images >= 0]}
    cache = ImageCache(pixels.astype(np.uint8), slots, {}, Counter())
    table = pa.table({"listing_id": [str(n) for n in range(LISTINGS)], "area": area, "image_uris": [[]] * LISTINGS})
    target = np.exp(area / 2 + warmth / 2)
    given = images.astype(np.int32)
    return Examples(table, (), target, list(slots), given, given, cache, np.arange(LISTINGS), 0)


def data(folder: Path, recipe: str, **settings: Any) -> Data:
    return data_of(examples(), folder, recipe, **settings)


def data_of(found: Examples, folder: Path, recipe: str, **settings: Any) -> Data:
    quick = {"epochs": 12, "patience": 12, "learning_rate": 5e-3, "target_transform": "log"}
    job = TrainJob.model_validate(
        {"listings": "L", "target": "price", "bundle": "B", "recipe": recipe, **quick, **settings}
    )
    design = design_of(job)
    embedded = None
    if design.frozen:
        tower = build_tower(SIZE, "0..1", design.recipe)
        embedded = embed_images(tower, found.cache, folder, lambda line: None)
    return gather(found, KNOWN, job, design, embedded, folder, lambda line: None)


def error(fitted: FittedNet, rows: np.ndarray, images: int | None = None) -> float:
    goal = fitted.target.forward(fitted.data.examples.target[rows])
    return float(np.abs(fitted.predict(rows, images) - goal).mean())


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("recipe", ["trained", "frozen"])
def test_every_fusion_on_every_kind_of_tower_falls_back_to_the_numbers_alone(
    tmp_path: Path, recipe: str, fusion: str
) -> None:
    given = data(tmp_path, recipe, fusion=fusion, epochs=3)
    fused = fit_fused(given, KNOWN, 1)
    alone = fit_numbers_only(given, KNOWN, 1)
    np.testing.assert_array_equal(fused.predict(TEST, images=0), alone.predict(TEST))
    assert fused.numbers is not None
    np.testing.assert_array_equal(fused.numbers.predict(TEST), alone.predict(TEST))
    assert np.isfinite(fused.predict(TEST)).all()
    assert fused.epochs <= 3


@pytest.mark.parametrize("recipe", ["trained", "backbone"])
def test_where_images_matter_numbers_and_images_together_beat_either_alone(tmp_path: Path, recipe: str) -> None:
    given = data(tmp_path, recipe, fusion="late_gate", epochs=40)
    numbers, images, fused = (fit(given, KNOWN, 1) for fit in (fit_numbers_only, fit_images_only, fit_fused))
    with_images = TEST[(given.examples.images[TEST] >= 0).any(axis=1)]
    assert error(fused, with_images) < 0.9 * error(numbers, with_images)
    assert error(fused, with_images) < error(images, with_images)


@pytest.mark.parametrize("recipe", ["frozen", "backbone"])
def test_images_alone_say_what_is_usual_where_there_are_none(tmp_path: Path, recipe: str) -> None:
    given = data(tmp_path, recipe)
    images = fit_images_only(given, KNOWN, 1)
    bare = np.flatnonzero((given.examples.images < 0).all(axis=1))
    assert len(bare) > 2
    usual = images.prepared.goal.take(KNOWN).usual()[0]
    np.testing.assert_allclose(images.predict(bare), usual, rtol=1e-5)
    known = np.flatnonzero(np.isin(KNOWN, bare) & np.isfinite(images.out_of_fold[:, 0]))
    np.testing.assert_allclose(images.out_of_fold[known, 0], usual)


def test_taking_images_away_never_helps_much(tmp_path: Path) -> None:
    fused = fit_fused(data(tmp_path, "backbone"), KNOWN, 1)
    errors = [error(fused, TEST, images) for images in (3, 2, 1, 0)]
    assert all(fewer > more - 0.02 for more, fewer in pairwise(errors))
    assert errors[-1] > errors[0]


def test_shuffled_images_destroy_what_they_gave(tmp_path: Path) -> None:
    given = data(tmp_path, "backbone")
    shuffled = given.shuffled(seed=3)
    assert sorted(map(tuple, shuffled.examples.images.tolist())) == sorted(map(tuple, given.examples.images.tolist()))
    assert error(fit_images_only(shuffled, KNOWN, 1), TEST) > 1.2 * error(fit_images_only(given, KNOWN, 1), TEST)


@pytest.mark.parametrize("name", PROCEDURES)
def test_what_is_fitted_depends_on_its_rows_alone(tmp_path: Path, name: str) -> None:
    given = data(tmp_path, "frozen", epochs=3)
    before = PROCEDURES[name](given, KNOWN, 1).predict(KNOWN)
    given.examples.target[TEST] *= 50
    given.examples.table.column("area").combine_chunks()
    np.testing.assert_array_equal(PROCEDURES[name](given, KNOWN, 1).predict(KNOWN), before)


def test_features_and_how_the_target_is_learned_are_chosen_by_the_rows_to_learn_from(tmp_path: Path) -> None:
    given, random = examples(), np.random.default_rng(0)
    late = [None if row < TEST[0] else row / 7 for row in range(LISTINGS)]
    given = replace(given, table=given.table.append_column("late", pa.array(late, pa.float64())))
    given.target[KNOWN] = random.uniform(1, 2, len(KNOWN))
    given.target[TEST] = np.exp(random.normal(0, 2, len(TEST)))
    chosen = data_of(given, tmp_path, "trained", target_transform="auto")
    assert chosen.columns == ("area",), "of the other one a net would be given numbers that it has never seen"
    assert chosen.kind == "identity", "only the prices of test listings are skewed"
    given.target[KNOWN] = np.exp(random.normal(0, 2, len(KNOWN)))
    assert data_of(given, tmp_path, "trained", target_transform="auto").kind == "log"
    given.target[TEST[0]] = 0.0
    assert data_of(given, tmp_path, "trained", target_transform="auto").kind == "identity", "0 has no logarithm"


@pytest.mark.parametrize("name", PROCEDURES)
def test_number_nets_that_are_shared_change_nothing(tmp_path: Path, name: str) -> None:
    given = data(tmp_path, "frozen", epochs=3)
    alone = PROCEDURES[name](given, KNOWN, 1).predict(TEST)
    nets = Nets(given)
    assert nets.members(KNOWN, 1) is nets.members(KNOWN.copy(), 1)
    shared = PROCEDURES[name](given, KNOWN, 1, members=nets.members(KNOWN, 1))
    np.testing.assert_array_equal(shared.predict(TEST), alone)
    assert nets.members(KNOWN, 1) is not nets.members(KNOWN, 2)


@pytest.mark.parametrize("recipe", ["trained", "frozen"])
def test_scores_out_of_fold_are_given_for_rows_that_were_held_out(tmp_path: Path, recipe: str) -> None:
    fused = fit_fused(data(tmp_path, recipe, fusion="late_gate", epochs=3), KNOWN, 1)
    assert fused.out_of_fold.shape == (len(KNOWN), 1)
    known = np.isfinite(fused.out_of_fold)
    assert known.all() if recipe == "frozen" else known.mean() > 0.1


@pytest.mark.parametrize("recipe", ["trained", "frozen"])
def test_without_an_image_the_score_out_of_fold_is_by_number_nets_that_had_not_seen_the_listing(
    tmp_path: Path, recipe: str
) -> None:
    given = data(tmp_path, recipe, fusion="concat", epochs=3)
    given.examples.images[::3] = -1
    fused = fit_fused(given, KNOWN, 1)
    assert fused.numbers is not None
    told = np.isfinite(fused.out_of_fold).all(axis=1)
    bare = told & (given.examples.images[KNOWN] < 0).all(axis=1)
    assert bare.sum() > 10
    assert (told & ~bare).sum() > 10
    np.testing.assert_array_equal(fused.out_of_fold[bare], fused.numbers.out_of_fold[bare])
    assert (fused.out_of_fold[told & ~bare] != fused.numbers.out_of_fold[told & ~bare]).all()


def test_the_first_images_are_kept() -> None:
    slots = np.array([[4, -1, 5, 6], [-1, -1, -1, 7]], np.int32)
    assert kept_images(slots, None).tolist() == slots.tolist()
    assert kept_images(slots, 2).tolist() == [[4, -1, 5, -1], [-1, -1, -1, 7]]
    assert kept_images(slots, 0).tolist() == [[-1] * 4, [-1] * 4]
