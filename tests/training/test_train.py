import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.errors import (
    BundleError,
    ContractError,
    InputChanged,
    InputError,
    ScorerError,
    SettingsError,
    StoreUnreachable,
)
from scorer.intake.pixels import decode_image
from scorer.model.bundle import Bundle, load_bundle, save_bundle
from scorer.model.predictor import Predictor
from scorer.objectstore import ObjectStore
from scorer.settings import ImageLimits, TrainJob
from scorer.training.images import ImageCache
from scorer.training.state import State, alone_in
from scorer.training.train import TrainReport, train
from tests.conftest import Bucket
from tests.training.listings import job, rows_with_images, write_image, write_listings

STORE = ObjectStore()
LISTINGS = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Listings whose price shows in their images; some are broken, some shared, some prices unknown."""
    folder = tmp_path_factory.mktemp("market")
    rows = rows_with_images(folder, LISTINGS)
    for row in rows[::50]:
        row["price"] = None
    broken = next(row["image_uris"][0] for row in rows if row["image_uris"] and row["price"])
    (folder / broken).write_bytes(b"\xff\xd8\xff broken off")
    write_listings(folder, rows)
    return folder


def quick(folder: Path, **settings: Any) -> TrainJob:
    return job(folder, **{"epochs": 25, "patience": 25, "learning_rate": 3e-3, **settings})


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(folder: Path, lines: list[str]) -> TrainReport:
    return train(quick(folder), STORE, lines.append)


@pytest.fixture(scope="module")
def bundle(report: TrainReport) -> Bundle:
    return load_bundle(report.uri, STORE)


def test_where_images_matter_the_fused_model_beats_the_numbers_alone_and_the_report_says_so(
    report: TrainReport,
) -> None:
    test = report.metrics["test"]
    assert test["numbers and images"]["mape"] < 0.6 * test["numbers only"]["mape"]
    assert test["numbers and images"]["mape"] < 0.6 * test["constant"]["mape"]
    assert report.metrics["images"]["low"] > 0
    assert "The images help: on 44 test listings" in report.text


def test_progress_tells_what_was_read_split_and_learned(lines: list[str], report: TrainReport) -> None:
    text = "\n".join(lines)
    assert "294 listings from 2 partitions" in text
    assert "(image_corrupt 1)" in text
    assert "6 rows without target left out" in text
    assert "250 listings to learn from, 44 to test" in text
    assert "Column 'title' is no feature: no value occurs twice" in text
    assert "numbers only: epoch 1, " in text
    assert "fused: epoch 25, " in text


def test_the_report_names_the_bundle(report: TrainReport, bundle: Bundle) -> None:
    assert (report.name, report.version, report.digest) == (bundle.name, bundle.version, bundle.digest)
    assert str(report).endswith(f"Bundle price {bundle.version} is at {bundle.uri} (digest {bundle.digest[:12]}).")


def test_the_bundle_holds_what_a_score_depends_on(bundle: Bundle) -> None:
    assert bundle.preprocessing.names == ("area", "rooms", "garden", "city")
    assert bundle.pixels.size == 16
    assert bundle.max_images == 8
    assert bundle.target.kind == "log"
    assert bundle.target_sd > 0
    assert bundle.training["settings"]["seed"] == 0
    assert bundle.training["rows"] == {"training": 250, "test": 44}
    assert bundle.training["images_not_used"] == {"image_corrupt": 1}
    assert bundle.profile["features"].keys() == set(bundle.preprocessing.names)
    assert bundle.profile["rows"] == 250


def test_the_golden_rows_differ_in_images_and_gaps(bundle: Bundle) -> None:
    assert len(bundle.golden) == 8
    images = [len(row.images) for row in bundle.golden]
    assert max(images) == 3
    assert images[-1] == 0
    assert any(None in row.features.values() for row in bundle.golden)
    assert len({row.scores["prediction"] for row in bundle.golden}) == 8


def test_the_bundle_scores_as_keras_predicted_in_training(bundle: Bundle) -> None:
    predictor = Predictor(bundle, batch_images=4, batch_rows=3)
    for row in bundle.golden:
        images = [decode_image(image, bundle.pixels, ImageLimits()) for image in row.images]
        embeddings = predictor.embed(np.stack(images)) if images else np.zeros((0, bundle.embedding_size), np.float32)
        features, _ = bundle.preprocessing.transform(pa.RecordBatch.from_pylist([dict(row.features)]))
        scores = predictor.heads(
            features,
            embeddings,
            np.arange(max(len(images), 1), dtype=np.int32)[None] if images else np.full((1, 1), -1, np.int32),
        )
        tolerance = 1e-5 * max(abs(row.scores["prediction"]), bundle.target_sd)
        assert abs(scores["prediction"][0] - row.scores["prediction"]) <= tolerance


@pytest.mark.parametrize("kind", ["int64", "double", "decimal128(19, 0)", "dictionary"])
def test_whole_numbers_that_are_categories_make_a_bundle_that_scores(folder: Path, tmp_path: Path, kind: str) -> None:
    table = pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("ds=*/*.parquet"))])
    rooms = table.column("rooms")
    types = {"int64": pa.int64(), "double": pa.float64(), "decimal128(19, 0)": pa.decimal128(19, 0)}
    rooms = rooms.dictionary_encode() if kind == "dictionary" else rooms.cast(types[kind])
    (tmp_path / "images").symlink_to(folder / "images")
    pq.write_table(table.set_column(table.column_names.index("rooms"), "rooms", rooms), tmp_path / "part-0.parquet")
    found = train(quick(tmp_path, epochs=1, categories=("rooms",)), STORE, lambda _: None)
    bundle = load_bundle(found.uri, STORE)
    Predictor(bundle, batch_images=4, batch_rows=3)  # scores the golden rows
    assert {row.features["rooms"] for row in bundle.golden} <= {str(number) for number in range(1, 7)}


def test_the_same_seed_gives_the_same_bundle_and_another_seed_another(folder: Path, tmp_path: Path) -> None:
    def digest(name: str, seed: int) -> str:
        return train(quick(folder, bundle=str(tmp_path / name), seed=seed, epochs=2), STORE, lambda line: None).digest

    first = digest("first", 4)
    assert digest("again", 4) == first
    assert digest("other", 5) != first


def test_everything_in_the_report_is_plain_json(report: TrainReport) -> None:
    assert json.loads(json.dumps(report.metrics, allow_nan=False)) == report.metrics


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"recipe": "large"}, SettingsError, r"Unknown recipe 'large'\. Known: lite0, small"),
        ({"fusion": "gate"}, SettingsError, r"Unknown fusion 'gate'\. Known: .*concat"),
        ({"augmentation": ("flop",)}, SettingsError, r"Unknown augmentation 'flop'\. Known: blur, brightness, .*flip"),
        ({"test_share": 0.0}, InputError, r"0 to test, and none may be 0"),
        ({"group": "listed_on"}, InputError, r"form 1 groups .* the largest with 294"),
        ({"weight": "heft"}, SettingsError, r"weight: the listings have no single column 'heft'"),
        ({"weight": "area"}, ContractError, r"weight: 'area' is null, NaN, infinite or negative in \d+ rows"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_words_and_leaves_no_bundle(
    folder: Path, tmp_path: Path, settings: dict[str, Any], error: type[ScorerError], says: str
) -> None:
    with pytest.raises(error, match=says):
        train(quick(folder, bundle=str(tmp_path / "none"), **settings), STORE, lambda line: None)
    assert not (tmp_path / "none").exists()


def test_a_quantile_and_weights_are_learned_measured_and_told(folder: Path, tmp_path: Path) -> None:
    settings = quick(
        folder, bundle=str(tmp_path / "b"), fusion="late_gate", loss="quantile", quantile=0.8, weight="rooms"
    )
    report = train(settings, STORE, lambda line: None)
    found = load_bundle(report.uri, STORE)
    assert found.preprocessing.names == ("area", "garden", "city"), "a weight is no feature"
    assert 0.6 <= report.metrics["at_or_below"] <= 0.95
    assert re.search(r"Of the test listings \d\d\.\d% are at or below their prediction, asked 80\.0%\.", report.text)
    assert "constant" in report.metrics["test"]
    assert report.metrics["images"]["measure"] == "quantile loss"


def test_a_bundle_is_never_trained_over(folder: Path, report: TrainReport) -> None:
    lines: list[str] = []
    with pytest.raises(BundleError, match="holds a bundle already"):
        train(quick(folder, bundle=report.uri), STORE, lines.append)
    assert not lines, "nothing was read before"


def test_a_target_that_reaches_zero_cannot_be_learned_as_a_logarithm(folder: Path, tmp_path: Path) -> None:
    rows = rows_with_images(tmp_path, 30)
    rows[3]["price"] = 0.0
    write_listings(tmp_path, rows)
    with pytest.raises(SettingsError, match=r"target_transform is log, but 1 targets in 'price' are zero or less"):
        train(quick(tmp_path, target_transform="log"), STORE, lambda line: None)


@pytest.mark.parametrize("augmentation", [(), ("shift", "zoom", "rotate", "brightness", "contrast")])
def test_every_augmentation_trains(folder: Path, tmp_path: Path, augmentation: tuple[str, ...]) -> None:
    settings = quick(folder, bundle=str(tmp_path / "bundle"), augmentation=augmentation, epochs=1)
    assert train(settings, STORE, lambda line: None).metrics["test"]


def test_the_folder_of_the_state_is_let_go_of_when_the_bundle_is_written_and_what_was_kept_is_removed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, done = str(tmp_path / "state"), list[str]()

    def held_while(step: Callable[..., Any]) -> Callable[..., Any]:
        def tried(*given: Any) -> Any:
            with pytest.raises(SettingsError, match="Another training is at work"), alone_in(kept):
                pass
            done.append(step.__name__)
            return step(*given)

        return tried

    monkeypatch.setattr("scorer.training.train.save_bundle", held_while(save_bundle))
    monkeypatch.setattr(State, "clear", held_while(State.clear))
    train(quick(folder, bundle=str(tmp_path / "bundle"), state=kept, epochs=1), STORE, lambda line: None)
    assert done == ["clear", "save_bundle", "clear"], "what another training left, the bundle, what this one kept"
    with alone_in(kept):
        assert not list((tmp_path / "state").iterdir())


def test_after_an_image_has_changed_in_a_training_the_next_one_begins_anew_instead_of_failing_like_it(
    tmp_path: Path,
) -> None:
    write_listings(tmp_path, rows_with_images(tmp_path, 40))
    settings, random = quick(tmp_path, state=str(tmp_path / "state"), epochs=1), np.random.default_rng(1)

    def replaced(line: str) -> None:
        if "distinct images" in line:  # they are decoded
            for path in (tmp_path / "images").iterdir():
                write_image(path, 100, random)

    with pytest.raises(InputChanged, match=r"was replaced .* kept in .*/state \(state\) .* was removed: .* anew\."):
        train(settings, STORE, replaced)
    assert not list((tmp_path / "state").iterdir())
    assert train(settings, STORE, lambda line: None).metrics["test"]


def test_what_was_kept_stays_where_the_store_does_not_give_an_image_out_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out(*given: Any) -> bytes:
        raise StoreUnreachable("0.png could not be fetched a second time.")

    monkeypatch.setattr(ImageCache, "bytes_of", out)
    with pytest.raises(StoreUnreachable, match=r"second time\.$"):
        train(quick(folder, bundle=str(tmp_path / "b"), state=str(tmp_path / "s"), epochs=1), STORE, lambda line: None)
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"images", "fits", "training.json"}


def test_listings_and_images_may_be_in_a_bucket_and_the_bundle_goes_there(tmp_path: Path, bucket: Bucket) -> None:
    write_listings(tmp_path, rows_with_images(tmp_path, 40))
    store = ObjectStore()
    for path in sorted(tmp_path.rglob("*.p*")):
        store.put(f"{bucket.uri}/market/{path.relative_to(tmp_path)}", path.read_bytes())
    settings = quick(tmp_path, listings=f"{bucket.uri}/market", bundle=f"{bucket.uri}/bundles/first", epochs=1)
    report = train(settings, store, lambda line: None)
    found = load_bundle(f"{bucket.uri}/bundles/first", store)
    assert found.digest == report.digest
    assert found.training["images"] == len(list(tmp_path.rglob("*.png")))
