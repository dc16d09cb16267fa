import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pytest
from keras import layers
from PIL import Image
from typer.testing import CliRunner

from scorer.adopt.create import Created, create
from scorer.cli import app
from scorer.errors import BundleError, InputError, SettingsError
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.model.bundle import load_bundle
from scorer.model.description import describe
from scorer.objectstore import ObjectStore
from scorer.run.score_partition import score_partition
from scorer.settings import CreateJob, ImageLimits
from tests import images
from tests.adopt.files import by_hand, features_file, market, saved, scaler_file
from tests.model.split.architectures import head, tower
from tests.tiny import KEY

SIZE, PLACES, WIDTH = 24, 3, 4
STORE = ObjectStore()


def pooled() -> Any:
    """Photographs through a tower, averaged, beside the numbers: the model that most people have."""
    photos, given = keras.Input((PLACES, SIZE, SIZE, 3), name="photos"), keras.Input((WIDTH,), name="features")
    seen = layers.GlobalAveragePooling1D()(layers.TimeDistributed(tower(8))(photos))
    return keras.Model({"photos": photos, "features": given}, head(seen, given))


def steered() -> Any:
    """Numbers steer the pixels: nothing to cut."""
    photos, given = keras.Input((PLACES, SIZE, SIZE, 3), name="photos"), keras.Input((WIDTH,), name="features")
    light = layers.Reshape((1, 1, 1, 3))(layers.Dense(3, name="light")(given))
    seen = layers.TimeDistributed(tower(8))(layers.Multiply(name="steer")([photos, light]))
    return keras.Model({"photos": photos, "features": given}, head(layers.Flatten()(seen), given))


def job(folder: Path, model: Any, **settings: Any) -> CreateJob:
    keras.utils.set_random_seed(5)
    values = {
        "model": saved(model, folder),
        "bundle": str(folder / "bundle"),
        "target": "price",
        "features": features_file(folder),
        "scaler": scaler_file(folder),
        "resize": "nearest",
        "metadata": "ignored",
        "scale": "0..1",
    }
    return CreateJob.model_validate({**values, **settings})


def made(wanted: CreateJob) -> Created:
    return create(wanted, STORE, lambda _: None)


