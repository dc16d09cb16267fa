"""A bundle as MLflow would load it, without MLflow: `make mlflow` tries the real one."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from scorer.cli import app
from scorer.errors import BundleError, ContractError, ImageFault, SettingsError
from scorer.model.bundle import load_bundle
from scorer.objectstore import ObjectStore
from scorer.run.mlflow.folder import write_folder
from scorer.run.mlflow.loader import ROOTS, ScorerModel, image_places
from scorer.run.score_partition import score_partition
from tests.tiny import Market, listing, local_market

STORE = ObjectStore()


@pytest.fixture(scope="module")
def folder(bundle: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "price"
    write_folder(load_bundle(bundle, STORE), str(folder), STORE)
    return folder


@pytest.fixture
def market(bundle: str, tmp_path: Path) -> Market:
    return local_market(tmp_path, bundle, 0)


def loaded(folder: Path) -> ScorerModel:
    """As MLflow does it: the loader's module by its name, called with the path of the data."""
    flavour = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]
    model: ScorerModel = import_module(flavour["loader_module"])._load_pyfunc(str(folder / flavour["data"]))
    return model


def test_the_model_scores_listings_as_a_night_does(
    folder: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [listing(number) for number in range(12)]
    rows[3] |= {"image_uris": []}
    rows[4] |= {"area": None, "image_uris": ["img/gone.jpg", "img/1.jpg"]}
    rows[5] |= {"city": "Rome"}
    market.write(rows)
    score_partition(market.job())
    night = market.read().sort_by("listing_id").to_pandas()
    monkeypatch.setenv(ROOTS, market.listings)
    found = loaded(folder).predict(pd.DataFrame(rows).set_index("listing_id"))
    found = found.loc[night["listing_id"]]
    np.testing.assert_allclose(found["prediction"], night["prediction"], rtol=1e-6)
    assert [sorted(text.split()) for text in found["reasons"]] == [sorted(reasons) for reasons in night["reasons"]]
    assert found["images_used"].tolist() == night["images_used"].tolist()


def test_the_signature_names_every_feature_the_images_and_what_comes_out(folder: Path) -> None:
    signature = yaml.safe_load((folder / "MLmodel").read_text())["signature"]
    inputs = {column["name"]: column for column in json.loads(signature["inputs"])}
    assert {name: column["type"] for name, column in inputs.items()} == {
        "area": "double",
        "garden": "boolean",
        "city": "string",
        "image_uris": "array",
    }
    assert inputs["image_uris"]["items"] == {"type": "string"}
    assert [column["name"] for column in json.loads(signature["outputs"])] == ["prediction", "images_used", "reasons"]


def test_the_folder_holds_the_bundle_as_it_is_and_the_packages_of_its_training(folder: Path, bundle: str) -> None:
    saved = load_bundle(bundle, STORE)
    assert load_bundle(str(folder / "bundle"), STORE).digest == saved.digest
    text = (folder / "requirements.txt").read_text()
    assert f"tensorflow=={saved.versions['tensorflow']}" in text.splitlines()
    assert not any(line.startswith("scorer") for line in text.splitlines()), "an index may have another"


def test_the_same_bundle_gives_the_same_folder(folder: Path, bundle: str, tmp_path: Path) -> None:
    write_folder(load_bundle(bundle, STORE), str(tmp_path / "again"), STORE)
    for path in folder.rglob("*"):
        if path.is_file():
            assert (tmp_path / "again" / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_a_place_that_holds_something_is_left_alone(bundle: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError, match=r"holds 1 files already.*Nothing was written"):
        write_folder(load_bundle(bundle, STORE), str(tmp_path), STORE)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_bundle_that_was_changed_in_the_folder_is_refused(bundle: str, tmp_path: Path) -> None:
    write_folder(load_bundle(bundle, STORE), str(tmp_path / "model"), STORE)
    head = tmp_path / "model" / "bundle" / "head.pb"
    head.write_bytes(head.read_bytes() + b"\0")
    with pytest.raises(BundleError, match=r"head\.pb has another SHA-256"):
        loaded(tmp_path / "model")


@pytest.mark.parametrize(
    ("columns", "says"),
    [({"area": [1.0], "garden": [True]}, "lack the features city"), ({"area": ["wide"]}, "'area'")],
)
def test_a_frame_that_does_not_fit_is_refused_in_words(folder: Path, columns: dict[str, Any], says: str) -> None:
    frame = pd.DataFrame({"area": [1.0], "garden": [True], "city": ["Lyon"]} if "garden" not in columns else columns)
    with pytest.raises(ContractError, match=says):
        loaded(folder).predict(frame.assign(**columns))


@pytest.mark.parametrize("uri", ["/etc/hostname", "file:///etc/hostname", "s3://other/1.jpg", "../1.jpg"])
def test_images_come_from_the_named_places_alone(tmp_path: Path, uri: str) -> None:
    places = image_places(f"{tmp_path}, s3://shop/photos")
    with pytest.raises(ImageFault, match="image_forbidden"):
        places.resolve(uri)


def test_images_come_from_each_of_the_named_places(tmp_path: Path) -> None:
    places = image_places(f"{tmp_path}, s3://shop/photos")
    assert places.resolve("1.jpg").endswith(f"{tmp_path}/1.jpg")
    assert places.resolve("s3://shop/photos/1.jpg") == "s3://shop/photos/1.jpg"


def test_the_command_says_where_the_model_is(bundle: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bundle", "mlflow", bundle, str(tmp_path / "model")])
    assert done.exit_code == 0, done.output
    assert "as a model of MLflow's" in done.output
    assert (tmp_path / "model" / "MLmodel").exists()
