"""Nights that cost what changed: what is taken over is what would be computed, or it is computed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer import score_partition
from scorer.errors import AuditError, SettingsError, StoreUnreachable
from scorer.intake.identities import _key
from scorer.model.embeddings import EmbeddingStore
from scorer.objectstore import Blob, ObjectStore, join
from scorer.output.manifest import RunManifest
from scorer.output.staging import Staging, UnitResult
from scorer.run.check import check
from scorer.run.estimate import size
from scorer.run.tools import Tools
from scorer.settings import Job, load
from scorer.telemetry import Reporter
from tests import images, tiny
from tests.conftest import Bucket
from tests.model.bundles import edit_json, reseal
from tests.run.reuse.mutations import World, nights
from tests.tiny import Market, listing, local_market

MONDAY, TUESDAY, WEDNESDAY = (f"ds=2026-11-{day}" for day in (23, 24, 25))
PHOTOS = list(images.photographs(10, width=90, height=60))


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    """Twenty good listings on local files, the same on three days."""
    return three_days(local_market(tmp_path, bundle))


def three_days(market: Market) -> Market:
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        market.write([listing(number) for number in range(20)], key=day)
    return market


def score(market: Market, day: str, reuse: str = "rows", **settings: Any) -> RunManifest:
    return score_partition(market.job(partition=day, reuse=reuse, **settings), heard(market)[0])


def heard(market: Market) -> tuple[Tools, Any]:
    import io

    said = io.StringIO()
    return Tools(market.store, Reporter(said, people=False)), said


def events(said: Any, name: str) -> list[str]:
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    return [line["message"] for line in lines if line["event"] == name]


def scores(market: Market, day: str, what: str = "predictions") -> dict[str, float]:
    table = market.read(what, key=day)
    return dict(zip(table.column("listing_id").to_pylist(), table.column("prediction").to_pylist(), strict=True))


def cold(market: Market, day: str, **settings: Any) -> dict[str, float]:
    """What a run from scratch gives."""
    places = {name: join(market.root, f"cold.{name}") for name in ("predictions", "state")}
    score_partition(market.job(partition=day, force=True, **{**settings, **places}), heard(market)[0])
    return scores(market, day, "cold.predictions")


def alike(left: dict[str, float], right: dict[str, float], bound: float = 1e-5) -> bool:
    assert left.keys() == right.keys()
    return all(abs(left[key] - right[key]) <= bound * max(abs(right[key]), tiny.SCALE) for key in left)


def test_a_night_without_a_change_carries_every_row_and_says_who_computed_it(market: Market) -> None:
    first = score(market, MONDAY)
    second = score(market, TUESDAY)
    third = score(market, WEDNESDAY)
    assert [run.counts.rows_carried for run in (first, second, third)] == [0, 20, 20]
    assert [run.counts.images_read for run in (first, second, third)] == [7, 0, 0]
    assert second.counts.images_known == 7
    monday, wednesday = market.read(key=MONDAY), market.read(key=WEDNESDAY)
    for name in ("listing_id", "prediction", "status", "reasons", "images_used", "input_fingerprint", "scored_at"):
        assert wednesday.column(name).equals(monday.column(name))
    assert set(wednesday.column("carried_from_run").to_pylist()) == {first.run_id}
    assert set(wednesday.column("run_id").to_pylist()) == {third.run_id}
    assert set(monday.column("carried_from_run").to_pylist()) == {None}
    assert third.distributions == first.distributions


def test_a_night_with_nothing_to_compute_does_not_import_tensorflow(market: Market) -> None:
    score(market, MONDAY)
    job = market.job(partition=TUESDAY, reuse="rows").model_dump_json()
    program = (
        "import sys; from scorer import score_partition; from scorer.settings import Job\n"
        f"manifest = score_partition(Job.model_validate_json({job!r}))\n"
        "assert manifest.counts.rows_carried == 20, manifest.counts\n"
        "sys.exit(sum(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_an_image_tower_only_passes_on_is_neither_kept_nor_rounded(market: Market, tmp_path: Path) -> None:
    uncut = tmp_path / "uncut"
    shutil.copytree(market.bundle, uncut)
    edit_json(uncut / "bundle.json", lambda described: described | {"not_reusable": "pixels and numbers meet at once"})
    reseal(uncut)
    tools, said = heard(market)
    embeddings = {"uri": str(tmp_path / "kept"), "dtype": "float16"}
    job = market.job(partition=MONDAY, bundle=str(uncut), reuse="embeddings", embeddings=embeddings)
    run = score_partition(job, tools)
    assert any("pixels and numbers meet at once" in text for text in events(said, "reuse"))
    assert run.counts.images_known == 0
    assert not list(Path(tmp_path, "kept").rglob("*.arrow"))
    fresh = scores(market, MONDAY)
    assert fresh == cold(market, MONDAY, bundle=str(uncut))  # bit by bit: nothing went through float16


def test_what_changed_is_computed_and_the_rest_is_carried(market: Market) -> None:
    score(market, MONDAY)
    rows = [listing(number) for number in range(20)]
    rows[3]["area"] = 77.0
    rows[5]["image_uris"] = ["img/0.jpg", "img/6.jpg"]
    rows[8]["image_uris"] = rows[8]["image_uris"][::-1]
    del rows[15:17]
    rows.append(listing(50))
    market.write(rows, key=TUESDAY)
    market.write_images({"img/2.jpg": PHOTOS[9]})
    second = score(market, TUESDAY)
    carried = {row["listing_id"] for row in market.read(key=TUESDAY).to_pylist() if row["carried_from_run"]}
    with_image = {row["listing_id"] for row in rows if "img/2.jpg" in row["image_uris"][: tiny.MAX_IMAGES]}
    unchanged = {f"home-{n}" for n in range(20) if n not in (3, 5, 8, 15, 16)}
    assert carried == unchanged - with_image
    assert second.counts.images_read == 1
    assert alike(scores(market, TUESDAY), cold(market, TUESDAY))


def test_the_order_of_the_images_counts_and_so_does_no_image_beyond_those_used(market: Market) -> None:
    rows = [listing(0, image_uris=[f"img/{n}.jpg" for n in range(5)])]
    market.write(rows, key=MONDAY)
    score(market, MONDAY)
    market.write([{**rows[0], "image_uris": [f"img/{n}.jpg" for n in (0, 1, 2, 4, 3)]}], key=TUESDAY)
    assert score(market, TUESDAY).counts.rows_carried == 1
    market.write([{**rows[0], "image_uris": [f"img/{n}.jpg" for n in (1, 0, 2, 3, 4)]}], key=WEDNESDAY)
    assert score(market, WEDNESDAY).counts.rows_carried == 0


def test_with_embeddings_alone_no_image_is_fetched_twice_and_no_row_is_carried(market: Market) -> None:
    score(market, MONDAY, "embeddings")
    market.write([listing(number, area=300.0) for number in range(20)], key=TUESDAY)
    second = score(market, TUESDAY, "embeddings")
    assert (second.counts.images_read, second.counts.images_known, second.counts.rows_carried) == (0, 7, 0)
    assert set(market.read(key=TUESDAY).column("carried_from_run").to_pylist()) == {None}
    assert alike(scores(market, TUESDAY), cold(market, TUESDAY))


def test_by_content_an_image_is_known_under_any_name_and_spares_its_decoding(market: Market) -> None:
    settings = {"embeddings": {"identity": "content"}}
    score(market, MONDAY, "embeddings", **settings)
    market.write_images({f"other/{n}.jpg": data for n, data in enumerate(images.photographs(7, width=90, height=60))})
    market.write_images({"other/7.jpg": PHOTOS[9]})
    rows = [listing(n, image_uris=[f"other/{n % 8}.jpg", "other/none.jpg"]) for n in range(20)]
    market.write(rows, key=TUESDAY)
    counts = score(market, TUESDAY, "embeddings", **settings).counts
    assert (counts.images_known, counts.images_read, counts.faults) == (7, 2, {"image_not_found": 1})
    assert alike(scores(market, TUESDAY), cold(market, TUESDAY))
    with pytest.raises(SettingsError, match=r"reuse: rows needs embeddings\.identity etag or uri"):
        load(Job, environ={}, flags={**market.job().model_dump(exclude_none=True), "reuse": "rows", **settings})


def test_another_bundle_shares_nothing_and_that_is_said(market: Market, other: str) -> None:
    score(market, MONDAY)
    tools, said = heard(market)
    second = score_partition(market.job(partition=TUESDAY, reuse="rows", bundle=other), tools)
    assert (second.counts.rows_carried, second.counts.images_known) == (0, 0)
    assert any("scored by another bundle" in text for text in events(said, "reuse"))
    assert any("none of them is this one" in text for text in events(said, "warning"))
    third = score(market, WEDNESDAY)
    assert third.counts.rows_carried == 20
    assert third.expected is not None
    assert third.expected.earlier == MONDAY


@pytest.mark.parametrize(
    "change", [{"images": {"max_pixels": 10**6}}, {"precision": "bfloat16"}, {"sources": {"folders": ["/"]}}]
)
def test_rows_that_other_settings_might_score_otherwise_are_not_carried(market: Market, change: Any) -> None:
    score(market, MONDAY)
    assert score(market, TUESDAY, **change).counts.rows_carried == 0


@pytest.mark.parametrize("change", [{"rows_per_unit": 7}, {"speed": {"batch_rows": 3}}, {"gates": {"enforce": True}}])
def test_settings_that_change_no_score_carry_rows_all_the_same(market: Market, change: Any) -> None:
    score(market, MONDAY)
    assert score(market, TUESDAY, **change).counts.rows_carried == 20


def test_rows_scored_before_reuse_was_set_are_scored_once_more(market: Market) -> None:
    score(market, MONDAY, "none")
    assert score(market, TUESDAY, "embeddings").counts.images_read == 7
    assert score(market, WEDNESDAY).counts.rows_carried == 20


def test_a_run_that_takes_over_and_one_that_does_not_are_the_same_work_unless_it_rounds(market: Market) -> None:
    first = score(market, MONDAY, "none")
    assert score(market, MONDAY, "rows").run_id == first.run_id
    assert score(market, MONDAY, "none", embeddings={"dtype": "float16"}).run_id == first.run_id
    assert score(market, MONDAY, "rows", embeddings={"dtype": "float16"}).run_id != first.run_id


def test_rows_come_from_the_partition_that_is_named(market: Market) -> None:
    first = score(market, MONDAY)
    market.write([listing(0)], key=TUESDAY)
    score(market, TUESDAY)
    third = score(market, WEDNESDAY, reuse_from=MONDAY)
    assert third.counts.rows_carried == 20
    assert set(market.read(key=WEDNESDAY).column("carried_from_run").to_pylist()) == {first.run_id}
    tools, said = heard(market)
    job = market.job(partition=WEDNESDAY, reuse="rows", reuse_from="ds=1999-01-01", force=True)
    assert score_partition(job, tools).counts.rows_carried == 0
    assert "ds=1999-01-01: it is not published" in events(said, "reuse")[0]


def test_an_image_that_is_missing_comes_and_goes_again(market: Market) -> None:
    rows = [listing(n, image_uris=[f"img/{n}.jpg"]) for n in range(3)]
    for day in (MONDAY, TUESDAY, WEDNESDAY, "ds=2026-11-26"):
        market.write([*rows, listing(9, image_uris=["late.jpg"])], key=day)
    reasons = []
    for day, there in ((MONDAY, False), (TUESDAY, True), (WEDNESDAY, True), ("ds=2026-11-26", False)):
        if there and day == TUESDAY:
            market.write_images({"late.jpg": PHOTOS[8]})
        if not there and day != MONDAY:
            market.store.delete([join(market.listings, "late.jpg")])
        counts = score(market, day).counts
        table = market.read(key=day).to_pylist()
        reasons.append((table[3]["reasons"], counts.rows_carried, counts.faults))
        assert alike(scores(market, day), cold(market, day))
    missing = ["image_not_found"], {"image_not_found": 1}
    assert reasons == [
        (missing[0], 0, missing[1]),
        ([], 3, {}),
        ([], 4, {}),
        (missing[0], 3, missing[1]),
    ]


def test_the_bytes_that_were_decoded_decide_and_not_what_a_listing_said_before(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the listing and the GET somebody replaces the image: what is kept is under the new bytes' name."""
    get, place = ObjectStore.get, join(market.listings, "img/3.jpg")

    def replaced(self: ObjectStore, uri: str, **conditions: Any) -> Blob:
        if uri == place:
            market.write_images({"img/3.jpg": PHOTOS[8]})
        return get(self, uri, **conditions)

    before = market.store.get(place).data
    monkeypatch.setattr(ObjectStore, "get", replaced)
    score(market, MONDAY)
    monkeypatch.setattr(ObjectStore, "get", get)
    assert score(market, TUESDAY).counts.rows_carried == 20
    assert alike(scores(market, TUESDAY), cold(market, TUESDAY))
    market.write_images({"img/3.jpg": before})
    third = score(market, WEDNESDAY)
    assert third.counts.images_read == 1
    assert alike(scores(market, WEDNESDAY), cold(market, WEDNESDAY))


