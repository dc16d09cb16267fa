import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import skops.io
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler

from scorer.adopt.columns import read_preprocessing
from scorer.adopt.figures import read_figures
from scorer.errors import BundleError, NotFound, SettingsError
from scorer.objectstore import ObjectStore

STORE = ObjectStore()
NAMES = ["area", "rooms", "year"]
ROWS = np.column_stack([np.random.default_rng(4).normal(*figures, 50) for figures in ((90, 30), (3, 1), (1970, 25))])

SCALERS = {
    "standard": StandardScaler(),
    "standard without mean": StandardScaler(with_mean=False),
    "standard without scale": StandardScaler(with_std=False),
    "minmax": MinMaxScaler(),
    "minmax to another range": MinMaxScaler((-1, 3)),
    "robust": RobustScaler(),
    "robust without centre": RobustScaler(with_centering=False),
    "max abs": MaxAbsScaler(),
}


def dumped(scaler: Any, folder: Path, name: str = "scaler.skops") -> str:
    skops.io.dump(scaler, folder / name)
    return str(folder / name)


def written(values: Any, folder: Path, name: str = "scaler.json") -> str:
    (folder / name).write_text(json.dumps(values))
    return str(folder / name)


def scaled(features: str, scaler: str | None) -> Any:
    batch = pa.RecordBatch.from_arrays([pa.array(column) for column in ROWS.T], NAMES)
    return read_preprocessing(features, scaler, STORE).transform(batch)[0]


@pytest.mark.parametrize("name", SCALERS)
def test_columns_are_scaled_as_the_fitted_scaler_scales_them(name: str, tmp_path: Path) -> None:
    scaler = SCALERS[name].fit(ROWS)
    found = scaled("area, rooms, year", dumped(scaler, tmp_path))
    np.testing.assert_allclose(found, scaler.transform(ROWS), rtol=1e-6, atol=1e-6)


def test_plain_json_holds_mean_and_scale_or_min_and_max(tmp_path: Path) -> None:
    standard, minmax = StandardScaler().fit(ROWS), MinMaxScaler().fit(ROWS)
    place = written({"mean": standard.mean_.tolist(), "scale": standard.scale_.tolist()}, tmp_path)
    np.testing.assert_allclose(scaled("area,rooms,year", place), standard.transform(ROWS), rtol=1e-6, atol=1e-6)
    place = written({"min": minmax.data_min_.tolist(), "max": minmax.data_max_.tolist()}, tmp_path)
    np.testing.assert_allclose(scaled("area,rooms,year", place), minmax.transform(ROWS), rtol=1e-6, atol=1e-6)


def test_a_scaler_that_knows_its_columns_is_read_by_their_names(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(ROWS)
    expected = scaler.transform(ROWS)[:, [2, 0, 1]]
    scaler.feature_names_in_ = np.array(NAMES, dtype=object)  # as after a fit on a table with names
    found = scaled("year,area,rooms", dumped(scaler, tmp_path))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    with pytest.raises(SettingsError, match="was fitted on area, rooms, year; the columns of numbers are area, rooms"):
        read_preprocessing("area,rooms", dumped(scaler, tmp_path), STORE)


def test_without_a_scaler_numbers_stay_as_they_are() -> None:
    np.testing.assert_allclose(scaled("area,rooms,year", None), ROWS, rtol=1e-6)


def test_a_listing_that_lacks_a_number_gets_a_middling_one(tmp_path: Path) -> None:
    place = written({"min": [10.0], "max": [30.0]}, tmp_path)
    lacking = pa.RecordBatch.from_arrays([pa.array([None], pa.float64())], ["area"])
    assert read_preprocessing("area", place, STORE).transform(lacking)[0].tolist() == [[0.5]]


@pytest.mark.parametrize("ending", ["pkl", "pickle", "joblib"])
def test_a_pickle_is_refused_unread_with_the_way_around_it(ending: str, tmp_path: Path) -> None:
    place = tmp_path / f"scaler.{ending}"
    place.write_bytes(pickle.dumps(StandardScaler().fit(ROWS)))
    with pytest.raises(BundleError, match=r"is a pickle.*not read.*skops\.io\.dump\(scaler"):
        read_figures(str(place), STORE)


def test_what_is_no_scaler_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"holds a sklearn\.OneHotEncoder; known: sklearn\.StandardScaler"):
        read_figures(dumped(OneHotEncoder().fit([["a"], ["b"]]), tmp_path), STORE)


