"""OpenLineage events: what they say, where they go, and that no run waits for them."""

import io
import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from scorer import score_partition
from scorer.errors import BundleError, GateError, Interrupted, SettingsError
from scorer.objectstore import join
from scorer.run.observers import Account, tell
from scorer.run.observing import facets, lineage, outbox, outward
from scorer.run.observing.events import Parent
from scorer.run.observing.lineage import Lineage
from scorer.run.observing.outbox import Outbox
from scorer.run.stop import Stop
from scorer.run.tools import Tools
from scorer.settings import Job, load
from scorer.settings import Lineage as Settings
from scorer.telemetry import Reporter
from tests.collectors import collector, nobody
from tests.tiny import KEY, Market, listing, local_market

RUN = "0190d1a5-6b3c-7f00-8000-000000000001"
JOB = Job(listings="s3://shop/listings", bundle="/bundles/1", predictions="s3://shop/predictions", partition=KEY)

Event = dict[str, Any]


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID", "OPENLINEAGE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def account(**settings: Any) -> tuple[Account, io.StringIO]:
    """Of a run that has not got as far as a plan."""
    said = io.StringIO()
    job = JOB.model_copy(update={"lineage": Settings(**settings)})
    return Account(job, Tools(reporter=Reporter(said, people=False))), said


def warnings(said: io.StringIO) -> list[str]:
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    return [event["message"] for event in events if "was not served" in event["message"]]


def failed(run: Account) -> Account:
    """It ends with an error, and its observers hear of it."""
    observers = outward(run.job)
    tell(observers, "started", run)
    run.end(BundleError("The bundle lost its head."))
    tell(observers, "ended", run)
    return run


def lines(file: Path) -> list[Event]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_without_a_place_to_go_nobody_observes() -> None:
    assert outward(JOB) == []


def test_a_failed_run_is_told_with_its_error_and_what_it_would_have_read(tmp_path: Path) -> None:
    run, said = account(to=str(tmp_path / "new" / "events.jsonl"))
    failed(run)
    begun, ended = lines(tmp_path / "new" / "events.jsonl")
    assert (begun["eventType"], ended["eventType"]) == ("START", "FAIL")
    assert begun["run"]["runId"] == ended["run"]["runId"]
    assert ended["run"]["facets"]["errorMessage"]["message"] == "The bundle lost its head."
    assert [(found["namespace"], found["name"]) for found in ended["inputs"]] == [
        ("s3://shop", "listings"),
        ("file", "/bundles/1"),
    ]
    assert not warnings(said)


def test_a_run_that_found_nothing_to_do_is_not_told(tmp_path: Path) -> None:
    run, said = account(to=str(tmp_path / "events.jsonl"))
    run.outcome = "published already"
    run.end(None)
    tell(outward(run.job), "ended", run)
    assert not (tmp_path / "events.jsonl").exists()
    assert not warnings(said)


def test_a_shard_that_found_its_partition_published_by_another_ends_what_it_began(tmp_path: Path) -> None:
    run, said = account(to=str(tmp_path / "events.jsonl"))
    run.outcome = "published already"
    observers = outward(run.job)
    tell(observers, "started", run)
    run.end(None)
    tell(observers, "ended", run)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"]
    assert not warnings(said)


def test_a_server_gets_json_and_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "k3y")
    with collector() as server:
        run, said = account(to=server.url)
        failed(run)
    assert [json.loads(body)["eventType"] for body in server.bodies("/api/v1/lineage")] == ["START", "FAIL"]
    assert server.posted[0].headers["Authorization"] == "Bearer k3y"
    assert server.posted[0].headers["Content-Type"] == "application/json"
    assert "k3y" not in said.getvalue()
    with collector() as server:
        failed(account(to=f"{server.url}/events")[0])
    assert len(server.bodies("/events")) == 2


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_server_that_refuses_costs_one_warning_that_names_it(status: int) -> None:
    with collector(status) as server:
        run, said = account(to=server.url)
        failed(run)
    (warning,) = warnings(said)
    assert warning.startswith(f"Lineage was not served (Unserved: 2 message(s) were not delivered: {server.url}/api/v1")
    assert f"answered {status}" in warning
    assert [request.path for request in server.posted] == ["/api/v1/lineage"] * 2


def test_a_dead_server_costs_one_warning() -> None:
    run, said = account(to=nobody())
    failed(run)
    (warning,) = warnings(said)
    assert "Connection refused" in warning


def test_a_server_that_takes_a_request_and_never_answers_is_left_behind() -> None:
    with collector(hangs=True) as server:
        run, said = account(to=server.url)
        failed(run)
    (warning,) = warnings(said)
    assert "2 message(s) were not delivered: no answer within" in warning


