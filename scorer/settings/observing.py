"""Who hears of a run outside: lineage, telemetry, and the page."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from scorer.settings.base import Settings


class Lineage(Settings):
    """OpenLineage events of each run. Off unless `to` is set; no run waits for them or fails with them."""

    to: str | None = None
    """Where events go: a lineage server, http://marquez:5000, or a local file that gets one line an event. The key of a
    server is taken from OPENLINEAGE_API_KEY."""

    namespace: str = Field("scorer", min_length=1)
    """Of the job, among all jobs that the lineage server knows."""

    name: str = Field("score_partition", min_length=1)
    """Of the job. Give each of several scoring jobs one of its own."""

    parent: str | None = None
    """The run that started this one, as NAMESPACE/JOB/RUN_ID; by default what OPENLINEAGE_PARENT_ID says."""

    @field_validator("to")
    @classmethod
    def _known_kind(cls, value: str | None) -> str | None:
        if value is not None and "://" in value and not value.startswith("file://"):
            return _insist_on_http(value, "OPENLINEAGE_API_KEY")
        return value

    @field_validator("parent")
    @classmethod
    def _three_steps(cls, value: str | None) -> str | None:
        if value is not None and len([step for step in value.rsplit("/", 2) if step]) != 3:
            raise ValueError("expected NAMESPACE/JOB/RUN_ID")
        return value


class Telemetry(Settings):
    """OpenTelemetry metrics and traces of each run. Off unless `otlp` is set; no run waits for them, or fails."""

    otlp: str | None = None
    """Base URL of a collector that takes OTLP over HTTP, http://collector:4318. Needs the extra `telemetry`.
    Headers come from OTEL_EXPORTER_OTLP_HEADERS."""

    every_seconds: float = Field(15.0, ge=1.0)
    """Between two exports of metrics while a run goes."""

    @field_validator("otlp")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        return None if value is None else _insist_on_http(value, "OTEL_EXPORTER_OTLP_HEADERS")


def _insist_on_http(url: str, variable: str) -> str:
    """Raises ValueError. The manifest of every run keeps the settings: a password among them would stay for good."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected http://HOST:PORT or https://HOST")
    if parts.username or parts.password:
        raise ValueError(f"no credentials in a URL, please: the environment variable {variable} is the place")
    return url.rstrip("/")


class Page(Settings):
    """The page that a run leaves beside its manifest, and its entry in the series of runs."""

    write: bool = True
    """Whether there is one."""

    gallery: int = Field(6, ge=0, le=24)
    """Listings shown with a picture, of each kind: the highest, the lowest, those that moved most. 0: none, and the
    state keeps no image."""