def test_a_scaler_that_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="clip=True"):
        read_figures(dumped(MinMaxScaler(clip=True).fit(ROWS), tmp_path), STORE)


def test_arrays_of_objects_in_a_skops_file_are_not_unpickled(tmp_path: Path) -> None:
    place = dumped(StandardScaler().fit(ROWS), tmp_path)
    with zipfile.ZipFile(place) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(place, "w") as archive:
        for name, data in members.items():
            if name.endswith(".npy"):
                with archive.open(name, "w") as file:
                    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
            else:
                archive.writestr(name, data)
    with pytest.raises(BundleError, match="allow_pickle=False"):
        read_figures(place, STORE)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"mean": [1.0]}, "holds mean; a scaler is 'mean' and 'scale'"),
        ({"mean": [1.0], "scale": [0.0]}, "scales above zero"),
        ({"mean": [1.0, 2.0], "scale": [1.0]}, "one finite figure for each column"),
        ({"mean": ["a"], "scale": [1.0]}, "something else than numbers"),
        ({"mean": [None], "scale": [1.0]}, "something else than numbers|one finite figure"),
        ([1.0], "must hold an object"),
    ],
)
def test_a_file_without_sound_figures_is_refused(values: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=says):
        read_figures(written(values, tmp_path), STORE)


def test_a_damaged_or_absent_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scaler.skops").write_bytes(b"PK nothing")
    with pytest.raises(BundleError, match=r"no \.skops file that can be read"):
        read_figures(str(tmp_path / "scaler.skops"), STORE)
    with pytest.raises(NotFound):
        read_figures(str(tmp_path / "absent.json"), STORE)
    with pytest.raises(BundleError, match=r"neither \.json nor \.skops"):
        read_figures(str(tmp_path / "scaler.npz"), STORE)


def test_a_features_file_says_kinds_fills_and_categories(tmp_path: Path) -> None:
    columns = [
        {"name": "area", "fill": 80.0},
        {"name": "garden", "kind": "boolean", "fill": True},
        {"name": "city", "kind": "category", "values": ["Porto", "Lyon"], "flag_missing": True},
        {"name": "rooms", "shift": 0.0, "scale": 10.0},
    ]
    place = written({"features": columns}, tmp_path, "features.json")
    scaler = written({"mean": [60.0], "scale": [20.0]}, tmp_path)
    rows = [
        {"area": None, "garden": None, "city": "Lyon", "rooms": 5},
        {"area": 100.0, "garden": False, "city": None, "rooms": 0},
    ]
    found = read_preprocessing(place, scaler, STORE).transform(pa.RecordBatch.from_pylist(rows))[0]
    assert found.tolist() == [[1.0, 1.0, 0.0, 1.0, 0.0, 0.5], [2.0, 0.0, 0.0, 0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ("area,area", "'area' is there twice"),
        ("area,listing_id", "'listing_id' is there twice, or no feature"),
        ("area,rooms,year,age", "has figures for 3 columns; there are 4 of numbers"),
    ],
)
def test_features_that_cannot_be_are_refused(features: str, says: str, tmp_path: Path) -> None:
    scaler = dumped(StandardScaler().fit(ROWS), tmp_path)
    with pytest.raises(SettingsError, match=says):
        read_preprocessing(features, scaler, STORE)


def test_a_features_file_with_an_unknown_word_is_refused(tmp_path: Path) -> None:
    place = written({"features": [{"name": "area", "mean": 3}]}, tmp_path, "features.json")
    with pytest.raises(BundleError, match=r"does not describe features: features\.0\.mean"):
        read_preprocessing(place, None, STORE)