def test_a_run_that_takes_long_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "RUNNING_SECONDS", 0.01)
    reached = threading.Event()
    deliver = outbox.to_file(str(tmp_path / "events.jsonl"))

    def counted(message: bytes) -> None:
        deliver(message)
        if b'"RUNNING"' in message:
            reached.set()

    monkeypatch.setattr(lineage, "destination", lambda _: counted)
    run, _ = account(to="somewhere")
    observer = Lineage(run.job.lineage)
    run.tools.reporter.progress("ds", 100).advance(40, 70, 3)
    observer.started(run)
    assert reached.wait(30)
    run.end(BundleError("x"))
    observer.ended(run)
    kinds = [event["eventType"] for event in lines(tmp_path / "events.jsonl")]
    assert (kinds[0], kinds[1], kinds[-1]) == ("START", "RUNNING", "FAIL")
    progress = lines(tmp_path / "events.jsonl")[1]["run"]["facets"]["scorer_progress"]
    assert (progress["rows"], progress["totalRows"], progress["images"], progress["degraded"]) == (40, 100, 70, 3)


def test_the_run_that_started_ours_is_named_as_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/prod/nightly.score/{RUN}")
    monkeypatch.setenv("OPENLINEAGE_ROOT_PARENT_ID", f"airflow/prod/nightly/{RUN}")
    failed(account(to=str(tmp_path / "a.jsonl"))[0])
    failed(account(to=str(tmp_path / "b.jsonl"), parent=f"cron/tonight/{RUN}")[0])
    (parent, other) = (lines(tmp_path / name)[0]["run"]["facets"]["parent"] for name in ("a.jsonl", "b.jsonl"))
    assert (parent["job"], parent["run"]) == ({"namespace": "airflow/prod", "name": "nightly.score"}, {"runId": RUN})
    assert parent["root"]["job"]["name"] == "nightly"
    assert other["job"] == {"namespace": "cron", "name": "tonight"}


def test_a_parent_that_is_none_is_left_out_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", "yesterday")
    run, said = account(to=str(tmp_path / "a.jsonl"))
    failed(run)
    assert "parent" not in lines(tmp_path / "a.jsonl")[1]["run"]["facets"]
    (warning,) = warnings(said)
    assert "the parent 'yesterday' is not NAMESPACE/JOB/UUID" in warning
    with pytest.raises(ValueError, match="badly formed"):
        Parent.read("a/b/c")


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://shop/a/b/", ("s3://shop", "a/b")),
        ("file:///data/a%20b", ("file", "/data/a b")),
        ("/data/x", ("file", "/data/x")),
    ],
)
def test_datasets_are_named_as_openlineage_names_them(uri: str, name: tuple[str, str]) -> None:
    assert facets.named(uri) == name


@pytest.mark.parametrize("to", ["kafka://broker", "http://", "http://user:secret@marquez:5000"])
def test_a_place_that_no_event_can_go_to_is_refused_and_a_password_is_not_repeated(to: str) -> None:
    flags = {"listings": "l", "bundle": "b", "predictions": "p", "lineage.to": to}
    with pytest.raises(SettingsError, match=r"lineage\.to") as error:
        load(Job, environ={}, flags=flags)
    assert "secret" not in str(error.value)


def test_lineage_and_telemetry_change_no_score() -> None:
    told = JOB.model_copy(update={"lineage": Settings(to="/x", name="other")})
    assert told.fingerprint() == JOB.fingerprint()


def test_many_writers_share_a_file_line_by_line(tmp_path: Path) -> None:
    deliver = outbox.to_file(f"file://{tmp_path}/events.jsonl")
    messages = [json.dumps({"number": number, "filling": "x" * 9000}).encode() for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deliver, messages))
    assert sorted(event["number"] for event in lines(tmp_path / "events.jsonl")) == list(range(64))


def test_a_message_that_cannot_be_made_or_delivered_does_not_keep_the_next_one() -> None:
    came: list[bytes] = []

    def deliver(message: bytes) -> None:
        if message == b"bad":
            raise ValueError("no such place")
        came.append(message)

    box = Outbox(deliver, lambda: None, 60.0)
    for message in (b"one", b"bad", b"two"):
        box.put(message)
    assert box.close(30) == "1 message(s) were not delivered: no such place"
    assert came == [b"one", b"two"]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory, bundle: str) -> Market:
    """Twenty good listings, one without an id, one without its area."""
    made = local_market(tmp_path_factory.mktemp("market"), bundle)
    made.write([listing(90, listing_id=None), listing(91, area=None)], name="b.parquet")
    return made


def run_with(market: Market, file: Path, **settings: Any) -> tuple[Job, list[Event]]:
    job = market.job(lineage={"to": str(file), "namespace": "shop", "name": "price"}, **settings)
    score_partition(job, observers=outward(job))
    return job, lines(file)


