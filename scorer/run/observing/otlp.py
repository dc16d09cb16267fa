"""A run in OpenTelemetry's terms: metrics while it goes, a trace when it is over. Imports the SDK: import it late."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from scorer.output.manifest import versions
from scorer.run.observers import Account
from scorer.settings import Telemetry

EXPORT_SECONDS = 1
"""What one export may take, its retries included. Collectors are near; a run does not wait for one that is not."""

Level = tuple[float, Mapping[str, str]]
"""A value and its attributes."""

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Exports:
    """The metrics and the trace of one run, on their way to one collector."""

    def __init__(self, settings: Telemetry, account: Account) -> None:
        """From now on metrics are exported, by a thread of the SDK's own."""
        self._account = account
        resource = Resource.create(_resource(account))
        metrics = OTLPMetricExporter(endpoint=f"{settings.otlp}/v1/metrics", timeout=EXPORT_SECONDS)
        reader = PeriodicExportingMetricReader(metrics, settings.every_seconds * 1000, EXPORT_SECONDS * 1000)
        spans = OTLPSpanExporter(endpoint=f"{settings.otlp}/v1/traces", timeout=EXPORT_SECONDS)
        # Shut down here, and not by the interpreter at its exit, which would wait for a dead collector.
        self._meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracers.add_span_processor(BatchSpanProcessor(spans))
        self._meter = self._meters.get_meter("scorer", versions()["scorer"])
        for name, (unit, text, level) in LEVELS.items():
            self._meter.create_observable_gauge(name, [self._observed(level)], unit, text)
        busy = [self._observed(_busy)]
        self._meter.create_observable_counter("scorer.stage.time", busy, "s", "Seconds in each stage, over its threads")

    def finish(self) -> None:
        """Count, trace, send what is left, end the threads. Takes some EXPORT_SECONDS where nobody answers."""
        self._count()
        self._trace()
        ends = [threading.Thread(target=end, daemon=True) for end in (self._meters.shutdown, self._tracers.shutdown)]
        for end in ends:
            end.start()
        for end in ends:
            end.join()

    def _observed(self, level: Callable[[Account], Iterator[Level]]) -> Callable[[CallbackOptions], list[Observation]]:
        return lambda _: [Observation(value, attributes) for value, attributes in level(self._account)]

    def _count(self) -> None:
        account, meter, outcome = self._account, self._meter, _outcome(self._account)
        meter.create_counter("scorer.runs", "{run}", "Runs by what became of them").add(1, outcome)
        seconds = ((account.ended or account.began) - account.began).total_seconds()
        meter.create_histogram("scorer.run.duration", "s", "Of a whole run").record(seconds, outcome)
        if account.manifest is None:
            return
        counts = account.manifest.counts
        rows = meter.create_counter("scorer.rows", "{row}", "Rows by what became of them")
        for status in ("scored", "degraded", "failed", "quarantined"):
            rows.add(getattr(counts, status), {"status": status})
        images = meter.create_counter("scorer.images", "{image}", "Distinct images, per unit, by what became of them")
        faults = sum(counts.faults.values())
        for name, number in {"decoded": counts.images_read - faults, **counts.faults}.items():
            images.add(number, {"outcome": name})

    def _trace(self) -> None:
        """The run as one span and its stages below it. A stage's span reaches from its first begin to its last end."""
        account, tracer = self._account, self._tracers.get_tracer("scorer", versions()["scorer"])
        caller = TraceContextTextMapPropagator().extract({"traceparent": os.environ.get("TRACEPARENT", "")})
        began = _nanoseconds(account.began)
        run = tracer.start_span("score_partition", caller, attributes=_outcome(account), start_time=began)
        figures, inside = account.tools.stages.summary(), set_span_in_context(run)
        for stage, (first, last) in account.tools.stages.spans().items():
            span = tracer.start_span(stage, inside, attributes=figures[stage], start_time=int(first * 1e9))
            span.end(int(last * 1e9))
        if account.error and account.outcome != "nothing to do":
            run.set_status(Status(StatusCode.ERROR, account.error))
        run.end(_nanoseconds(account.ended or account.began))


def _resource(account: Account) -> dict[str, str]:
    found = {"service.name": "scorer", "service.version": versions()["scorer"]}
    if account.start is not None:
        plan = account.start.plan
        found |= {"service.instance.id": account.start.token, "run_id": plan.run_id, "partition": plan.partition}
    elif account.job.partition is not None:
        found["partition"] = account.job.partition
    return found


def _outcome(account: Account) -> dict[str, str | int]:
    return {"outcome": account.outcome, "exit_code": account.exit_code}


def _nanoseconds(when: datetime) -> int:
    return int(when.timestamp() * 1e9)


def _rows_done(account: Account) -> Iterator[Level]:
    if (progress := account.tools.reporter.under_way) is not None:
        yield progress.rows, {}


def _rows_to_do(account: Account) -> Iterator[Level]:
    if (progress := account.tools.reporter.under_way) is not None:
        yield progress.total - progress.rows, {}


def _images_done(account: Account) -> Iterator[Level]:
    if (progress := account.tools.reporter.under_way) is not None:
        yield progress.images, {}


def _queues(account: Account) -> Iterator[Level]:
    for name, level in account.tools.stages.levels().items():
        yield level["last"], {"queue": name}


def _busy(account: Account) -> Iterator[Level]:
    for stage, figures in account.tools.stages.summary().items():
        for clock in ("wall", "cpu"):
            yield figures[f"{clock}_s"], {"stage": stage, "clock": clock}


def _memory(_: Account) -> Iterator[Level]:
    with open("/proc/self/statm", encoding="ascii") as file:
        yield int(file.read().split()[1]) * PAGE_BYTES, {}


def _gpu_memory(account: Account) -> Iterator[Level]:
    """Not before the first forward pass: asking would start TensorFlow's devices, before their threads are set."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or "image tower" not in account.tools.stages.summary():
        return
    for number, _ in enumerate(tensorflow.config.list_physical_devices("GPU")):
        found = tensorflow.config.experimental.get_memory_info(f"GPU:{number}")
        for kind in ("current", "peak"):
            yield found[kind], {"device": f"GPU:{number}", "kind": kind}


LEVELS: Mapping[str, tuple[str, str, Callable[[Account], Iterator[Level]]]] = {
    "scorer.progress.rows": ("{row}", "Rows of this start that are scored", _rows_done),
    "scorer.progress.rows_left": ("{row}", "Rows of this start that are not scored yet", _rows_to_do),
    "scorer.progress.images": ("{image}", "Images of this start that were read", _images_done),
    "scorer.queue.depth": ("{batch}", "Batches asked for and not yet consumed", _queues),
    "scorer.memory": ("By", "Resident memory of the process", _memory),
    "scorer.gpu.memory": ("By", "TensorFlow's memory on each GPU", _gpu_memory),
}
"""Gauge -> unit, description, and where its value comes from."""
