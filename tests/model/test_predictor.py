"""The predictor: fixed shapes inside, any number outside, and never another score than the training's."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from scorer.errors import BundleError, SettingsError, Terminal
from scorer.model import golden, golden_check
from scorer.model.bundle import Bundle, BundleContent, load_bundle, save_bundle
from scorer.model.calibration import Calibration
from scorer.model.intervals import Band, Intervals
from scorer.model.predictor import Predictor, verify_bundle
from scorer.model.readout import Readout, Told
from scorer.model.target import TargetTransform
from scorer.objectstore import ObjectStore
from tests import tiny
from tests.model.bundles import SIZE, by_hand, content, edit_json, frozen_head, frozen_tower, head, reseal, tower

STORE = ObjectStore()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return save_bundle(content(), str(tmp_path_factory.mktemp("bundle") / "houses"), STORE)


@pytest.fixture(scope="module")
def predictor(bundle: Bundle) -> Predictor:
    return Predictor(bundle, batch_images=4, batch_rows=4)


def photos(number: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (number, SIZE, SIZE, 3), np.uint8)


def colours(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = pixels.mean(axis=(1, 2)) / 255.0
    return mean


def with_room_for(predictor: Predictor, images: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A device that holds only so many images at a time; the batches that were tried."""
    tried: list[int] = []
    forward = predictor._forward

    def limited(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        tried.append(len(pixels))
        if len(pixels) > images:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")
        return forward(pixels)

    monkeypatch.setattr(predictor, "_forward", limited)
    return tried


@pytest.mark.parametrize("number", [0, 1, 3, 4, 5, 8, 11])
def test_any_number_of_images_is_embedded_in_order(number: int, predictor: Predictor) -> None:
    found = predictor.embed(photos(number))
    assert found.shape == (number, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, colours(photos(number)), rtol=1e-5)


def test_every_forward_pass_has_the_same_shape(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = with_room_for(predictor, 4, monkeypatch)
    predictor.embed(photos(9))
    assert tried == [4, 4, 4]


def test_an_image_embeds_to_the_same_bits_in_a_full_batch_and_in_a_padded_tail(predictor: Predictor) -> None:
    pixels = photos(4)
    np.testing.assert_array_equal(predictor.embed(pixels[:1])[0], predictor.embed(pixels)[0])


def test_the_scores_are_the_same_bits_every_time(bundle: Bundle, predictor: Predictor) -> None:
    other = Predictor(bundle, batch_images=4, batch_rows=4)
    for found in (other.embed(photos(11)), predictor.embed(photos(11))):
        np.testing.assert_array_equal(found, predictor.embed(photos(11)))


@pytest.mark.parametrize("images", [1, 2, 3, 4, 7])
def test_listings_are_scored_by_the_images_that_they_have(images: int, predictor: Predictor) -> None:
    chance = np.random.default_rng(images)
    features = chance.normal(size=(9, 3)).astype(np.float32)
    embeddings = predictor.embed(photos(5))
    index = chance.integers(-1, 5, (9, images)).astype(np.int32)
    found = predictor.heads(features, embeddings, index)["prediction"]
    expected = [
        by_hand(row, colours(photos(5))[places[places >= 0]]) for row, places in zip(features, index, strict=True)
    ]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_numbers_that_the_model_refuses_cost_their_own_rows_and_no_others(
    bundle: Bundle, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A category's number beyond its table of embeddings is an error of the whole batch on CPUs."""
    predictor, head = Predictor(bundle, batch_images=4, batch_rows=4), tf.keras.layers.Embedding(4, 1)
    known = predictor._head

    def picky(features: tf.Tensor, **rest: tf.Tensor) -> dict[str, tf.Tensor]:
        head(tf.cast(features[:, 0], tf.int32))
        return known(features=features, **rest)

    monkeypatch.setattr(predictor, "_head", picky)
    features = np.ones((11, 3), np.float32)
    features[[2, 9, 10], 0] = 4, 1e9, -7
    index = np.full((11, 1), -1, np.int32)
    found = predictor.heads(features, np.empty((0, 3), np.float32), index)["prediction"]
    bad = np.isin(np.arange(11), [2, 9, 10])
    assert np.isnan(found[bad]).all()
    assert (found[~bad] == found[0]).all()
    assert np.isfinite(found[0])
    told = predictor.tell(features, np.empty((0, 3), np.float32), index)
    assert np.isnan(told.scores["prediction"]).tolist() == bad.tolist()
    assert [record.message for record in caplog.records].count(caplog.records[0].message) == 1
    assert "refuses some listings' numbers" in caplog.text


def test_a_head_for_which_memory_does_not_suffice_goes_on_with_fewer_rows(
    bundle: Bundle, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, tried = Predictor(bundle, batch_images=4, batch_rows=8), []
    known, features = predictor._head, np.arange(33, dtype=np.float32).reshape(11, 3)
    asked = features, np.empty((0, 3), np.float32), np.full((11, 1), -1, np.int32)
    expected = predictor.heads(*asked)["prediction"]

    def small(features: tf.Tensor, **rest: tf.Tensor) -> dict[str, tf.Tensor]:
        tried.append(len(features))
        if len(features) > room:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")
        return known(features=features, **rest)

    room = 2
    monkeypatch.setattr(predictor, "_head", small)
    np.testing.assert_allclose(predictor.heads(*asked)["prediction"], expected, rtol=1e-6)
    assert tried[:4] == [8, 4, 2, 2]
    assert set(tried[2:]) == {2}, "what did not fit is not tried again"
    assert "Set speed.batch_rows to that" in caplog.text
    room = 0
    with pytest.raises(Terminal, match="does not fit into memory even for one listing at a time"):
        predictor.heads(*asked)


def test_where_the_head_is_the_whole_model_want_of_memory_halves_the_images(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(bundle, document=bundle.document.model_copy(update={"not_reusable": "it sees numbers early"}))
    predictor = Predictor(whole, batch_images=32, batch_rows=1024)
    known, tried, images = predictor._head, [], whole.max_images

    def small(features: tf.Tensor, **rest: tf.Tensor) -> dict[str, tf.Tensor]:
        tried.append(len(features))
        if len(features) * images > 8:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")
        return known(features=features, **rest)

    monkeypatch.setattr(predictor, "_head", small)
    predictor.heads(np.ones((9, 3), np.float32), np.empty((0, 3), np.float32), np.full((9, 1), -1, np.int32))
    assert tried[0] == 32 // images
    assert tried[-1] == 8 // images
    assert predictor.batch_images == 8


def test_listings_without_any_image_in_a_unit_without_images_are_scored(predictor: Predictor) -> None:
    features = np.ones((5, 3), np.float32)
    nothing = predictor.embed(photos(0))
    for width in (0, 1, 3):
        found = predictor.heads(features, nothing, np.full((5, width), -1, np.int32))
        np.testing.assert_allclose(found["prediction"], by_hand(features[0], np.empty((0, 3))))
    assert predictor.heads(features[:0], nothing, np.empty((0, 2), np.int32))["prediction"].shape == (0,)


def test_an_embedding_that_no_listing_asks_for_touches_no_score(predictor: Predictor) -> None:
    features, index = np.ones((2, 3), np.float32), np.array([[0, -1], [-1, -1]], np.int32)
    clean = predictor.embed(photos(2))
    spoilt = clean.copy()
    spoilt[1] = np.nan
    np.testing.assert_array_equal(
        predictor.heads(features, clean, index)["prediction"], predictor.heads(features, spoilt, index)["prediction"]
    )


def test_the_targets_transform_is_undone_in_double_precision(tmp_path: Path) -> None:
    target = TargetTransform("log", 12.0, 0.5)
    rows = [replace(row, scores={"prediction": float(np.exp((row.scores["prediction"] - 100) / 10 * 0.5 + 12.0))})
            for row in content().golden]  # fmt: skip
    bundle = save_bundle(content(target=target, target_sd=1e5, golden=tuple(rows)), str(tmp_path), STORE)
    scores = Predictor(bundle, batch_images=4, batch_rows=4).heads(
        np.ones((1, 3), np.float32), np.empty((0, 3), np.float32), np.full((1, 1), -1, np.int32)
    )
    assert scores["prediction"][0] == np.exp(3.0 * 0.5 + 12.0)


# --- intervals, classes, the images' effect

NONE = np.full((1, 1), -1, np.int32)


def bands(*pairs: tuple[bool | None, float]) -> Intervals:
    made = tuple(Band(images=images, segment=None, low=-by, high=by, n=99, coverage=0.9) for images, by in pairs)
    return Intervals(level=0.9, bands=made)


def told_by(bundle: Bundle, number: int = 9) -> tuple[Predictor, Told, tuple[Any, Any, Any]]:
    """A third of the listings have no image."""
    predictor, chance = Predictor(bundle, batch_images=4, batch_rows=4), np.random.default_rng(2)
    features = chance.normal(size=(number, 3)).astype(np.float32)
    embeddings = predictor.embed(photos(5))
    index = chance.integers(0, 5, (number, 3)).astype(np.int32)
    index[::3] = -1
    return predictor, predictor.tell(features, embeddings, index), (features, embeddings, index)


def test_what_is_told_holds_the_very_scores_of_the_heads(bundle: Bundle) -> None:
    predictor, told, inputs = told_by(bundle)
    np.testing.assert_array_equal(told.scores["prediction"], predictor.heads(*inputs)["prediction"])
    assert (told.ends, told.chosen) == ({}, None)


def test_the_image_effect_is_the_score_minus_that_of_the_listing_without_its_images(bundle: Bundle) -> None:
    predictor, told, (features, embeddings, index) = told_by(bundle)
    bare = predictor.heads(features, embeddings, np.full_like(index, -1))["prediction"]
    found = told.image_effect
    assert found is not None
    np.testing.assert_allclose(found, told.scores["prediction"] - bare, rtol=1e-5, atol=1e-5)
    assert found[::3].tolist() == [0.0, 0.0, 0.0], "exactly nothing where there is no image"
    assert (np.abs(np.delete(found, np.s_[::3])) > 0.01).all()


def test_listings_with_and_without_an_image_have_the_intervals_of_their_kind(tmp_path: Path) -> None:
    readout = Readout(intervals={"prediction": bands((True, 0.5), (False, 2.0))})
    _, told, _ = told_by(save_bundle(content(readout=readout), str(tmp_path), STORE))
    low, high = told.ends["prediction"]
    np.testing.assert_allclose((high - low)[::3], 40.0)  # 2 x 2.0 x the target's scale of 10
    np.testing.assert_allclose(np.delete(high - low, np.s_[::3]), 10.0)


def test_intervals_go_by_the_value_of_a_feature(tmp_path: Path) -> None:
    of_lyon = Band(images=None, segment="Lyon", low=-1.0, high=1.0, n=99, coverage=0.9)
    every = Band(images=None, segment=None, low=-3.0, high=3.0, n=99, coverage=0.9)
    readout = Readout(intervals={"prediction": Intervals(level=0.9, by="city", bands=(every, of_lyon))})
    predictor = Predictor(save_bundle(content(readout=readout), str(tmp_path), STORE), batch_images=4, batch_rows=4)
    assert predictor.segment_columns == ("city",)
    empty = np.empty((0, 3), np.float32)
    told = predictor.tell(np.ones((2, 3), np.float32), empty, NONE.repeat(2, 0), {"city": ["Lyon", None]})
    low, high = told.ends["prediction"]
    assert (high - low).tolist() == [20.0, 60.0]


def two_classes(logit: float) -> float:
    return float(1 / (1 + np.exp(-(logit - 100.0) / 10.0 / 2.0)))


def test_a_bundle_for_two_classes_scores_calibrated_probabilities_and_checks_them_at_loading(tmp_path: Path) -> None:
    readout = Readout(
        task="binary", classes=("stays", "sells"), calibration=Calibration(method="temperature", temperature=2.0)
    )
    rows = tuple(replace(row, scores={"prediction": two_classes(row.scores["prediction"])}) for row in content().golden)
    target = TargetTransform("identity", 0.0, 1.0)
    bundle = save_bundle(content(readout=readout, golden=rows, target=target, target_sd=0.5), str(tmp_path), STORE)
    _, told, _ = told_by(bundle)
    scores = told.scores["prediction"]
    assert ((scores > 0) & (scores < 1)).all()
    assert told.chosen is not None
    np.testing.assert_array_equal(told.chosen, scores >= 0.5)


def test_a_bundle_for_several_classes_scores_each_and_names_the_most_probable(tmp_path: Path) -> None:
    def three(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        plain = head(**inputs)["prediction"]
        return {"p_flat": plain, "p_house": -plain, "p_plot": tf.zeros_like(plain)}

    def golden(score: float) -> dict[str, float]:
        logit = (score - 100.0) / 10.0
        weights = np.exp([logit, -logit, 0.0])
        shares = weights / weights.sum()
        return {"prediction": shares.max(), "p_flat": shares[0], "p_house": shares[1], "p_plot": shares[2]}

    rows = tuple(replace(row, scores=golden(row.scores["prediction"])) for row in content().golden)
    made = content(
        readout=Readout(task="multiclass", classes=("flat", "house", "plot")),
        outputs=("p_flat", "p_house", "p_plot"),
        head=frozen_head(three),
        golden=rows,
        target=TargetTransform("identity", 0.0, 1.0),
        target_sd=0.5,
    )
    bundle = save_bundle(made, str(tmp_path), STORE)
    assert bundle.columns == ("prediction", "p_flat", "p_house", "p_plot")
    predictor, told, (features, embeddings, index) = told_by(bundle)
    assert told.chosen is not None
    assert told.image_effect is not None
    each = np.stack([told.scores[name] for name in bundle.outputs], axis=1)
    np.testing.assert_array_equal(told.scores["prediction"], each.max(axis=1))
    bare = predictor.heads(features, embeddings, np.full_like(index, -1))
    without = np.stack([bare[name] for name in bundle.outputs], axis=1)
    expected = (each - without)[np.arange(len(each)), told.chosen]
    np.testing.assert_allclose(told.image_effect, expected, atol=1e-6)


def test_a_bundle_of_the_first_format_scores_the_same_bits(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(content(), str(tmp_path), STORE)
    edit_json(
        tmp_path / "bundle.json",
        lambda values: {name: value for name, value in values.items() if name != "readout"} | {"format": 1},
    )
    reseal(tmp_path)
    old = load_bundle(str(tmp_path), STORE)
    assert (old.document.format, bundle.document.format) == (1, 2)
    _, before, _ = told_by(old)
    _, now, _ = told_by(bundle)
    np.testing.assert_array_equal(before.scores["prediction"], now.scores["prediction"])
    np.testing.assert_array_equal(before.image_effect, now.image_effect)


# --- the training's own scores


def test_a_keras_model_scores_as_its_training_process_said(tmp_path: Path) -> None:
    tiny.make_bundle(str(tmp_path))
    predictor = Predictor(load_bundle(str(tmp_path), STORE), batch_images=8, batch_rows=3)
    assert predictor.warnings == ()


def spoilt(tmp_path: Path, **changes: Any) -> Bundle:
    return save_bundle(content(**changes), str(tmp_path / "spoilt"), STORE)


def other_scores(made: BundleContent, off: float) -> dict[str, Any]:
    rows = tuple(replace(row, scores={"prediction": row.scores["prediction"] + off}) for row in made.golden)
    return {"golden": rows}


def test_a_graph_that_computes_differently_is_refused_and_named_as_the_cause(tmp_path: Path) -> None:
    bundle = spoilt(tmp_path, **other_scores(content(), 0.01))
    with pytest.raises(BundleError) as refusal:
        Predictor(bundle, batch_images=4, batch_rows=4)
    text = str(refusal.value)
    assert "does not score its golden rows as it did in training: row 0 prediction" in text
    assert f"The pixels are the same, so the graph computes differently here (tensorflow {tf.__version__} then" in text
    assert "Nothing was scored." in text


def test_a_difference_within_the_tolerance_is_none(tmp_path: Path) -> None:
    allowed = golden_check.TOLERANCES["float32"] * 100
    assert (
        Predictor(spoilt(tmp_path, **other_scores(content(), allowed * 0.5)), batch_images=4, batch_rows=4).warnings
        == ()
    )


def change_decoder(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    decode = golden.decode
    monkeypatch.setattr(golden, "decode", lambda image, spec: change(decode(image, spec)))


def test_a_changed_decoder_that_moves_a_score_is_refused_and_named_as_the_cause(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_decoder(monkeypatch, lambda pixels: pixels // 2)
    with pytest.raises(BundleError) as refusal:
        Predictor(bundle, batch_images=4, batch_rows=4)
    text = str(refusal.value)
    assert "The pixels differ, too, of 2 of 2 images: the decoder changed (pixels version 1 then, 1 now; " in text
    assert f"simplejpeg {bundle.versions['simplejpeg']} then" in text


def test_a_changed_decoder_that_moves_no_score_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = spoilt(tmp_path, target_sd=1e9)
    change_decoder(monkeypatch, lambda pixels: pixels ^ 1)
    (warning,) = Predictor(bundle, batch_images=4, batch_rows=4).warnings
    assert warning.startswith("2 of 2 golden images have other pixels here than in training (pixels version")
    assert warning in caplog.text
    assert "warning      2 of 2 golden images" in verify_bundle(bundle.uri, STORE)


def test_a_golden_image_that_cannot_be_decoded_any_more_is_refused(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scorer.intake.formats.recognise", lambda data: ("none", None))
    with pytest.raises(BundleError, match=r"golden image [0-9a-f]{12} cannot be decoded here"):
        Predictor(bundle, batch_images=4, batch_rows=4)


def test_verify_proves_digests_graphs_and_golden_rows(bundle: Bundle) -> None:
    text = verify_bundle(bundle.uri, STORE)
    assert text.splitlines()[0] == f"houses {bundle.version} is intact and works here."
    assert bundle.digest in text
    assert "2 rows with 2 different images score as they did in training" in text


# --- graphs that do not fit


def fail(pixels: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tower(pixels), [-1, 3, 7])[:, :, 0]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"image_tower": frozen_tower(size=SIZE + 1)}, r"takes pixels uint8 \(None, 9, 9, 3\)"),
        ({"image_tower": frozen_tower(lambda pixels: tower(pixels)[:, :2])}, r"embedding float32 \(None, 2\)"),
        ({"image_tower": frozen_tower(lambda pixels: tf.cast(tower(pixels), tf.float64))}, "embedding float64"),
        ({"head": frozen_head(width=5)}, r"features float32 \(None, 5\)"),
        ({"head": frozen_head(lambda **inputs: {"price": head(**inputs)["prediction"]})}, "gives price"),
        ({"head": frozen_head(lambda **inputs: {"prediction": head(**inputs)["prediction"][:, None]})}, r"\(None, 1\)"),
        ({"image_tower": frozen_tower(fail)}, "fail on the golden rows"),
    ],
)
def test_a_graph_that_does_not_fit_its_bundle_is_refused(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=named):
        Predictor(spoilt(tmp_path, **changes), batch_images=4, batch_rows=4)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row | {"features": {"area": 1.0}},
        lambda row: row | {"features": {"area": "large", "city": "Lyon"}},
        lambda row: row | {"scores": {"other": 1.0}},
        lambda row: row | {"pixel_digests": []},
        lambda row: row | {"images": ["a" * 64, "b" * 64]},
    ],
)
def test_golden_rows_that_do_not_fit_their_bundle_are_refused(change: Callable[[Any], Any], tmp_path: Path) -> None:
    save_bundle(content(), str(tmp_path), STORE)
    edit_json(tmp_path / "golden/rows.json", lambda values: {"rows": [change(values["rows"][0]), *values["rows"][1:]]})
    reseal(tmp_path)
    with pytest.raises(BundleError, match="golden rows"):
        Predictor(load_bundle(str(tmp_path), STORE), batch_images=4, batch_rows=4)


def test_settings_that_make_no_sense_are_refused(bundle: Bundle) -> None:
    with pytest.raises(SettingsError, match="known: float32"):
        Predictor(bundle, batch_images=4, batch_rows=4, precision="float8")  # type: ignore[arg-type]  # the very thing that is refused
    with pytest.raises(SettingsError, match="batch size below 1"):
        Predictor(bundle, batch_images=0, batch_rows=4)


# --- memory and devices


def test_when_memory_runs_out_the_batch_is_halved_for_good_and_no_image_is_lost(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = Predictor(bundle, batch_images=16, batch_rows=4)
    tried = with_room_for(predictor, 5, monkeypatch)
    np.testing.assert_allclose(predictor.embed(photos(37)), colours(photos(37)), rtol=1e-5)
    assert tried[:3] == [16, 8, 4]
    assert set(tried[3:]) == {4}
    assert predictor.batch_images == 4
    assert "going on with 4. No image was lost." in caplog.text


def test_when_not_even_one_image_fits_the_run_ends_with_a_reason(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(bundle, batch_images=4, batch_rows=4)
    with_room_for(predictor, 0, monkeypatch)
    with pytest.raises(Terminal, match=r"does not fit into memory even for one image at a time \(OOM when allocating"):
        predictor.embed(photos(3))


def test_several_devices_share_the_batches_and_give_the_scores_of_one(bundle: Bundle) -> None:
    # TensorFlow splits a device only before its first use, so this needs a process of its own.
    code = f"""
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from scorer.model.bundle import load_bundle
from scorer.model.predictor import Predictor
from scorer.objectstore import ObjectStore
bundle = load_bundle({bundle.uri!r}, ObjectStore())
names = [device.name for device in tf.config.list_logical_devices("CPU")]
both = Predictor(bundle, batch_images=4, batch_rows=4, devices=names)
one = Predictor(bundle, batch_images=4, batch_rows=4)
used = []
tower = both._tower
def noted(pixels):
    outputs = tower(pixels=pixels)
    used.append(outputs["embedding"].device)
    return outputs
both._tower = noted
pixels = np.random.default_rng(0).integers(0, 256, (29, {SIZE}, {SIZE}, 3), np.uint8)
assert np.array_equal(both.embed(pixels), one.embed(pixels))
for single in range(4):
    assert np.array_equal(both.embed(pixels[single:single + 1]), one.embed(pixels[single:single + 1]))
print(len(one.devices), len(both.devices), [sum(place.endswith(name) for place in used) for name in names])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout.split("\n")[0] == "1 2 [6, 6]", found.stderr