def test_damage_to_the_store_costs_time_and_no_score(market: Market) -> None:
    score(market, MONDAY, "embeddings")
    (file,) = Path(market.root).glob("predictions.embeddings/*/*.arrow")
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    file.write_bytes(data)
    counts = score(market, TUESDAY, "embeddings").counts
    assert 0 < counts.images_read <= 7
    assert alike(scores(market, TUESDAY), cold(market, TUESDAY))
    file.write_bytes(data[:100])
    tools, said = heard(market)
    score_partition(market.job(partition=WEDNESDAY, reuse="embeddings"), tools)
    assert any("is not used" in text for text in events(said, "warning"))
    assert alike(scores(market, WEDNESDAY), cold(market, WEDNESDAY))


def test_a_store_that_cannot_be_written_is_a_warning_and_the_run_goes_on(market: Market) -> None:
    (Path(market.root) / "file").write_text("in the way")
    tools, said = heard(market)
    job = market.job(partition=MONDAY, reuse="rows", embeddings={"uri": join(market.root, "file", "store")})
    assert score_partition(job, tools).outcome == "published"
    assert ["cannot be written" in text for text in events(said, "warning")] == [True]


def test_an_audit_that_finds_nothing_wrong_changes_nothing(market: Market) -> None:
    first = score(market, MONDAY)
    second = score(market, TUESDAY, audit_reuse=1.0)
    assert (second.counts.rows_carried, second.counts.images_read) == (20, 7)
    assert set(market.read(key=TUESDAY).column("carried_from_run").to_pylist()) == {first.run_id}
    assert scores(market, TUESDAY) == scores(market, MONDAY)
    third = score(market, WEDNESDAY, "embeddings", audit_reuse=1.0, embeddings={"identity": "etag"})
    assert third.counts.images_read == 7


