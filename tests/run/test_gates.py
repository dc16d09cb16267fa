"""Nights that go wrong, from listings to what readers see: each is stopped by the gate that names it."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from scorer import contracts, score_partition
from scorer.cli import app
from scorer.errors import GateError
from scorer.model.bundle import load_bundle
from scorer.objectstore import ObjectStore, join
from scorer.output.commit import Ledger
from scorer.output.manifest import RunManifest
from scorer.run import worker
from scorer.run.observers import Account
from scorer.run.tools import Tools
from scorer.telemetry import Reporter
from scorer.training.profile import profile
from tests import images, tiny
from tests.model.bundles import edit_json, reseal
from tests.tiny import SCHEMA, Market

ROWS = 200
NIGHTS = ("ds=2026-11-22", "ds=2026-11-23", "ds=2026-11-24")
FIRST, TONIGHT = NIGHTS[1:]

Row = dict[str, Any]


def rows(seed: int, count: int = ROWS, prefix: str = "home") -> list[Row]:
    """Listings of a market that does not change; one image each, one of 200."""
    rng = np.random.default_rng(seed)
    return [
        {
            "listing_id": f"{prefix}-{number}",
            "area": float(rng.normal(100, 30)),
            "garden": bool(rng.random() < 0.3),
            "city": str(rng.choice(tiny.CITIES, p=(0.6, 0.4))),
            "price": 1.0,
            "image_uris": [f"img/{number % 200}.jpg"],
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="module")
def profiled(bundle: str, folder: Path) -> str:
    """The tiny bundle with the profile that training would have given it: of 600 listings and their scores."""
    market = Market(str(folder / "training"), bundle)
    write_images(market, range(200))
    seen = rows(99, 600)
    market.write(seen)
    score_partition(market.job())
    scores = np.array(market.read().column("prediction").to_pylist())
    table = pa.Table.from_pylist(seen, schema=SCHEMA)
    prices = np.linspace(tiny.MEAN - 2 * tiny.SCALE, tiny.MEAN + 2 * tiny.SCALE, 600)
    preprocessing = load_bundle(bundle, ObjectStore()).preprocessing
    said = profile(table, preprocessing, prices, scores, np.ones(600, np.int64))
    copied = folder / "bundle"
    shutil.copytree(bundle, copied)
    (copied / "profile.json").write_text(json.dumps(said))
    reseal(copied)
    return str(copied)


@pytest.fixture(scope="module")
def shifted(profiled: str, folder: Path) -> str:
    """A bundle whose scores all lie one standard deviation higher than its profile says."""
    copied = folder / "shifted"
    shutil.copytree(profiled, copied)

    def higher(document: dict[str, Any]) -> dict[str, Any]:
        document["target"]["transform"]["mean"] += tiny.SCALE
        return document

    def golden(document: dict[str, Any]) -> dict[str, Any]:
        for row in document["rows"]:
            row["scores"]["prediction"] += tiny.SCALE
        return document

    edit_json(copied / "bundle.json", higher)
    edit_json(copied / "golden" / "rows.json", golden)
    reseal(copied)
    return str(copied)


def write_images(market: Market, numbers: range) -> None:
    photos = list(images.photographs(7, width=90, height=60))
    market.write_images({f"img/{number}.jpg": photos[number % 7] for number in numbers})


@pytest.fixture(scope="module")
def first_night(profiled: str, folder: Path) -> Market:
    """A market whose first night is published."""
    market = Market(str(folder / "market"), profiled)
    write_images(market, range(200))
    market.write(rows(1), key=FIRST)
    score_partition(market.job(partition=FIRST, gates={}))
    return market


@pytest.fixture
def market(first_night: Market, tmp_path: Path) -> Market:
    """The same, for one test alone."""
    root = tmp_path / "market"
    shutil.copytree(first_night.root, root)
    for file in root.rglob("*"):
        if file.name in ("published.json", "manifest"):
            file.write_text(file.read_text().replace(first_night.root, str(root)))
    return Market(str(root), first_night.bundle)


class Listener:
    """Keeps the account of a run."""

    patience = 5.0

    def started(self, account: Account) -> None:
        pass

    def ended(self, account: Account) -> None:
        self.account = account


def refused(market: Market, **settings: Any) -> tuple[RunManifest, str]:
    """The night is refused: the manifest that was left, and what the error says."""
    listener = Listener()
    with pytest.raises(GateError) as caught:
        score_partition(market.job(gates={}, **settings), observers=[listener])
    assert caught.value.exit_code == 4
    account = listener.account
    assert (account.outcome, account.exit_code) == ("refused", 4)
    assert account.manifest is not None
    assert account.start is not None
    left = RunManifest.model_validate_json(market.store.get(join(account.start.staged_folder, "manifest.json")).data)
    assert left == account.manifest
    assert left.outcome == "refused"
    assert account.start.staged_folder in str(caught.value)
    return left, str(caught.value)


def failed(manifest: RunManifest) -> list[str]:
    return [verdict.gate for verdict in manifest.verdicts if verdict.status == "fail"]


def readers_see_nothing(market: Market) -> bool:
    state = join(market.root, "predictions.scorer")
    listed = market.store.list_all(join(market.root, "predictions", TONIGHT))
    links = market.store.list_all(join(state, "symlinks", "predictions", TONIGHT))
    return not listed and not links and Ledger(join(state, TONIGHT), TONIGHT, market.store).read().etag is None


def test_a_night_like_the_others_is_published_with_every_verdict(market: Market) -> None:
    market.write(rows(2), key=TONIGHT)
    manifest = score_partition(market.job(gates={}, rows_per_unit=64))
    said = {verdict.gate: verdict.status for verdict in manifest.verdicts}
    assert said.pop("freshness") == "not judged"
    assert set(said.values()) == {"pass"}
    assert manifest.outcome == "published"
    features = manifest.distributions.features
    assert {name: column.rows for name, column in features.items()} == {"area": ROWS, "garden": ROWS, "city": ROWS}
    assert manifest.distributions.scores.scored == ROWS
    assert manifest.distributions.images.counts == (0, ROWS)
    schema = json.loads(contracts.schema_text("run_manifest.schema.json"))
    jsonschema.validate(json.loads(manifest.model_dump_json()), schema)


def test_a_feature_in_another_unit_is_refused_by_name(market: Market) -> None:
    market.write([{**row, "area": row["area"] * 10.76} for row in rows(2)], key=TONIGHT)
    manifest, error = refused(market)
    assert "feature_drift" in failed(manifest)
    assert "feature_drift: area against the training: PSI" in error
    assert "area" in {verdict.gate: verdict.about for verdict in manifest.verdicts}["feature_drift"]
    assert readers_see_nothing(market)


def test_shifted_scores_are_refused(market: Market, shifted: str) -> None:
    market.write(rows(2), key=TONIGHT)
    manifest, error = refused(market, bundle=shifted)
    assert failed(manifest) == ["score_shift", "score_drift"]
    assert f"predictions against {FIRST}: PSI" in error
    assert "predictions against the training: PSI" in error
    assert readers_see_nothing(market)


def test_a_third_of_the_images_missing_is_refused_by_their_reason(market: Market) -> None:
    market.store.delete(join(market.listings, f"img/{number}.jpg") for number in range(0, 200, 10))
    market.store.delete(join(market.listings, f"img/{number}.jpg") for number in range(1, 200, 10))
    market.store.delete(join(market.listings, f"img/{number}.jpg") for number in range(2, 200, 10))
    market.write(rows(2), key=TONIGHT)
    manifest, error = refused(market)
    assert "images" in failed(manifest)
    assert "image_not_found: 60 of 200 images (30.0%" in error
    assert readers_see_nothing(market)


def test_a_partition_written_twice_under_other_ids_is_refused_by_its_rows(market: Market) -> None:
    market.write(rows(2), "a.parquet", TONIGHT)
    market.write(rows(2, prefix="copy"), "b.parquet", TONIGHT)
    manifest, error = refused(market)
    assert failed(manifest) == ["rows"]
    assert f"400 rows, more than the 200 of {FIRST} (2.00 times, limit 1.60 times)" in error
    assert readers_see_nothing(market)


def test_a_partition_written_twice_under_the_same_ids_is_refused_by_contract_and_rows(market: Market) -> None:
    market.write(rows(2), "a.parquet", TONIGHT)
    market.write(rows(2), "b.parquet", TONIGHT)
    manifest, error = refused(market)
    assert failed(manifest) == ["contract", "rows"]
    assert "400 of 400 rows were quarantined: id_duplicated 400" in error
    assert readers_see_nothing(market)


def test_after_a_refusal_an_override_publishes_without_scoring_again(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.write(rows(2, 400), key=TONIGHT)
    before, _ = refused(market, rows_per_unit=64)

    def none(*args: Any) -> AbstractContextManager[Any]:
        raise AssertionError("a worker was asked for")

    monkeypatch.setattr(worker, "worker", none)
    again, _ = refused(market, rows_per_unit=64)
    assert failed(again) == ["rows"]
    gates = {"override": {"rows": "Black Friday"}, "by": "Ada"}
    manifest = score_partition(market.job(rows_per_unit=64, gates=gates))
    assert manifest.units == manifest.units_done_earlier == 7
    assert manifest.run_id == before.run_id
    assert manifest.distributions == before.distributions
    rows_gate = next(verdict for verdict in manifest.verdicts if verdict.gate == "rows")
    assert (rows_gate.status, rows_gate.by, rows_gate.why) == ("overridden", "Ada", "Black Friday")
    assert market.read(key=TONIGHT).num_rows == 400


def test_after_a_refusal_a_moved_limit_publishes(market: Market) -> None:
    market.write(rows(2, 400), key=TONIGHT)
    refused(market)
    manifest = score_partition(market.job(gates={"rows": {"fail": 3}}))
    assert {verdict.gate: verdict.status for verdict in manifest.verdicts}["rows"] == "warn"
    assert manifest.units_done_earlier == manifest.units


def test_a_partition_that_was_published_by_half_may_be_completed(market: Market) -> None:
    market.write(rows(2, 100), "a.parquet", TONIGHT)
    score_partition(market.job(gates={"override": {"rows": "the rest comes later"}}))
    market.write(rows(3, 100, "late"), "b.parquet", TONIGHT)
    manifest = score_partition(market.job(gates={}))
    found = next(verdict for verdict in manifest.verdicts if verdict.gate == "rows")
    assert (found.status, found.about) == ("pass", FIRST)


def test_stale_files_are_refused_where_freshness_is_asked_for(market: Market) -> None:
    market.write(rows(2), key=TONIGHT)
    with pytest.raises(GateError, match=r"(?s)refused by the gate freshness.*the newest input file was written"):
        score_partition(market.job(gates={"freshness": {"fail": 1e-9}}))
    manifest = score_partition(market.job(gates={"freshness": {"fail": 1}}))
    assert {verdict.gate: verdict.status for verdict in manifest.verdicts}["freshness"] == "pass"


def test_an_earlier_manifest_that_cannot_be_read_costs_a_warning_and_no_night(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    market.write(rows(2), key=TONIGHT)
    state = join(market.root, "predictions.scorer")
    current = Ledger(join(state, FIRST), FIRST, market.store).read().record.current
    assert current is not None
    market.store.put(current.manifest, b'{"format": 2}')
    tools = Tools(reporter=Reporter(people=False))
    manifest = score_partition(market.job(gates={}), tools)
    said = {verdict.gate: verdict.status for verdict in manifest.verdicts}
    assert (said["rows"], said["score_shift"]) == ("not judged", "not judged")
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    warnings = [event["message"] for event in events if event["event"] == "warning"]
    assert any(f"The manifest of {FIRST} cannot be read" in text for text in warnings)


def test_warnings_and_overrides_are_told_as_events(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    market.write([*rows(2, 400), {**rows(2)[0], "listing_id": None}], key=TONIGHT)
    gates = {"override": {"rows": "Black Friday"}, "by": "Ada", "contract": {"warn": 0}}
    score_partition(market.job(gates=gates), Tools(reporter=Reporter(people=False)))
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    overridden = [event for event in events if event["event"] == "gate overridden"]
    assert [(event["gate"], event["by"], event["why"]) for event in overridden] == [("rows", "Ada", "Black Friday")]
    warnings = {event["gate"]: event["message"] for event in events if event["event"] == "warning"}
    assert warnings["contract"].startswith("Gate contract warns: 1 of 401 rows were quarantined: id_missing 1")
    published = next(event for event in events if event["event"] == "published")
    assert published["gates"]["rows"] == "overridden"


def test_the_command_ends_with_4_and_the_reasons_in_its_last_lines(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.write(rows(2, 400), key=TONIGHT)
    job = market.job()
    flags = ["--listings", job.listings, "--bundle", job.bundle, "--predictions", job.predictions]
    command: Callable[..., Any] = CliRunner().invoke
    found = command(app, ["score", *flags, "--partition", TONIGHT])
    assert found.exit_code == 4
    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith(f"  rows: 400 rows, more than the 200 of {FIRST}")
    assert "--set gates.override.rows='WHY'" in last
    again = command(app, ["score", *flags, "--partition", TONIGHT, "--set", "gates.override.rows=Black Friday"])
    assert again.exit_code == 0
