"""What became of a run as one small JSON object: for the scheduler that started it."""

import json
import sys
from pathlib import Path
from typing import Any

from scorer.output.manifest import RunManifest
from scorer.run.observers import Account

STANDARD_OUTPUT = "-"


def summary(manifest: RunManifest | None, account: Account) -> dict[str, Any]:
    """The figures that a scheduler passes on: small, plain JSON, the same names whatever happened.

    Args:
        manifest: of the published run (of the earlier one where this very work was published already), or of the one
            that was refused; None where a run ended before it had one.
        account: how this run went.

    Returns:
        outcome, exit_code and error; partition, run_id, bundle, uri of the predictions that readers see (None unless
        published); counts (Tally without its examples), verdicts of the gates, units and units_done_earlier; seconds
        of this start. Without a manifest those that come from it are None or empty.
    """
    published = account.outcome in ("published", "published already")
    listed = manifest.predictions[0].listed if manifest and manifest.predictions else None
    ended = account.ended or account.began
    return {
        "outcome": account.outcome,
        "exit_code": account.exit_code,
        "error": account.error,
        "partition": manifest.partition if manifest else account.job.partition,
        "run_id": manifest.run_id if manifest else None,
        "bundle": manifest.bundle.model_dump(mode="json") if manifest else None,
        "uri": listed.rpartition("/")[0] if published and listed else None,
        "counts": manifest.counts.model_dump(mode="json", exclude={"examples"}) if manifest else {},
        "verdicts": _verdicts(manifest),
        "units": manifest.units if manifest else None,
        "units_done_earlier": manifest.units_done_earlier if manifest else None,
        "seconds": round((ended - account.began).total_seconds(), 3),
    }


def _verdicts(manifest: RunManifest | None) -> list[dict[str, str]]:
    """Every gate with its status; the reason only where there is something to read."""
    return [
        {"gate": verdict.gate, "status": verdict.status, "reason": "" if verdict.status == "pass" else verdict.reason}
        for verdict in (manifest.verdicts if manifest else ())
    ]


class Summary:
    """Observer that keeps a run's account, for `write`."""

    patience = 5.0

    def __init__(self) -> None:
        self.account: Account | None = None
        self.manifest: RunManifest | None = None

    def started(self, account: Account) -> None:
        """The plan stands."""
        self.account = account

    def ended(self, account: Account) -> None:
        """The run is over."""
        self.account = account

    def write(self, place: str) -> None:
        """One line of JSON to a file, or to standard output for `-`; nothing where the run never began.

        A summary that cannot be written fails nothing: by then the run is published, or has its own error.
        """
        if self.account is None:
            return
        line = json.dumps(summary(self.manifest or self.account.manifest, self.account), default=str)
        if place == STANDARD_OUTPUT:
            sys.stdout.write(line + "\n")
            return
        try:
            Path(place).write_text(line + "\n", encoding="utf-8")
        except OSError as error:
            text = f"The summary could not be written to {place}: {error.strerror}. The run is not affected."
            self.account.tools.reporter.event("warning", text)
