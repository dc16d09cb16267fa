"""Models that MLflow saved are found in their folders; whatever else lies there is left alone."""

from pathlib import Path

import pytest

from scorer.adopt.mlflow_folder import keras_file
from scorer.errors import BundleError
from scorer.objectstore import ObjectStore

STORE = ObjectStore()
SAVED = "flavors:\n  keras: {data: data, keras_version: 3.15.1, save_exported_model: false}\n"


def folder(tmp_path: Path, text: str) -> str:
    (tmp_path / "MLmodel").write_text(text)
    return str(tmp_path)


def test_a_folder_of_mlflows_leads_to_its_keras_file(tmp_path: Path) -> None:
    assert keras_file(folder(tmp_path, SAVED), STORE) == f"{tmp_path}/data/model.keras"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SAVED.replace("false", "true"), "save_exported_model=True: a graph without its layers"),
        ("flavors:\n  sklearn: {}\n  python_function: {}\n", "has the flavours python_function, sklearn; a bundle is"),
        (SAVED.replace("data: data", "data: ../other"), "names '../other' as its data"),
        (SAVED.replace("data: data", "data: /etc"), "names '/etc' as its data"),
        (SAVED.replace("data: data", "data: [1]"), "as its data, which is no folder in it"),
        ("flavors: 3", "names no flavours"),
        ("- 1", "names no flavours"),
        ("{", "is no YAML"),
        ("!!python/object/apply:os.system [id]", "is no YAML"),
    ],
)
def test_what_cannot_be_brought_in_is_refused_in_words(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BundleError, match=says):
        keras_file(folder(tmp_path, text), STORE)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "folder"])
def test_what_is_no_folder_of_mlflows_is_left_to_whoever_loads_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.h5").write_bytes(b"HDF")
    assert keras_file(str(tmp_path / name), STORE) == str(tmp_path / name)
