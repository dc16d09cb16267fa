"""OpenTelemetry metrics and traces: what they say, and that no run waits for whoever takes them."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from scorer import score_partition
from scorer.errors import BundleError, SettingsError
from scorer.run.observers import Account, tell
from scorer.run.observing import outward, telemetry
from scorer.run.tools import Tools
from scorer.settings import Job
from scorer.settings import Telemetry as Settings
from scorer.telemetry import Reporter
from tests.collectors import Collector, collector, nobody
from tests.tiny import KEY, Market, listing, local_market

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("TRACEPARENT", "OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_HEADERS"):
        monkeypatch.delenv(name, raising=False)


def tools() -> tuple[Tools, io.StringIO]:
    said = io.StringIO()
    return Tools(reporter=Reporter(said, people=False)), said


def warnings(said: io.StringIO) -> list[str]:
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    return [event["message"] for event in events if "was not served" in event["message"]]


def failed(url: str) -> io.StringIO:
    """A run that ends before it had a plan."""
    job = Job(listings="/l", bundle="/b", predictions="/p", partition=KEY, telemetry=Settings(otlp=url))
    used, said = tools()
    run = Account(job, used)
    run.end(BundleError("The bundle lost its head."))
    tell(outward(job), "ended", run)
    return said


def attributes(found: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in found}


def points(server: Collector, name: str) -> dict[str, float]:
    """The last export's values of a metric, by the value of its one attribute."""
    request = ExportMetricsServiceRequest.FromString(server.bodies("/v1/metrics")[-1])
    (resource,) = request.resource_metrics
    for metric in resource.scope_metrics[0].metrics:
        if metric.name == name:
            data = getattr(metric, metric.WhichOneof("data"))
            return {
                ",".join(str(value) for value in attributes(point.attributes).values()): point.as_int or point.as_double
                for point in data.data_points
            }
    raise AssertionError(f"no metric {name}")


def spans(server: Collector) -> dict[str, Span]:
    requests = [ExportTraceServiceRequest.FromString(body) for body in server.bodies("/v1/traces")]
    every = [span for request in requests for span in request.resource_spans[0].scope_spans[0].spans]
    return {span.name: span for span in every}


def test_where_the_packages_are_missing_the_settings_are_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "PACKAGES", ("never_installed.at.all",))
    with pytest.raises(SettingsError, match=r"pip install 'scorer\[telemetry\]'"):
        outward(Job(listings="/l", bundle="/b", predictions="/p", telemetry=Settings(otlp="http://collector:4318")))


def test_nothing_of_it_is_imported_unless_it_is_asked_for() -> None:
    program = (
        "import sys; from scorer.settings import Job; from scorer.run.observing import outward;"
        "assert outward(Job(listings='l', bundle='b', predictions='p')) == [];"
        "print([name for name in ('opentelemetry', 'requests', 'scorer.run.observing.lineage') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_failed_run_is_a_span_with_its_error_and_counts_as_failed() -> None:
    with collector() as server:
        said = failed(server.url)
    run = spans(server)["score_partition"]
    assert run.status.message == "The bundle lost its head."
    assert attributes(run.attributes) == {"outcome": "failed", "exit_code": 3}
    assert points(server, "scorer.runs") == {"failed,3": 1}
    assert not warnings(said)


class Page(logging.Handler):
    """Whatever reaches the root logger, and from there a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.getMessage())


@pytest.fixture
def page() -> Iterator[Page]:
    handler = Page()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("trouble", ["refuses", "hangs", "answers 503"])
def test_a_collector_in_trouble_costs_one_warning_and_no_page_of_log(trouble: str, page: Page) -> None:
    with collector(503 if trouble == "answers 503" else 200, hangs=trouble == "hangs") as server:
        url = nobody() if trouble == "refuses" else server.url
        said = failed(url)
    (warning,) = warnings(said)
    assert warning.startswith(f"Telemetry was not served (Unserved: {url}: ")
    assert page.records == []


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory, bundle: str) -> Market:
    made = local_market(tmp_path_factory.mktemp("market"), bundle)
    more = [listing(90, listing_id=None), listing(91, area=None), listing(92, image_uris=["img/none.jpg"])]
    made.write(more, name="b.parquet")
    return made


@pytest.fixture(scope="module")
def told(market: Market) -> Collector:
    """What a collector got of one published run."""
    with pytest.MonkeyPatch.context() as patch, collector() as server:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("TRACEPARENT", f"00-{CALLER}-00f067aa0ba902b7-01")
        job = market.job(telemetry={"otlp": server.url})
        score_partition(job, observers=outward(job))
    return server


def test_rows_are_counted_by_status_and_images_by_outcome(told: Collector) -> None:
    assert points(told, "scorer.rows") == {"scored": 20, "degraded": 2, "failed": 0, "quarantined": 1}
    # Distinct ones per unit: seven in the first file, two more and the missing one in the second.
    assert points(told, "scorer.images") == {"decoded": 9, "image_not_found": 1}
    assert points(told, "scorer.runs") == {"published,0": 1}
    assert points(told, "scorer.progress.rows") == {"": 23}
    assert "batches under way" in points(told, "scorer.queue.depth")
    assert points(told, "scorer.memory")[""] > 1e8


def test_the_stages_are_spans_within_the_runs_and_that_one_within_its_callers(told: Collector) -> None:
    found = spans(told)
    run = found.pop("score_partition")
    assert run.trace_id.hex() == CALLER
    assert {"decode", "image tower", "head", "stage", "audit"} <= found.keys()
    for name, span in found.items():
        assert span.parent_span_id == run.span_id, name
        assert run.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano, name
        assert span.end_time_unix_nano <= run.end_time_unix_nano, name
    assert attributes(found["decode"].attributes)["items"] > 0


def test_the_resource_names_service_run_and_partition(told: Collector) -> None:
    request = ExportMetricsServiceRequest.FromString(told.bodies("/v1/metrics")[-1])
    found = attributes(request.resource_metrics[0].resource.attributes)
    assert (found["service.name"], found["partition"]) == ("scorer", KEY)
    assert found["run_id"].startswith("20")


def test_with_lineage_hanging_and_telemetry_refusing_a_run_is_published_with_one_warning_each(
    market: Market,
) -> None:
    used, said = tools()
    with collector(hangs=True) as server:
        job = market.job(telemetry={"otlp": nobody()}, lineage={"to": server.url}, force=True)
        manifest = score_partition(job, used, outward(job))
    assert manifest.counts.rows_in == 23
    assert set(market.read().column("run_id").to_pylist()) == {manifest.run_id}
    assert sorted(text.split(" was not served")[0] for text in warnings(said)) == ["Lineage", "Telemetry"]
