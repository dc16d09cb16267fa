"""The whole job: what comes in, what goes out, and what readers see when something is wrong."""

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from scorer import contracts, score_partition
from scorer.errors import (
    BundleError,
    ContractError,
    InputChanged,
    InputError,
    NothingToDo,
    ScorerError,
    SettingsError,
    StoreUnreachable,
)
from scorer.model import signature
from scorer.model.batch_size import CANDIDATES
from scorer.model.bundle import load_bundle
from scorer.model.preprocessing import Preprocessing
from scorer.objectstore import ObjectStore, join
from scorer.output.commit import Ledger
from scorer.output.staging import Staging, UnitResult
from scorer.run.check import check
from scorer.run.estimate import estimate
from scorer.run.plan import plan_digest
from tests import images, tiny
from tests.conftest import Bucket, FaultyBucket
from tests.s3_proxy import Fault
from tests.tiny import KEY, Market, listing, local_market


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    """Twenty good listings on local files."""
    return local_market(tmp_path, bundle)


def scores(table: pa.Table) -> dict[str, float]:
    return dict(zip(table.column("listing_id").to_pylist(), table.column("prediction").to_pylist(), strict=True))


def alike(left: dict[str, float], right: dict[str, float]) -> bool:
    """Equal within this project's tolerance."""
    assert left.keys() == right.keys()
    return all(abs(left[key] - right[key]) <= 1e-5 * max(abs(left[key]), tiny.SCALE) for key in left)


def test_every_row_comes_out_scored_and_in_order(market: Market) -> None:
    manifest = score_partition(market.job())
    table = market.read()
    assert table.column("listing_id").to_pylist() == [f"home-{n}" for n in range(20)]
    assert set(table.column("status").to_pylist()) == {"scored"}
    assert table.column("images_used").to_pylist() == [1 + n % 3 for n in range(20)]
    assert len(set(scores(table).values())) == 20
    assert market.read("predictions.quarantine").num_rows == 0
    assert (manifest.counts.rows_in, manifest.counts.scored) == (20, 20)
    assert table.schema.remove_metadata().equals(contracts.built_in("predictions").arrow_schema())


def test_every_prediction_lies_in_its_interval_which_is_wider_where_no_image_was_used(market: Market) -> None:
    market.write([listing(0), listing(1, image_uris=[]), listing(2, image_uris=["img/none.jpg"])])
    manifest = score_partition(market.job())
    low, score, high, effect = (
        market.read().column(name).to_numpy()
        for name in ("prediction_low", "prediction", "prediction_high", "image_effect")
    )
    half = np.array([tiny.WITH_IMAGES, tiny.WITHOUT, tiny.WITHOUT]) * tiny.SCALE
    np.testing.assert_allclose(score - low, half)
    np.testing.assert_allclose(high - score, half)
    assert effect[0] != 0
    assert effect[1:].tolist() == [0.0, 0.0]
    found = manifest.distributions
    assert (found.width.rows, found.image_effect.rows) == (3, 1)
    assert found.width.mean == pytest.approx(2 * half.mean())
    assert found.image_effect.mean == pytest.approx(effect[0])
    (file,) = manifest.predictions
    assert json.loads(pq.read_schema(file.uri).metadata[b"scorer.meaning"])["level"] == 0.9


def test_the_image_effect_is_the_difference_to_the_same_listing_without_its_images(market: Market) -> None:
    market.write([listing(number) for number in range(5)])
    score_partition(market.job())
    with_images, effects = scores(market.read()), market.read().column("image_effect").to_pylist()
    market.write([listing(number, image_uris=[]) for number in range(5)])
    score_partition(market.job())
    without = scores(market.read())
    for (name, score), effect in zip(with_images.items(), effects, strict=True):
        assert effect == pytest.approx(score - without[name], abs=1e-5 * tiny.SCALE)


