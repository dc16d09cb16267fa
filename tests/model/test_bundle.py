"""Bundles: what was saved is what is read; whatever was changed is refused by its name."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scorer.errors import BundleError
from scorer.model import strict_json
from scorer.model.bundle import Bundle, insist_on_free_place, load_bundle, save_bundle
from scorer.model.description import describe
from scorer.model.digests import Digests
from scorer.model.golden import GoldenRow
from scorer.model.intervals import Band, Intervals
from scorer.model.readout import Readout
from scorer.objectstore import ObjectStore
from tests.conftest import Bucket
from tests.model.bundles import content, edit_json, plain_content, reseal

STORE = ObjectStore()
BAND = Band(images=True, segment=None, low=-1.0, high=1.0, n=312, coverage=0.904)


@pytest.fixture(scope="session")
def saved_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "houses"
    save_bundle(plain_content(), str(folder), STORE)
    return folder


@pytest.fixture
def folder(saved_once: Path, tmp_path: Path) -> Path:
    """A bundle that the test may spoil."""
    return Path(shutil.copytree(saved_once, tmp_path / "houses"))


def load(folder: Path) -> Bundle:
    return load_bundle(str(folder), STORE)


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_bundle_gives_back_what_training_put_in(folder: Path) -> None:
    bundle, made = load(folder), plain_content()
    assert (bundle.name, bundle.max_images, bundle.embedding_size) == ("houses", 4, 3)
    assert (bundle.preprocessing, bundle.pixels, bundle.target) == (made.preprocessing, made.pixels, made.target)
    assert (bundle.outputs, bundle.target_column, bundle.target_sd) == (("prediction",), "price", 10.0)
    assert (bundle.metrics, bundle.profile, bundle.training) == (made.metrics, made.profile, made.training)
    assert (bundle.image_tower, bundle.head) == (made.image_tower, made.head)
    assert [row.images for row in bundle.golden] == [row.images for row in made.golden]
    assert [row.scores for row in bundle.golden] == [row.scores for row in made.golden]
    assert bundle.golden[1].features == {"area": None, "city": "Rome"}, "NaN is a missing value, and JSON has none"
    assert [len(row.pixel_digests) for row in bundle.golden] == [2, 0]


def test_figures_that_are_no_numbers_are_saved_as_null(tmp_path: Path) -> None:
    metrics = {"r2": float("nan"), "by_city": [np.float32(0.5), float("inf")], "rows": np.int64(3)}
    bundle = save_bundle(content(metrics=metrics), str(tmp_path), STORE)
    assert bundle.metrics == {"r2": None, "by_city": [0.5, None], "rows": 3}


def test_a_bundle_holds_these_files_and_no_others(folder: Path) -> None:
    images = [path for path in files_of(folder) if path.startswith("golden/images/")]
    assert len(images) == 2
    json_files = {"bundle.json", "digests.json", "golden/rows.json", "preprocessing.json", "profile.json"}
    assert set(files_of(folder)) - set(images) == {*json_files, "head.pb", "image_tower.pb"}


def test_the_digest_depends_on_the_content_and_not_on_place_or_time(folder: Path, tmp_path: Path) -> None:
    again = save_bundle(plain_content(), str(tmp_path / "elsewhere"), STORE)
    assert again.digest == load(folder).digest
    other = save_bundle(content(target_sd=11.0), str(tmp_path / "other"), STORE)
    assert other.digest != again.digest


def test_a_bundle_without_a_version_takes_it_from_its_digest(folder: Path, tmp_path: Path) -> None:
    bundle = load(folder)
    assert bundle.version == f"sha-{bundle.digest[:12]}"
    assert save_bundle(content(version="2026-11"), str(tmp_path / "named"), STORE).version == "2026-11"


def test_reading_a_bundle_needs_no_tensorflow(folder: Path) -> None:
    code = (
        "import sys; from scorer.model.bundle import load_bundle; from scorer.model.description import describe\n"
        "from scorer.objectstore import ObjectStore\n"
        f"describe(load_bundle({str(folder)!r}, ObjectStore()))\n"
        "print([name for name in ('tensorflow', 'keras', 'sklearn', 'pandas') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_bundle_in_s3_is_the_same_bundle(bucket: Bucket, folder: Path) -> None:
    uri = f"{bucket.uri}/models/houses"
    assert save_bundle(plain_content(), uri, STORE).digest == load(folder).digest
    bundle = load_bundle(uri + "/", STORE)
    assert (bundle.uri, len(bundle.golden)) == (uri, 2)


def test_a_description_names_what_people_ask_for(folder: Path) -> None:
    bundle = load(folder)
    text = describe(bundle)
    for fact in (
        f"bundle    houses {bundle.version}",
        bundle.digest,
        "predicts  price (identity; standard deviation 10)",
        "pixels    8 x 8, filter area, decode scaled, scaled to 0..1, version 1",
        "2 features\n  area  number    double\n  city  category  string",
        "fused.mape  12.5",
        "tensorflow ",
    ):
        assert fact in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]


# --- saving


def test_the_same_bundle_may_be_saved_again_and_nothing_is_written(folder: Path) -> None:
    before = (folder / "digests.json").read_bytes()
    assert save_bundle(plain_content(), str(folder), STORE).digest == load(folder).digest
    assert (folder / "digests.json").read_bytes() == before


def test_another_bundle_is_never_overwritten(folder: Path) -> None:
    before = load(folder).digest
    with pytest.raises(BundleError, match=r"holds a bundle already.*Nothing was written"):
        save_bundle(content(target_sd=11.0), str(folder), STORE)
    assert load(folder).digest == before


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(BundleError, match=r"holds thesis\.doc and is no bundle"):
        save_bundle(plain_content(), str(tmp_path), STORE)
    with pytest.raises(BundleError, match=r"thesis\.doc"):
        insist_on_free_place(str(tmp_path), STORE)
    assert files_of(tmp_path) == ["thesis.doc"]


def test_what_a_save_left_that_was_cut_off_is_replaced(folder: Path) -> None:
    (folder / "digests.json").unlink()
    leftover = folder / "golden" / "images" / f"{'a' * 64}.bin"
    leftover.write_bytes(b"of another model")
    (folder / "head.pb").write_bytes(b"half")
    with pytest.raises(BundleError, match=r"no bundle at .*it has no digests\.json"):
        load(folder)
    save_bundle(plain_content(), str(folder), STORE)
    assert load(folder).head == plain_content().head
    assert not leftover.exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"golden": ()}, "no golden rows"),
        ({"training": {"when": object()}}, "no plain JSON"),
        (
            {"golden": (GoldenRow({"area": 1.0, "city": "Lyon"}, (b"no image",), (), {"prediction": 1.0}),)},
            "cannot be decoded",
        ),
    ],
)
def test_content_that_could_not_be_read_back_is_not_saved(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=named):
        save_bundle(content(**changes), str(tmp_path), STORE)
    assert files_of(tmp_path) == []


@pytest.mark.parametrize(
    ("readout", "named"),
    [
        (Readout(task="binary", classes=("a",)), "two classes"),
        (Readout(intervals={"prediction": Intervals(level=0.9, by="colour", bands=(BAND,))}), "which is no feature"),
    ],
)
def test_a_readout_that_does_not_fit_is_neither_saved_nor_read(
    readout: Readout, named: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=f"bundle was not saved.*{named}"):
        save_bundle(content(readout=readout), str(tmp_path / "other"), STORE)
    edit_json(folder / "bundle.json", lambda values: values | {"readout": readout.model_dump(mode="json")})
    reseal(folder)
    with pytest.raises(BundleError, match=named):
        load(folder)


def test_intervals_are_described_with_what_they_held_in_training(tmp_path: Path) -> None:
    readout = Readout(intervals={"prediction": Intervals(level=0.9, bands=(BAND,))})
    text = describe(save_bundle(content(readout=readout), str(tmp_path), STORE))
    assert "90% intervals of prediction, and the share of truths that they held in training" in text
    assert "with an image  90.4% of 312" in text


# --- changed, missing, extra


def test_a_changed_byte_is_refused_with_the_files_name(folder: Path) -> None:
    for path in files_of(folder):
        file = folder / path
        before = file.read_bytes()
        file.write_bytes(before[:-2] + bytes([before[-2] ^ 1]) + before[-1:])
        with pytest.raises(BundleError, match=path):
            load(folder)
        file.write_bytes(before)
    load(folder)


def test_a_missing_file_is_refused_with_its_name(folder: Path) -> None:
    for path in files_of(folder):
        (folder / path).rename(folder.parent / "away")
        with pytest.raises(BundleError, match=path):
            load(folder)
        (folder.parent / "away").rename(folder / path)


def test_a_file_that_does_not_belong_to_it_is_refused_with_its_name(folder: Path) -> None:
    (folder / "golden" / "run_me.py").write_text("import os")
    with pytest.raises(BundleError, match=r"golden/run_me\.py does not belong to it"):
        load(folder)


def test_a_graph_that_is_changed_after_loading_is_refused_when_it_is_read(folder: Path) -> None:
    bundle = load(folder)
    (folder / "head.pb").write_bytes(b"something else")
    with pytest.raises(BundleError, match=r"head\.pb has another SHA-256"):
        _ = bundle.head


@pytest.mark.parametrize(
    "path",
    ["../secret", "/etc/passwd", "golden/../../secret", "a//b", "a/./b", "..", "", "C:\\x", "a\0b", ".hidden", "a\nb"],
)
def test_a_path_that_leads_out_of_the_bundle_is_refused_and_not_read(path: str, folder: Path) -> None:
    (folder.parent / "secret").write_bytes(b"secret")
    values = json.loads((folder / "digests.json").read_bytes())
    files = values["files"] | {path: values["files"]["head.pb"]}
    (folder / "digests.json").write_bytes(Digests(files, "now").to_json())
    with pytest.raises(BundleError, match="no file inside a bundle"):
        load(folder)


def test_digests_that_do_not_add_up_are_refused(folder: Path) -> None:
    edit_json(folder / "digests.json", lambda values: values | {"bundle": "0" * 64})
    with pytest.raises(BundleError, match=r"digests\.json was changed"):
        load(folder)


def test_an_unknown_format_says_what_to_do(folder: Path) -> None:
    edit_json(folder / "bundle.json", lambda values: values | {"format": 3})
    reseal(folder)
    with pytest.raises(
        BundleError, match=r"bundle\.json is of format 3; this version of scorer reads formats 1 to 2.*train it"
    ):
        load(folder)
    edit_json(folder / "digests.json", lambda values: values | {"format": 7})
    with pytest.raises(BundleError, match=r"digests\.json is of format 7.*Score with the version that saved"):
        load(folder)


# --- JSON of strangers who can make digests


HOSTILE = {
    "not JSON": b"{",
    "not text": b"\xff\xfe\x00",
    "a list": b"[]",
    "deep": b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": 1e999}',
    "a long number": b'{"a": ' + b"9" * 10_000 + b"}",
    "a name twice": b'{"format": 1, "format": 1}',
    "empty": b"",
    "nothing": b"{}",
    "a lone surrogate": b'{"format": 1, "name": "\\ud800"}',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("file", ["bundle.json", "digests.json", "preprocessing.json", "golden/rows.json"])
def test_hostile_json_is_a_bundle_error_that_names_the_file(file: str, data: bytes, folder: Path) -> None:
    (folder / file).write_bytes(data)
    if file != "digests.json":
        reseal(folder)
    with pytest.raises(BundleError, match=file if file != "preprocessing.json" else "preprocessing"):
        _ = load(folder).golden


def test_json_over_its_limit_is_not_parsed() -> None:
    with pytest.raises(BundleError, match=r"x\.json has 12 bytes, more than the limit of 10"):
        strict_json.parse(b'{"a": "bcd"}', "x.json", 10)


def test_a_bundle_whose_json_is_mutated_at_random_is_read_or_refused_and_nothing_else(folder: Path) -> None:
    chance = random.Random(5)
    messages = []
    for _ in range(400):
        file = folder / chance.choice(["bundle.json", "preprocessing.json", "profile.json", "golden/rows.json"])
        before = file.read_bytes()
        edit_json(file, lambda values: _mutated(values, chance))
        reseal(folder)
        try:
            bundle = load(folder)
            describe(bundle)
            _ = bundle.golden
        except BundleError as error:
            messages.append(str(error))
        file.write_bytes(before)
    assert len(messages) > 150
    assert not [message for message in messages if len(message) > 2000 or not message.endswith(".")]


def _mutated(values: Any, chance: random.Random) -> Any:
    """One value somewhere inside replaced, removed or renamed."""
    if not isinstance(values, dict | list) or not values or chance.random() < 0.15:
        return chance.choice([None, True, -1, 0, 10**30, 1.5, "", "x" * 1000, "\x00", [], {}, [None], {"a": {"b": 1}}])
    key = chance.choice(list(values) if isinstance(values, dict) else range(len(values)))
    if chance.random() < 0.7:
        values[key] = _mutated(values[key], chance)
        return values
    taken = values.pop(key)
    if isinstance(values, dict) and chance.random() < 0.5:
        values[f"{key}s"] = taken
    return values


def test_the_arrays_of_golden_pixels_are_digested_in_row_order() -> None:
    from scorer.model.golden import pixel_digest

    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert pixel_digest(pixels) != pixel_digest(pixels.transpose(1, 0, 2))
    assert pixel_digest(pixels.transpose(1, 0, 2)) == pixel_digest(pixels.transpose(1, 0, 2).copy())