def test_an_audit_refuses_a_run_whose_carried_scores_are_not_what_is_computed(market: Market) -> None:
    score(market, MONDAY)
    (file,) = Path(market.root).glob(f"predictions.scorer/{MONDAY}/*/starts/*/predictions/*.parquet")
    table = pq.read_table(file)
    at = table.column_names.index("prediction")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array([1.0] * 20)), file)
    with pytest.raises(
        AuditError, match=r"prediction of listing home-0 is 1 by run .* \(20 of 20 tried differ\)"
    ) as at_fault:
        score(market, TUESDAY, audit_reuse=1.0)
    assert at_fault.value.exit_code == 4
    assert not Path(market.root, "predictions", TUESDAY).exists()
    honest = score(market, TUESDAY, "none")
    assert honest.units_done_earlier == 0
    assert alike(scores(market, TUESDAY), cold(market, TUESDAY))


@pytest.mark.parametrize("identity", ["etag", "content"])
def test_an_audit_refuses_a_run_whose_embeddings_are_not_what_is_computed(
    market: Market, monkeypatch: pytest.MonkeyPatch, identity: str
) -> None:
    keep = EmbeddingStore.keep
    with monkeypatch.context() as forged:
        forged.setattr(EmbeddingStore, "keep", lambda self, keys, values: keep(self, keys, values + 1))
        score(market, MONDAY, "embeddings", embeddings={"identity": identity})
    with pytest.raises(AuditError, match=r"the embedding of img/\d\.jpg .* is not the one that its bytes give"):
        score(market, TUESDAY, "embeddings", audit_reuse=1.0, embeddings={"identity": identity})
    assert not Path(market.root, "predictions", TUESDAY).exists()