@pytest.fixture(scope="module")
def told(market: Market, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """The events of one published run."""
    return run_with(market, tmp_path_factory.mktemp("events") / "events.jsonl")[1]


def test_a_published_run_is_told_at_its_start_and_at_its_end(told: list[Event]) -> None:
    assert [event["eventType"] for event in told] == ["START", "COMPLETE"]
    assert {event["run"]["runId"] for event in told} == {str(uuid.UUID(told[0]["run"]["runId"]))}
    assert {(event["job"]["namespace"], event["job"]["name"]) for event in told} == {("shop", "price")}
    began, ended = (datetime.fromisoformat(event["eventTime"]) for event in told)
    assert began.tzinfo is not None
    assert began < ended


def test_the_input_says_what_was_read(told: list[Event], market: Market) -> None:
    listings, bundle = told[1]["inputs"]
    assert (listings["namespace"], listings["name"]) == ("file", market.listings)
    assert bundle["name"] == market.bundle
    read = listings["inputFacets"]
    assert (read["inputStatistics"]["rowCount"], read["inputStatistics"]["fileCount"]) == (22, 2)
    assert read["inputStatistics"]["size"] > 0
    assert read["subset"]["inputCondition"]["partitions"] == [
        {"identifier": KEY, "dimensions": {"ds": KEY.partition("=")[2]}}
    ]
    assert read["dataQualityMetrics"]["columnMetrics"]["listing_id"] == {"nullCount": 1}
    assert {"name": "area", "type": "double"} in listings["facets"]["schema"]["fields"]


def test_the_outputs_say_what_was_written_and_from_which_columns(told: list[Event], market: Market) -> None:
    predictions, quarantine = told[1]["outputs"]
    assert predictions["name"] == join(market.root, "predictions")
    wrote = predictions["outputFacets"]["outputStatistics"]
    assert (wrote["rowCount"], wrote["fileCount"]) == (21, 1)
    assert wrote["size"] == sum(info.size for info in market.store.list_all(join(market.root, "predictions")))
    assert quarantine["outputFacets"]["outputStatistics"]["rowCount"] == 1
    quality = predictions["facets"]["dataQualityMetrics"]
    assert (quality["rowCount"], quality["columnMetrics"]["prediction"]["nullCount"]) == (21, 0)
    columns = predictions["facets"]["columnLineage"]["fields"]
    assert {field["field"] for field in columns["prediction"]["inputFields"]} == {
        *("area", "garden", "city"),
        "image_uris",
    }
    assert [field["field"] for field in columns["listing_id"]["inputFields"]] == ["listing_id"]
    assert columns.keys() <= {field["name"] for field in predictions["facets"]["schema"]["fields"]}
    assert "outputStatistics" not in told[0]["outputs"][0]["outputFacets"]


def every_facet(value: Any, name: str = "") -> Iterator[tuple[str, Event]]:
    if isinstance(value, dict):
        if name.lower().endswith("facets"):
            yield from value.items()
        for key, inner in value.items():
            yield from every_facet(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from every_facet(inner, name if isinstance(inner, list) else "")


def test_every_facet_says_who_made_it_and_by_which_schema(told: list[Event]) -> None:
    found = [(name, facet) for event in told for name, facet in every_facet(event)]
    assert len(found) > 20
    for name, facet in found:
        assert facet["_producer"].startswith("pkg:pypi/scorer@"), name
        assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/"), name


def test_a_run_that_is_told_to_stop_is_aborted(market: Market, tmp_path: Path) -> None:
    stop = Stop()
    stop.asked = "SIGTERM"
    job = market.job(lineage={"to": str(tmp_path / "events.jsonl")}, force=True)
    with pytest.raises(Interrupted):
        score_partition(job, Tools(stop=stop), outward(job))
    begun, ended = lines(tmp_path / "events.jsonl")
    assert ended["eventType"] == "ABORT"
    assert ended["run"]["facets"]["errorMessage"]["message"].startswith("Stopped by SIGTERM")
    assert "outputStatistics" not in ended["outputs"][0]["outputFacets"]
    assert begun["inputs"][0]["name"] == market.listings


def test_a_run_that_a_gate_refuses_fails_with_the_gates_name_and_no_output(market: Market, tmp_path: Path) -> None:
    gates = {"freshness": {"fail": 0.0}}  # younger than now
    with pytest.raises(GateError):
        run_with(market, tmp_path / "events.jsonl", force=True, gates=gates)
    ended = lines(tmp_path / "events.jsonl")[-1]
    assert ended["eventType"] == "FAIL"
    assert "freshness" in ended["run"]["facets"]["errorMessage"]["message"]
    assert "outputStatistics" not in ended["outputs"][0]["outputFacets"]
    assert {"key": "outcome", "value": "refused", "source": "SCORER"} in ended["run"]["facets"]["tags"]["tags"]