@pytest.mark.parametrize("build", [pooled, steered])
def test_a_night_is_scored_as_the_users_own_program_predicts(build: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(6)
    model = build()
    found, rows, photos = market(tmp_path / "market", str(tmp_path / "bundle"))
    created = made(job(tmp_path, model, examples=found.listings, partition=KEY))
    score_partition(found.job())
    scored = found.read().sort_by("listing_id").to_pylist()
    rows = sorted(rows, key=lambda row: str(row["listing_id"]))
    expected = model.predict(by_hand(rows, photos, SIZE, PLACES), verbose=0)[:, 0]
    np.testing.assert_allclose([row["prediction"] for row in scored], expected, rtol=1e-4, atol=1e-5)
    assert np.std(expected) > 1e-3  # no constant that anything would hit
    bundle = load_bundle(created.uri, STORE)
    assert bundle.reusable == (build is pooled)


def test_why_nothing_can_be_reused_stands_in_the_bundle(tmp_path: Path) -> None:
    created = made(job(tmp_path, steered()))
    assert "Nothing to cut: no layer with weights sees an image alone: 'steer' (Multiply)" in created.cut
    assert "nothing of them can be reused: no layer with weights" in describe(load_bundle(created.uri, STORE))


def test_the_target_is_brought_back_from_its_logarithm_and_scaler(tmp_path: Path) -> None:
    model = pooled()
    plain = made(job(tmp_path, model))
    (tmp_path / "target.json").write_text('{"mean": [12.0], "scale": [0.5]}')
    scaler, bundle = str(tmp_path / "target.json"), str(tmp_path / "logged")
    logged = made(job(tmp_path, model, target_transform="log1p", target_scaler=scaler, bundle=bundle))
    np.testing.assert_allclose(logged.scores, np.expm1(np.array(plain.scores) * 0.5 + 12.0), rtol=1e-6)


def test_a_listing_that_lacks_images_fails_where_the_user_wants_it_so(tmp_path: Path) -> None:
    found, rows, _ = market(tmp_path / "market", str(tmp_path / "bundle"))
    made(job(tmp_path, pooled(), examples=found.listings, partition=KEY, missing_images="fail"))
    score_partition(found.job())
    scored = {row["listing_id"]: row for row in found.read().to_pylist()}
    for row in rows:
        complete = len(row["image_uris"]) == PLACES
        assert scored[row["listing_id"]]["status"] == ("scored" if complete else "failed")


def test_the_command_line_makes_a_bundle_that_verifies(tmp_path: Path) -> None:
    keras.utils.set_random_seed(7)
    flags = {
        "model": saved(pooled(), tmp_path),
        "bundle": str(tmp_path / "bundle"),
        "target": "price",
        "features": features_file(tmp_path),
        "scaler": scaler_file(tmp_path),
        "resize": "pillow-bilinear",
        "scale": "0..1",
        "outputs": "prediction",
    }
    arguments = [part for name, value in flags.items() for part in (f"--{name}", value)]
    told = CliRunner().invoke(app, ["bundle", "create", *arguments])
    assert told.exit_code == 0, told.output
    assert "Cut after time_distributed" in told.output
    assert CliRunner().invoke(app, ["bundle", "verify", flags["bundle"]]).exit_code == 0
    missing = CliRunner().invoke(app, ["bundle", "create", "--model", flags["model"], "--target", "price"])
    assert missing.exit_code == 2
    assert "resize: required, but not given" in missing.output


def test_features_that_do_not_fill_the_model_are_refused_with_both_widths(tmp_path: Path) -> None:
    says = r"takes 4 columns of features \('features' 4\); the features make 1 \(area 1\)"
    with pytest.raises(SettingsError, match=says):
        made(job(tmp_path, pooled(), features="area"))


def test_a_place_that_holds_a_bundle_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    wanted = job(tmp_path, pooled())
    made(wanted)
    with pytest.raises(BundleError, match="never overwritten"):
        made(wanted)


def test_examples_without_usable_images_are_refused(tmp_path: Path) -> None:
    found, _, photos = market(tmp_path / "market", str(tmp_path / "bundle"))
    found.write_images(dict.fromkeys(photos, b"no image"))
    with pytest.raises(InputError, match="Not one of the first 12 listings"):
        made(job(tmp_path, pooled(), examples=found.listings, partition=KEY))


def test_a_recurrent_layer_over_the_images_is_unrolled(tmp_path: Path) -> None:
    photos, given = keras.Input((PLACES, SIZE, SIZE, 3), name="photos"), keras.Input((WIDTH,), name="features")
    seen = layers.LSTM(4)(layers.TimeDistributed(tower(8))(photos))
    model = keras.Model({"photos": photos, "features": given}, head(seen, given))
    assert "8 values an image" in made(job(tmp_path, model)).cut


FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "pillow-bicubic": Image.Resampling.BICUBIC,
    "pillow-bilinear": Image.Resampling.BILINEAR,
    "pillow-box": Image.Resampling.BOX,
    "pillow-hamming": Image.Resampling.HAMMING,
    "pillow-lanczos": Image.Resampling.LANCZOS,
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("size", [16, 64])
def test_a_photograph_becomes_the_very_pixels_that_pillow_makes_of_it(name: str, size: int) -> None:
    spec = PixelSpec(size, name, "full", metadata="ignored")
    for data in [*images.photographs(2, width=333, height=217), images.jpeg(progressive=True), images.oriented_jpeg(6)]:
        with Image.open(io.BytesIO(data)) as image:
            expected = np.asarray(image.convert("RGB").resize((size, size), FILTERS[name]))
        np.testing.assert_array_equal(decode_image(data, spec, ImageLimits()), expected)


def test_bilinear_is_what_tensorflow_makes_of_a_photograph_but_for_rounding() -> None:
    import tensorflow as tf

    (data,) = images.photographs(1, width=333, height=217)
    decoded = tf.io.decode_jpeg(data, dct_method="INTEGER_ACCURATE")
    expected = tf.image.resize(decoded, (64, 64)).numpy()
    found = decode_image(data, PixelSpec(64, "bilinear", "full"), ImageLimits())
    assert np.abs(found - expected).max() <= 1.0


def test_rows_of_the_examples_are_kept_with_their_features(tmp_path: Path) -> None:
    found, _, _ = market(tmp_path / "market", str(tmp_path / "bundle"))
    created = made(job(tmp_path, pooled(), examples=found.listings, partition=KEY))
    golden = load_bundle(created.uri, STORE).golden
    assert len(golden) == 8
    assert all(len(row.images) >= 1 for row in golden)
    assert pa.array([row.features["city"] for row in golden]).type == pa.string()