def test_units_that_an_earlier_version_staged_are_published_with_its_missing_columns_null(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Staging.save

    def earlier(self: Staging, result: UnitResult) -> None:
        later = ["prediction_low", "prediction_high", "prediction_class", "image_effect"]
        save(self, replace(result, predictions=result.predictions.drop_columns(later)))

    monkeypatch.setattr(Staging, "save", earlier)
    score_partition(market.job())
    table = market.read()
    assert table.column("prediction").null_count == 0
    assert table.column("image_effect").null_count == table.num_rows
    assert table.schema.remove_metadata().equals(contracts.built_in("predictions").arrow_schema())


def test_a_bundles_scores_are_the_keras_models_own(market: Market, bundle: str) -> None:
    """The golden scores come from Keras `predict`; the job gives the same for the same listings."""
    golden = json.loads((Path(bundle) / "golden/rows.json").read_text())["rows"]
    rows = []
    for number, row in enumerate(golden):
        names = [f"golden/{digest}.img" for digest in row["images"]]
        for name, digest in zip(names, row["images"], strict=True):
            data = (Path(bundle) / "golden/images" / f"{digest}.bin").read_bytes()
            market.store.put(join(market.listings, name), data)
        rows.append(listing(number, **row["features"], image_uris=names))
    market.write(rows)
    score_partition(market.job())
    expected = {f"home-{number}": row["scores"]["prediction"] for number, row in enumerate(golden)}
    assert alike(scores(market.read()), expected)


def test_a_score_depends_on_nothing_but_its_own_row(market: Market) -> None:
    score_partition(market.job())
    together = scores(market.read())
    market.write([listing(number) for number in reversed(range(0, 20, 3))])
    score_partition(market.job(rows_per_unit=2, speed={"batch_images": 2, "batch_rows": 3, "decode_threads": 1}))
    apart = scores(market.read())
    assert len(apart) == 7
    assert alike(apart, {key: together[key] for key in apart})


def test_the_same_plan_gives_the_same_bits(market: Market) -> None:
    batch = {"batch_images": 64}  # what `auto` finds may differ from plan to plan, and stands in the plan
    score_partition(market.job(speed=batch))
    first = market.read()
    score_partition(market.job(speed=batch, force=True))
    again = market.read()
    assert first.column("prediction").equals(again.column("prediction"))
    assert first.column("run_id") != again.column("run_id")


def test_several_replicas_give_the_scores_of_one(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two replicas on this CPU stand for two GPUs: batches under way at once, taken back in order."""
    small = {"batch_images": 4}
    score_partition(market.job(rows_per_unit=7, speed=small))
    one = market.read()
    monkeypatch.setattr("scorer.model.predictor._all_devices", lambda: ("/CPU:0", "/CPU:0"))
    score_partition(market.job(rows_per_unit=7, speed=small, force=True))
    assert market.read().column("prediction").equals(one.column("prediction"))
    assert market.read().column("listing_id").equals(one.column("listing_id"))


def test_sixteen_bits_move_scores_by_little_and_are_another_plan(market: Market) -> None:
    first = score_partition(market.job())
    full = scores(market.read())
    second = score_partition(market.job(precision="bfloat16"))
    assert second.run_id != first.run_id
    half = scores(market.read())
    assert all(abs(half[key] - full[key]) <= 0.1 * tiny.SCALE for key in full)
    refused_again = market.job(precision="float16")
    with pytest.raises(SettingsError, match="float16 is for GPUs"):
        score_partition(refused_again)


def test_a_machine_that_decodes_other_formats_has_plans_of_its_own(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = market.job()
    checked, seen = check(job, market.store), Ledger(job.state_uri, tiny.KEY, market.store).read()
    here = plan_digest(checked, job, seen)
    assert plan_digest(checked, job, seen) == here
    monkeypatch.setattr("scorer.run.plan.OPTIONAL_DECODERS", ())
    assert plan_digest(checked, job, seen) != here


def test_the_batch_size_is_measured_once_and_stands_in_the_plan(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_partition(market.job())
    (plan,) = (info.uri for info in market.store.list_all(market.root) if info.uri.endswith("plan.json"))
    assert json.loads(market.store.get(plan).data)["batch_images"] in CANDIDATES
    monkeypatch.setattr("scorer.run.worker.fastest_batch", lambda *_: 17)
    score_partition(market.job(force=True))
    plans = [info.uri for info in market.store.list_all(market.root) if info.uri.endswith("plan.json")]
    assert sorted(json.loads(market.store.get(uri).data)["batch_images"] for uri in plans)[0] == 17


def test_readers_of_every_kind_find_the_same_rows(market: Market) -> None:
    score_partition(market.job())
    folder = join(market.root, "predictions")
    frame = pd.read_parquet(folder)
    dataset = ds.dataset(folder, partitioning="hive").to_table()
    query = f"select * from read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    relation = duckdb.sql(query)
    assert relation is not None
    duck = relation.to_arrow_table()
    for found in (pa.Table.from_pandas(frame), dataset, duck):
        assert scores(found) == scores(market.read())
        assert {str(value)[:10] for value in found.column("ds").to_pylist()} == {"2026-11-24"}


def test_thirty_kinds_of_bad_images_degrade_their_own_rows_and_no_other(market: Market) -> None:
    score_partition(market.job())
    undisturbed = scores(market.read())
    spoiled: dict[str, tuple[str, str]] = {}
    for number, (name, broken) in enumerate(images.BROKEN.items()):
        market.store.put(join(market.listings, f"bad/{number}.jpg"), broken.make())
        spoiled[f"bad-{number}"] = (f"bad/{number}.jpg", broken.reason)
        assert name
    os.mkfifo(Path(market.listings) / "bad/pipe.jpg")
    (Path(market.listings) / "bad/folder.jpg").mkdir()
    elsewhere = {
        "missing": ("bad/none.jpg", "image_not_found"),
        "pipe": ("bad/pipe.jpg", "image_not_found"),
        "folder": ("bad/folder.jpg", "image_not_found"),
        "up": ("../secret.jpg", "image_forbidden"),
        "web": ("https://example.org/x.jpg", "image_forbidden"),
        "bucket": ("s3://others/x.jpg", "image_forbidden"),
        "host": ("file://host/x.jpg", "image_forbidden"),
        "control": ("a\nb.jpg", "image_forbidden"),
    }
    spoiled |= elsewhere
    assert len(spoiled) >= 30
    bad = [listing(n, listing_id=key, image_uris=[uri]) for n, (key, (uri, _)) in enumerate(spoiled.items())]
    good = [listing(number) for number in range(20)]
    mixed = [row for pair in zip(bad, good * 9, strict=False) for row in pair][: 2 * len(bad)]
    unique = list({row["listing_id"]: row for row in mixed}.values())
    market.write(unique)
    manifest = score_partition(market.job(images={"max_pixels": 10_000_000}))

    table = {row["listing_id"]: row for row in market.read().to_pylist()}
    for key, (uri, reason) in spoiled.items():
        assert (key, uri, table[key]["reasons"], table[key]["status"]) == (key, uri, [reason], "degraded")
        assert (table[key]["images_given"], table[key]["images_used"]) == (1, 0)
        assert np.isfinite(table[key]["prediction"])
    neighbours = {key: table[key]["prediction"] for key in undisturbed if key in table}
    assert len(neighbours) == 20
    assert alike(neighbours, {key: undisturbed[key] for key in neighbours})
    assert manifest.counts.faults == dict(sorted(Counter(reason for _, reason in spoiled.values()).items()))


BAD_ROWS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "feature null": ({"area": None}, ["feature_missing"]),
    "feature nan": ({"area": float("nan")}, ["feature_missing"]),
    "feature infinite": ({"area": float("inf")}, ["feature_missing"]),
    "boolean null": ({"garden": None}, ["feature_missing"]),
    "category null": ({"city": None}, ["feature_missing"]),
    "category unseen": ({"city": "Atlantis"}, ["category_unseen"]),
    "no list of images": ({"image_uris": None}, ["no_images"]),
    "empty list of images": ({"image_uris": []}, ["no_images"]),
    "images without a name": ({"image_uris": ["", None]}, ["no_images"]),
    "all at once": ({"area": None, "city": "?", "image_uris": []}, ["category_unseen", "feature_missing", "no_images"]),
}


def test_ten_kinds_of_bad_listings_keep_their_rows_with_their_reasons(market: Market) -> None:
    rows = [listing(number) for number in range(20)]
    rows += [listing(n, listing_id=name, **changes) for n, (name, (changes, _)) in enumerate(BAD_ROWS.items())]
    market.write(rows)
    score_partition(market.job())
    table = {row["listing_id"]: row for row in market.read().to_pylist()}
    assert len(table) == 20 + len(BAD_ROWS)
    for name, (_, reasons) in BAD_ROWS.items():
        assert (table[name]["status"], table[name]["reasons"]) == ("degraded", reasons)
        assert np.isfinite(table[name]["prediction"])
    assert all(table[f"home-{number}"]["status"] == "scored" for number in range(20))


def test_rows_that_cannot_be_scored_are_quarantined_and_accounted_for(market: Market, tmp_path: Path) -> None:
    contract = tmp_path / "own.yaml"
    contract.write_text(
        "apiVersion: v3.0.2\nkind: DataContract\nid: own\nname: own\nversion: 1.0.0\nstatus: active\nschema:\n"
        "  - name: own\n    properties:\n"
        "      - {name: area, logicalType: number, required: true, logicalTypeOptions: {minimum: 10}}\n"
    )
    rows = [listing(0), listing(1, listing_id=None), listing(2), listing(3, listing_id=""), listing(2, area=5.0)]
    market.write([*rows, listing(4, area=9.0), listing(5, area=None)], "a.parquet")
    market.write([listing(6), listing(0)], "b.parquet")
    manifest = score_partition(market.job(contract=str(contract), rows_per_unit=3))
    assert market.read().column("listing_id").to_pylist() == ["home-6"]
    refused = market.read("predictions.quarantine").to_pylist()
    assert [(row["listing_id"], row["reason"], row["row_number"]) for row in refused] == [
        ("home-0", "id_duplicated", 0),
        (None, "id_missing", 1),
        ("home-2", "id_duplicated", 2),
        ("", "id_missing", 3),
        ("home-2", "id_duplicated", 4),
        ("home-4", "contract_broken", 5),
        ("home-5", "contract_broken", 6),
        ("home-0", "id_duplicated", 1),
    ]
    assert refused[5]["detail"] == "area is 9.0; the contract says required, at least 10"
    assert json.loads(refused[5]["row_json"])["area"] == 9.0
    counts = manifest.counts
    assert (counts.rows_in, counts.scored, counts.quarantined) == (9, 1, 8)


def test_a_value_that_neither_a_double_nor_python_can_hold_costs_its_own_row_alone(
    market: Market, tmp_path: Path
) -> None:
    contract = tmp_path / "own.yaml"
    contract.write_text(
        "apiVersion: v3.0.2\nkind: DataContract\nid: own\nname: own\nversion: 1.0.0\nstatus: active\nschema:\n"
        "  - name: own\n    properties:\n"
        "      - {name: price, logicalType: integer, logicalTypeOptions: {minimum: 0.01}}\n"
        "      - {name: views, logicalType: integer, logicalTypeOptions: {minimum: 0, maximum: 1000}}\n"
        "      - {name: listed, logicalType: timestamp, required: true}\n"
    )
    rows = [listing(number) for number in range(4)]
    added = {
        "price": pa.array([2**53 + 1, 0, 1, 1], pa.int64()),
        "views": pa.array([1, 1, 2**64 - 1, 1], pa.uint64()),
        "listed": pa.array([2**60, 2**60 + 1, 2**62, None], pa.int64()).view(pa.timestamp("us", "UTC")),
    }
    table = pa.Table.from_pylist([{key: row[key] for key in row if key != "price"} for row in rows])
    for name, values in added.items():
        table = table.append_column(name, values)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    market.store.put(join(market.listings, KEY, "a.parquet"), sink.getvalue().to_pybytes())
    score_partition(market.job(contract=str(contract)))
    assert market.read().column("listing_id").to_pylist() == ["home-0"]
    refused = market.read("predictions.quarantine").to_pylist()
    assert [row["detail"] for row in refused] == [
        "price is 0; the contract says at least 0.01",
        "views is 18446744073709551615; the contract says at least 0, at most 1000",
        "listed is None; the contract says required",
    ]
    assert json.loads(refused[1]["row_json"])["listed"] == "<value out of range: 4611686018427387904>Z"


def test_the_manifest_fits_its_schema_and_says_where_everything_is(market: Market) -> None:
    manifest = score_partition(market.job())
    jsonschema.validate(
        json.loads(manifest.model_dump_json()), json.loads(contracts.schema_text("run_manifest.schema.json"))
    )
    (part,) = manifest.predictions
    assert pq.read_table(part.listed).equals(pq.read_table(part.uri))
    metadata = pq.read_schema(part.listed).metadata
    assert metadata[b"scorer.run_id"].decode() == manifest.run_id
    assert metadata[b"scorer.bundle_digest"].decode() == manifest.bundle.digest


def test_what_is_published_already_is_left_alone_unless_forced(market: Market) -> None:
    first = score_partition(market.job())
    before = market.store.head(first.predictions[0].listed)
    assert score_partition(market.job()).run_id == first.run_id
    assert score_partition(market.job(speed={"batch_images": 32})).run_id == first.run_id
    assert market.store.head(first.predictions[0].listed) == before
    forced = score_partition(market.job(force=True))
    assert forced.run_id != first.run_id
    assert score_partition(market.job()).run_id == forced.run_id


def test_a_run_that_broke_off_goes_on_where_it_was(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    save, saved = Staging.save, list[str]()

    def breaking(self: Staging, result: UnitResult) -> None:
        if len(saved) == 3:
            raise StoreUnreachable("the store went away")
        saved.append(result.unit.id)
        save(self, result)

    monkeypatch.setattr(Staging, "save", breaking)
    with pytest.raises(StoreUnreachable):
        score_partition(market.job(rows_per_unit=4))
    assert not Path(market.root, "predictions").exists()
    monkeypatch.setattr(Staging, "save", save)
    manifest = score_partition(market.job(rows_per_unit=4))
    assert (manifest.units, manifest.units_done_earlier) == (5, 3)
    assert market.read().column("listing_id").to_pylist() == [f"home-{n}" for n in range(20)]
    assert len(set(market.read().column("run_id").to_pylist())) == 1


def test_input_that_changes_during_the_run_is_not_published(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    from scorer.output.audit import audit

    def meddling(*args: Any) -> None:
        market.write([listing(99)], "late.parquet")
        audit(*args)

    monkeypatch.setattr("scorer.run.score_partition.audit", meddling)
    with pytest.raises(InputChanged, match=r"changed meanwhile\. Nothing was published"):
        score_partition(market.job())
    assert not Path(market.root, "predictions").exists()


def test_image_lists_may_be_a_single_string_and_features_other_widths(market: Market) -> None:
    table = pa.table(
        {
            "image_uris": ["img/0.jpg", None],
            "city": pa.array(["Porto", "Lyon"]).dictionary_encode(),
            "garden": [True, False],
            "area": pa.array([80, 90], pa.int16()),
            "listing_id": pa.array(["a", "b"], pa.large_string()),
            "unrelated": [object.__doc__, None],
        }
    )
    pq.write_table(table, join(market.listings, KEY, "a.parquet"))
    score_partition(market.job())
    rows = market.read().to_pylist()
    assert [(row["listing_id"], row["images_used"], row["status"]) for row in rows] == [
        ("a", 1, "scored"),
        ("b", 0, "degraded"),
    ]


def test_many_tiny_files_are_one_partition(market: Market) -> None:
    for number in range(40):
        market.write([listing(number)], f"{number:03}.parquet")
    market.store.delete([join(market.listings, KEY, "a.parquet")])
    manifest = score_partition(market.job())
    assert (manifest.units, manifest.counts.scored) == (40, 40)
    assert market.read().column("listing_id").to_pylist() == [f"home-{n}" for n in range(40)]


def refused(market: Market, kind: type[ScorerError], said: str, **settings: Any) -> None:
    """The job is refused with these words, and readers see nothing."""
    with pytest.raises(kind, match=said):
        score_partition(market.job(**settings))
    assert not Path(market.root, "predictions").exists()


def test_a_partition_that_does_not_exist_is_a_quiet_night_unless_it_is_required(market: Market) -> None:
    refused(market, NothingToDo, "There is no partition ds=1999-01-01", partition="ds=1999-01-01")
    refused(market, InputError, "it was required", partition="ds=1999-01-01", require_partition=True)
    market.write([])
    refused(market, NothingToDo, "hold no row")


def test_columns_that_do_not_fit_are_named_with_their_types(market: Market) -> None:
    path = join(market.listings, KEY, "a.parquet")
    good = pa.Table.from_pylist([listing(0)], schema=tiny.SCHEMA)
    for table, said in (
        (good.drop_columns(["area"]), "area"),
        (good.drop_columns(["image_uris"]), "has no column image_uris. It has: listing_id, area"),
        (good.drop_columns(["listing_id"]), "has no column listing_id"),
        (good.set_column(0, "listing_id", pa.array([7])), "column listing_id is int64; expected string"),
        (good.set_column(1, "area", pa.array(["wide"])), "area.*string"),
        (good.set_column(1, "area", pa.array([[1.0]])), "area.*list"),
        (good.set_column(5, "image_uris", pa.array([[7]])), "image_uris.* is list<.*int64>; expected list<string>"),
    ):
        pq.write_table(table, path)
        refused(market, ContractError, said)


def test_an_unreadable_file_is_named_and_nothing_is_published(market: Market) -> None:
    Path(market.listings, KEY, "b.parquet").write_bytes(b"PAR1 but not really PAR1")
    refused(market, InputError, r"b\.parquet is not readable as Parquet")


def test_a_file_that_breaks_off_inside_is_named_too(market: Market) -> None:
    path = Path(market.listings, KEY, "a.parquet")
    market.write([listing(number) for number in range(3000)], compression="zstd")
    content = bytearray(path.read_bytes())
    content[100:5_000] = bytes(4_900)
    path.write_bytes(content)
    refused(market, InputError, r"a\.parquet is not readable as Parquet")


def test_a_flipped_bit_in_a_file_with_checksums_is_noticed(market: Market) -> None:
    path = Path(market.listings, KEY, "a.parquet")
    market.write([listing(number) for number in range(3000)], compression="none", write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[5_000] ^= 4
    path.write_bytes(content)
    refused(market, InputError, r"a\.parquet is not readable as Parquet: .*CRC")


def test_a_changed_bundle_is_refused_with_the_files_name(market: Market, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    tiny.make_bundle(str(mine))
    content = bytearray((mine / "head.pb").read_bytes())
    content[len(content) // 2] ^= 1
    (mine / "head.pb").write_bytes(content)
    refused(market, BundleError, r"head\.pb", bundle=str(mine))
    refused(market, BundleError, "nowhere", bundle=str(tmp_path / "nowhere"))


def test_a_job_with_a_key_scores_by_a_signed_bundle_only(market: Market, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    tiny.make_bundle(str(mine))
    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    refused(market, BundleError, "is not signed", bundle=str(mine), bundle_key=pem)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signature.sign(str(mine), load_bundle(str(mine), market.store).digest, private, market.store)
    assert score_partition(market.job(bundle=str(mine), bundle_key=pem)).counts.scored == 20


def test_places_that_contradict_each_other_are_refused_before_anything_is_read(market: Market) -> None:
    refused(market, SettingsError, "must all be in S3, or all be local", state="s3://b/state")
    refused(market, SettingsError, "lies below predictions", state=join(market.root, "predictions", "state"))
    refused(market, SettingsError, "scheme 'ftp'", listings="ftp://x/y")


@pytest.mark.parametrize("output", ["predictions", "quarantine", "state"])
def test_nothing_is_ever_written_where_listings_or_bundle_lie(market: Market, output: str) -> None:
    below, above = join(market.listings, KEY), market.root
    before = {info.uri: info.etag for info in market.store.list_all(market.root)}
    for place in (market.listings, below, above, market.bundle, join(market.bundle, "golden")):
        refused(market, SettingsError, f"^{output} .* Give {output} a place of its own", **{output: place})
    assert {info.uri: info.etag for info in market.store.list_all(market.root)} == before


def test_the_dry_run_counts_and_writes_nothing(market: Market) -> None:
    found = estimate(market.job(rows_per_unit=8), market.store)
    assert (found.files, found.rows, found.units, found.images, found.published) == (1, 20, 3, 39, None)
    assert sorted(os.listdir(market.root)) == ["listings"]
    manifest = score_partition(market.job(rows_per_unit=8))
    assert estimate(market.job(rows_per_unit=8), market.store).published == manifest.run_id


def test_a_model_that_gives_no_number_fails_its_row_and_no_other(market: Market, monkeypatch: Any) -> None:
    transform = Preprocessing.transform

    def poisoned(self: Preprocessing, batch: pa.RecordBatch) -> Any:
        matrix, gaps = transform(self, batch)
        if batch.num_rows == 20:  # not the golden rows
            matrix[3] = np.nan
        return matrix, gaps

    score_partition(market.job())
    undisturbed = scores(market.read())
    monkeypatch.setattr(Preprocessing, "transform", poisoned)
    manifest = score_partition(market.job(force=True))
    rows = market.read().to_pylist()
    assert [row["listing_id"] for row in rows if row["status"] == "failed"] == ["home-3"]
    assert (rows[3]["prediction"], rows[3]["reasons"]) == (None, ["prediction_not_finite"])
    assert manifest.counts.failed == 1
    found = {row["listing_id"]: row["prediction"] for row in rows if row["status"] == "scored"}
    assert alike(found, {key: undisturbed[key] for key in found})
    assert len(found) == 19


@pytest.fixture
def s3_market(any_bucket: Bucket, bundle: str) -> Market:
    """The same market in a bucket, the bundle too."""
    store = ObjectStore()
    for info in store.list_all(bundle):
        store.put(join(any_bucket.uri, "bundle", info.uri.removeprefix(bundle + "/")), store.get(info.uri).data)
    market = Market(join(any_bucket.uri, "market"), join(any_bucket.uri, "bundle"), store)
    market.write_images()
    market.write([listing(number) for number in range(20)])
    return market


def test_the_same_job_works_on_a_bucket(s3_market: Market, market: Market) -> None:
    score_partition(market.job())
    manifest = score_partition(s3_market.job(rows_per_unit=6))
    assert manifest.counts.scored == 20
    assert manifest.counts.images_used == 39
    assert alike(scores(s3_market.read()), scores(market.read()))
    assert score_partition(s3_market.job(rows_per_unit=6)).run_id == manifest.run_id


def test_faults_of_the_store_cost_time_and_no_row(strict_bucket: FaultyBucket, bundle: str) -> None:
    market = Market(strict_bucket.uri, bundle)
    market.write_images()
    market.write([listing(number) for number in range(20)])
    strict_bucket.server.inject(
        Fault(kind="slow_down", share=0.1),
        Fault(kind="truncate", key=".jpg", share=0.1),
        Fault(kind="reset", share=0.05),
    )
    manifest = score_partition(market.job(rows_per_unit=5))
    strict_bucket.server.heal()
    assert (manifest.counts.scored, manifest.counts.degraded) == (20, 0)
    assert market.read().num_rows == 20
