"""What is optional: extras that are installed, and servers that a run would tell of itself."""

import importlib.util
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from scorer.errors import SettingsError
from scorer.run.doctor.finding import Finding, fail, ok, warn
from scorer.run.observing import telemetry
from scorer.settings import Job

SECONDS_TO_CONNECT = 2.0


def findings(job: Job) -> Iterator[Finding]:
    """Extras, then lineage and telemetry where the job asks for them."""
    there = {"heic": importlib.util.find_spec("pillow_heif") is not None, "telemetry": telemetry.installed()}
    names = [f"{name} {'installed' if found else 'not installed'}" for name, found in there.items()]
    yield ok("extras", ", ".join(names))
    if job.lineage.to is not None and urlsplit(job.lineage.to).scheme in ("http", "https"):
        yield _reached("lineage", job.lineage.to)
    if job.telemetry.otlp is not None:
        try:
            telemetry.insist_on_packages(job.telemetry)
        except SettingsError as error:
            yield fail("telemetry", error)
        else:
            yield _reached("telemetry", job.telemetry.otlp)


def _reached(check: str, url: str) -> Finding:
    """Whether somebody takes a connection there. A run would go on without."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), SECONDS_TO_CONNECT).close()
    except OSError as error:
        advice = "Runs are not affected, but nobody hears of them. Mend the URL, the network or the server."
        return warn(check, f"{url} is out of reach: {error}", advice)
    return ok(check, f"{url} takes connections")
