"""A bundle in a real MLflow, in an environment of its own that borrows ours for the rest: `make mlflow`.

Registered in a database, loaded by name from another place, scored through the signature. No server, no network.
"""

import json
from pathlib import Path

import mlflow
import mlflow.keras
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from scorer.adopt.create import create
from scorer.model.bundle import load_bundle
from scorer.objectstore import ObjectStore
from scorer.run.mlflow.folder import write_folder
from scorer.run.mlflow.loader import ROOTS
from scorer.run.score_partition import score_partition
from scorer.settings import CreateJob
from tests import tiny
from tests.tiny import Market, listing, local_market

ROWS = [listing(number) for number in range(20)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    tiny.make_bundle(str(folder / "bundle"))
    store = ObjectStore()
    write_folder(load_bundle(str(folder / "bundle"), store), str(folder / "model"), store)
    return folder / "model"


@pytest.fixture
def market(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Market:
    market = local_market(tmp_path / "market", str(model / "bundle"))
    monkeypatch.setenv(ROOTS, market.listings)
    return market


def frame() -> pd.DataFrame:
    return pd.DataFrame(ROWS).drop(columns=["price"])


def test_a_model_loads_and_scores_as_a_night_does(model: Path, market: Market) -> None:
    score_partition(market.job())
    night = market.read().to_pandas().set_index("listing_id")["prediction"]
    found = mlflow.pyfunc.load_model(str(model)).predict(frame())
    expected = night.loc[[row["listing_id"] for row in ROWS]]
    np.testing.assert_allclose(found["prediction"].to_numpy(), expected.to_numpy(), rtol=1e-6)


def test_the_signature_is_one_that_mlflow_reads_and_holds_callers_to(model: Path, market: Market) -> None:
    signature = Model.load(str(model)).signature
    assert signature is not None
    assert signature.inputs.input_names() == ["area", "garden", "city", "image_uris"]
    loaded = mlflow.pyfunc.load_model(str(model))
    with pytest.raises(MlflowException, match="city"):
        loaded.predict(frame().drop(columns=["city"]))
    with pytest.raises(MlflowException, match="area"):
        loaded.predict(frame().assign(area="wide"))
    assert len(loaded.predict(frame().drop(columns=["image_uris"]))) == len(ROWS)


def test_a_registered_model_is_loaded_by_its_name(model: Path, market: Market, tmp_path: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    version = mlflow.register_model(model.as_uri(), "price")
    by_name = mlflow.pyfunc.load_model(f"models:/price/{version.version}").predict(frame())
    pd.testing.assert_frame_equal(by_name, mlflow.pyfunc.load_model(str(model)).predict(frame()))


def test_the_json_of_a_served_model_scores_as_the_frame(model: Path, market: Market) -> None:
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    loaded = mlflow.pyfunc.load_model(str(model))
    sent = {"dataframe_records": json.loads(frame().to_json(orient="records"))}
    parsed = infer_and_parse_data(sent, loaded.metadata.get_input_schema())
    pd.testing.assert_frame_equal(loaded.predict(parsed), loaded.predict(frame()))


def test_a_model_that_mlflows_keras_flavour_saved_becomes_a_bundle_that_scores_as_it_predicts(tmp_path: Path) -> None:
    import keras
    from keras import layers

    photos = keras.Input((2, 24, 24, 3), name="photos")
    numbers = keras.Input((1,), name="features")
    one = keras.Input((24, 24, 3))
    tower = keras.Model(one, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(one)))
    seen = layers.GlobalAveragePooling1D()(layers.TimeDistributed(tower)(photos))
    model = keras.Model({"photos": photos, "features": numbers}, layers.Dense(1)(layers.Concatenate()([seen, numbers])))
    mlflow.keras.save_model(model, str(tmp_path / "theirs"))
    (tmp_path / "scaler.json").write_text(json.dumps({"mean": [90.0], "scale": [30.0], "names": ["area"]}))
    job = CreateJob(
        model=str(tmp_path / "theirs"),
        bundle=str(tmp_path / "bundle"),
        target="price",
        features="area",
        scaler=str(tmp_path / "scaler.json"),
        resize="nearest",
        scale="0..1",
        metadata="ignored",
    )
    created = create(job, ObjectStore(), lambda line: None)
    assert load_bundle(created.uri, ObjectStore()).digest == created.digest
    assert "Cut after" in created.cut
