import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

from scorer.adopt import config, keras_file
from scorer.adopt.keras_file import load_keras
from scorer.errors import BundleError, NotFound
from scorer.model.split import split
from scorer.objectstore import ObjectStore
from tests.adopt.files import rewritten, saved, with_config
from tests.model.split import architectures
from tests.model.split.architectures import ARCHITECTURES

STORE = ObjectStore()


@pytest.fixture
def place(tmp_path: Path) -> str:
    keras.utils.set_random_seed(1)
    return saved(architectures.sub_model(), tmp_path)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_saved_model_comes_back_with_its_weights(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(2)
    model = ARCHITECTURES[name].build()
    loaded = load_keras(saved(model, tmp_path), STORE)
    assert {layer.name: type(layer) for layer in loaded.layers} == {layer.name: type(layer) for layer in model.layers}
    for found, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_images_taken_by_their_place_are_told_apart_after_a_save_too(tmp_path: Path) -> None:
    loaded = load_keras(saved(architectures.slices_in_another_order(), tmp_path), STORE)
    assert split(loaded).embedding_size == 6


def test_optimizer_and_losses_stay_behind(tmp_path: Path) -> None:
    def own_loss(actual: Any, predicted: Any) -> Any:
        return keras.ops.mean(actual - predicted)

    model = architectures.sub_model()
    model.compile("adam", own_loss)
    assert not load_keras(saved(model, tmp_path), STORE).compiled


def test_a_lambda_is_refused_by_its_layers_name(tmp_path: Path) -> None:
    image = architectures.photo()
    scaled = layers.Lambda(lambda x: x / 255.0, name="to_unit")(image)
    model = keras.Model(image, architectures.head(architectures.tower()(scaled)))
    with pytest.raises(BundleError, match=r"a Lambda layer, which is code, keras\.layers\.Lambda"):
        load_keras(saved(model, tmp_path), STORE)


@keras.saving.register_keras_serializable(package="shop")
class Twice(layers.Layer):  # type: ignore[misc]  # Keras's classes come without types
    def call(self, inputs: Any) -> Any:
        return inputs * 2.0


def test_a_custom_layer_is_refused_by_its_name_although_this_process_knows_it(tmp_path: Path) -> None:
    image = architectures.photo()
    model = keras.Model(image, architectures.head(architectures.tower()(Twice()(image))))
    with pytest.raises(BundleError, match=r"without a module of Keras|Twice.*registered as 'shop>Twice'"):
        load_keras(saved(model, tmp_path), STORE)


def first_of(described: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(layer for layer in described["config"]["layers"] if layer["class_name"] == kind)
    return found


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "another module": (lambda d: first_of(d, "Dense").update(module="os"), r"the class os\.Dense"),
    "a module below keras": (
        lambda d: first_of(d, "Dense").update(module="keras.utils", class_name="get_file"),
        r"keras\.utils\.get_file",
    ),
    "a name that was registered": (
        lambda d: first_of(d, "Dense").update(registered_name="shop>Twice"),
        r"keras\.layers\.Dense \(registered as 'shop>Twice'\)",
    ),
    "no module, as old files have it": (lambda d: first_of(d, "Dense").pop("module"), "without a module of Keras"),
    "a saved model": (lambda d: first_of(d, "Dense").update(class_name="TFSMLayer"), "TFSMLayer"),
    "a pickle of another framework": (
        lambda d: first_of(d, "Dense").update(class_name="TorchModuleWrapper"),
        "TorchModuleWrapper",
    ),
    "a vocabulary from a file": (lambda d: first_of(d, "Dense").update(class_name="StringLookup"), "StringLookup"),
    "a lambda as activation": (
        lambda d: first_of(d, "Dense")["config"].update(
            activation={"class_name": "__lambda__", "config": {"value": ["", None, None]}}
        ),
        "'__lambda__' without a module",
    ),
    "a function of the library": (
        lambda d: first_of(d, "Dense")["config"].update(
            activation={
                "class_name": "function",
                "config": "load_model",
                "module": "keras.saving",
                "registered_name": "load_model",
            }
        ),
        r"the function 'load_model' of 'keras\.saving'",
    ),
    "a type of TensorFlow": (
        lambda d: first_of(d, "Dense")["config"].update(
            units={"class_name": "__typespec__", "spec_name": "TensorSpec", "module": "tensorflow", "config": []}
        ),
        r"tensorflow\.__typespec__",
    ),
    "deep inside": (
        lambda d: first_of(d, "Dense")["config"].update(kernel_regularizer=[[{"a": {"class_name": 7, "module": "x"}}]]),
        "7 without a module",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_in_the_vocabulary_is_refused_before_keras_sees_it(
    name: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("Keras was asked to load it")

    monkeypatch.setattr(keras.saving, "load_model", never)
    change, says = HOSTILE[name]
    with pytest.raises(BundleError, match=says):
        load_keras(with_config(place, change), STORE)


def test_nesting_without_end_is_refused() -> None:
    value: Any = 1
    for _ in range(300):
        value = {"a": value}
    with pytest.raises(BundleError, match="nested too deep"):
        config.checked(value, "it")


def hdf5(write: Callable[[h5py.File], object]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as handle:
        write(handle)
    return file.getvalue()


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda f: f.__setitem__("a", h5py.ExternalLink("/etc/passwd", "/")), r"a link to somewhere else \('a'\)"),
        (lambda f: f.__setitem__("a", h5py.SoftLink("/b")), r"a link to somewhere else \('a'\)"),
        (
            lambda f: f.create_dataset("a", (4,), "u1", external=[("/etc/passwd", 0, 4)]),
            "'a', which is no array of its own",
        ),
        (lambda f: f.create_dataset("a", (1 << 40,), "f4", chunks=(1024,)), "arrays of more than 2,147,483,648 bytes"),
        (lambda f: f.create_dataset("a", data=["text"], dtype=h5py.string_dtype()), "values of type object"),
        (lambda f: f.create_group("a").__setitem__("up", f["/"]), "more groups than any model"),
    ],
)
def test_weights_that_are_no_plain_arrays_of_their_own_are_refused(
    write: Callable[[h5py.File], object], says: str, place: str
) -> None:
    with pytest.raises(BundleError, match=says):
        load_keras(rewritten(place, lambda members: members.update({"model.weights.h5": hdf5(write)})), STORE)


def test_a_layout_that_maps_other_files_is_refused(place: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.arange(4.0)

    def write(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "secret", (4,))
        file.create_virtual_dataset("a", layout)

    with pytest.raises(BundleError, match="'a', which is no array of its own"):
        load_keras(rewritten(place, lambda members: members.update({"model.weights.h5": hdf5(write)})), STORE)


def test_a_zip_with_more_than_a_model_is_refused(place: str) -> None:
    with pytest.raises(BundleError, match=r"holds 'assets/vocabulary\.txt'"):
        load_keras(rewritten(place, lambda members: members.update({"assets/vocabulary.txt": b"x"})), STORE)


def test_a_zip_with_two_configurations_is_refused(place: str) -> None:
    with zipfile.ZipFile(place, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", "{}")
    with pytest.raises(BundleError, match="once each"):
        load_keras(place, STORE)


def test_a_member_is_read_no_further_than_its_limit(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_file, "MAX_CONFIG_BYTES", 10_000)
    with pytest.raises(BundleError, match=r"config\.json in .* has more than 10,000 bytes"):
        load_keras(rewritten(place, lambda members: members.update({"config.json": b"[" * 50_000_000})), STORE)


def test_a_file_of_keras_2_is_refused(place: str) -> None:
    def older(members: dict[str, bytes]) -> None:
        members["metadata.json"] = json.dumps({"keras_version": "2.15.0"}).encode()

    with pytest.raises(BundleError, match=r"saved by Keras 2\.15\.0; files of Keras 3 are read"):
        load_keras(rewritten(place, older), STORE)


def test_weights_of_another_model_are_refused_in_keras_own_words(place: str, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    other = saved(architectures.flat_layers(), tmp_path / "b")
    with zipfile.ZipFile(other) as archive:
        weights = archive.read("model.weights.h5")
    with pytest.raises(BundleError, match=r"cannot load .*, which was saved by Keras 3\."):
        load_keras(rewritten(place, lambda members: members.update({"model.weights.h5": weights})), STORE)


def test_other_formats_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no \.keras file.*model\.save"):
        load_keras(str(tmp_path / "model.h5"), STORE)
    with pytest.raises(NotFound, match="There is no file"):
        load_keras(str(tmp_path / "model.keras"), STORE)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**31), st.integers(1, 40))
def test_a_damaged_file_is_refused_and_nothing_else(place: str, seed: int, bytes_changed: int) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(Path(place).read_bytes())
    for at in random.integers(0, len(data), bytes_changed):
        data[at] = random.integers(256)
    damaged = Path(place).with_name("damaged.keras")
    damaged.write_bytes(data[: random.integers(1, len(data) + 1)] if seed % 2 else data)
    try:
        keras_file._clean(damaged.read_bytes(), str(damaged))
    except BundleError:
        return