def test_float16_moves_scores_by_little_and_the_same_on_every_night(market: Market) -> None:
    half = {"embeddings": {"dtype": "float16"}}
    score(market, MONDAY, "embeddings", **half)
    second = score(market, TUESDAY, "embeddings", **half)
    assert second.counts.images_read == 0
    assert scores(market, TUESDAY) == scores(market, MONDAY)
    exact = cold(market, TUESDAY)
    assert scores(market, TUESDAY) != exact
    assert alike(scores(market, TUESDAY), exact, bound=0.01)


def test_a_run_that_broke_off_keeps_its_embeddings_and_its_plan(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(market, MONDAY)
    market.write_images({f"img/{n}.jpg": data for n, data in enumerate(PHOTOS[2:9])})
    save, saved = Staging.save, list[str]()

    def breaking(self: Staging, result: UnitResult) -> None:
        if len(saved) == 3:
            raise StoreUnreachable("the store went away")
        saved.append(result.unit.id)
        save(self, result)

    with monkeypatch.context() as broken:
        broken.setattr(Staging, "save", breaking)
        with pytest.raises(StoreUnreachable):
            score(market, TUESDAY, rows_per_unit=4)
    second = score(market, TUESDAY, rows_per_unit=4)
    assert (second.units, second.units_done_earlier) == (5, 3)
    assert second.expected is not None
    assert second.expected.rows == 8
    assert second.expected.images_known == second.expected.images
    assert alike(scores(market, TUESDAY), cold(market, TUESDAY))


def test_a_plan_made_for_nothing_to_compute_serves_a_start_that_has_something(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(market, MONDAY)

    def broken(self: Staging, result: UnitResult) -> None:
        raise StoreUnreachable("the store went away")

    with monkeypatch.context() as torn:
        torn.setattr(Staging, "save", broken)
        with pytest.raises(StoreUnreachable):
            score(market, TUESDAY)
    (plan,) = Path(market.root).glob(f"predictions.scorer/{TUESDAY}/*/plan.json")
    assert json.loads(plan.read_text())["batch_images"] is None
    assert score(market, TUESDAY, "none").counts.rows_carried == 0
    assert alike(scores(market, TUESDAY), cold(market, TUESDAY))


def test_refused_rows_stay_refused_and_take_nothing_over(market: Market) -> None:
    rows = [listing(0), listing(1, listing_id=None), listing(2), listing(2, area=1.0), listing(3)]
    for day in (MONDAY, TUESDAY):
        market.write(rows, key=day)
    first, second = score(market, MONDAY), score(market, TUESDAY)
    assert second.counts.rows_carried == 2
    same = {"rows_carried", "images_known", "images_read"}
    assert first.counts.model_dump(exclude=same) == second.counts.model_dump(exclude=same)


def test_the_dry_run_says_what_is_known_and_writes_nothing(market: Market) -> None:
    score(market, MONDAY)
    rows = [listing(number) for number in range(20)]
    rows[0] = listing(0, area=1.0, image_uris=["new.jpg"])
    market.write(rows, key=TUESDAY)
    market.write_images({"new.jpg": PHOTOS[9]})
    before = {info.uri: info.etag for info in market.store.list_all(market.root)}
    job = market.job(partition=TUESDAY, reuse="rows")
    found = size(job, check(job, market.store), market.store, heard(market)[0])
    assert found.known is not None
    survey = found.known.survey
    assert (survey.rows, survey.rows_carried, survey.images, survey.images_fetched) == (20, 19, 8, 1)
    assert {info.uri: info.etag for info in market.store.list_all(market.root)} == before
    manifest = score(market, TUESDAY)
    assert manifest.expected is not None
    assert (manifest.expected.rows_carried, manifest.counts.rows_carried) == (19, 19)
    assert manifest.counts.images_read == 1


def test_the_same_works_on_a_bucket(bucket: Bucket, bundle: str) -> None:
    market = Market(bucket.uri, bundle)
    market.write_images()
    three_days(market)
    score(market, MONDAY)
    assert score(market, TUESDAY).counts.rows_carried == 20
    market.write_images({"img/2.jpg": PHOTOS[9]})
    counts = score(market, WEDNESDAY).counts
    assert (counts.images_read, 0 < counts.rows_carried < 20) == (1, True)
    assert alike(scores(market, WEDNESDAY), cold(market, WEDNESDAY))


def test_changes_at_random_leave_no_stale_score(tmp_path: Path, bundle: str, other: str) -> None:
    """Sixty here; a thousand by `make nights`."""
    world = World(Market(str(tmp_path / "market"), ""), (bundle, other), np.random.default_rng(11))
    taken_over = list(nights(world, 60))
    assert sum(rows for rows, _ in taken_over) > 40 * len(taken_over) / 2
    assert sum(known for _, known in taken_over) > 0


@pytest.mark.parametrize(
    ("what", "blind"),
    [
        ("scorer.output.fingerprints._matrix", lambda rows, names, texts: np.zeros((rows.num_rows, 1), np.uint8)),
        ("scorer.intake.identities._by_etag", lambda uri, tag: None if tag is None else _key("uri", uri)),
    ],
    ids=["to features", "to what lies under a name"],
)
def test_changes_at_random_would_show_a_stale_score(
    tmp_path: Path, bundle: str, other: str, monkeypatch: pytest.MonkeyPatch, what: str, blind: Any
) -> None:
    monkeypatch.setattr(what, blind)
    world = World(Market(str(tmp_path / "market"), ""), (bundle, other), np.random.default_rng(11))
    with pytest.raises(AssertionError):
        list(nights(world, 100))


def test_the_command_imports_no_pandas_where_nothing_is_computed(market: Market, tmp_path: Path) -> None:
    score(market, MONDAY)
    (tmp_path / "job.json").write_text(market.job(partition=TUESDAY, reuse="rows").model_dump_json(exclude_none=True))
    program = (
        "import sys; from scorer.cli import app\n"
        f"app(['score', '--job', {str(tmp_path / 'job.json')!r}], standalone_mode=False)\n"
        "assert not {'pandas', 'tensorflow'} & set(sys.modules)\n"
        "import pyarrow as pa, pandas\n"  # who wants it gets it afterwards
        "assert pa.table({'a': [1]}).to_pandas()['a'].tolist() == [1]\n"
        "assert pa.array(pandas.Series([1.0, None])).null_count == 1\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
