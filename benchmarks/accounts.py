"""When what happened in one run of ours, as its log, its manifest and its staged units tell afterwards."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.watch import Sample


@dataclass(frozen=True)
class Account:
    """One run. All times in seconds since its process was started.

    Attributes:
        rows: listings.
        wall_s: until the process had ended.
        begun_s: until the plan stood and the units were handed out.
        units_s: when each unit was staged, in this order.
        judged_s: until everything was put together, audited and judged.
        published_s: until readers saw it.
        stages: seconds by the wall clock, of all workers together.
        driver_cpu_s: CPU time of the process that drives; None: it does the work, too.
    """

    rows: int
    wall_s: float
    begun_s: float
    units_s: tuple[float, ...]
    judged_s: float
    published_s: float
    stages: dict[str, float]
    driver_cpu_s: float | None = None

    @property
    def unit_s(self) -> list[float]:
        """From one unit's end to the next one's. With one worker, how long each took but for the first."""
        return [after - before for before, after in zip(self.units_s, self.units_s[1:], strict=False)]

    @property
    def closing_s(self) -> float:
        """From the last unit's end to that of the process."""
        return self.wall_s - self.units_s[-1]


def account(folder: Path, rows: int, sample: Sample) -> Account:
    """Of the run that wrote into a folder: `log`, `state/` and, of a driver, `own-cpu`."""
    zero = time.time() - time.monotonic() + sample.started
    said = {event["event"]: _epoch(event["time"]) - zero for event in _events(folder / "log")}
    (path,) = (folder / "state").rglob("manifest.json")
    manifest = json.loads(path.read_text())
    staged = sorted(
        file.stat().st_mtime_ns / 1e9 - zero for file in (folder / "state").rglob("units/*.predictions.parquet")
    )
    own = folder / "own-cpu"
    return Account(
        rows=rows,
        wall_s=round(sample.wall_s, 3),
        begun_s=round(said["scoring"], 3),
        units_s=tuple(round(moment, 3) for moment in staged),
        judged_s=round(_epoch(manifest["finished_at"]) - zero, 3),
        published_s=round(said["published"], 3),
        stages={name: stage["wall_s"] for name, stage in manifest["stages"].items()},
        driver_cpu_s=round(float(own.read_text()), 3) if own.exists() else None,
    )


def of_size(accounts: Sequence[Account], rows: int) -> list[Account]:
    """The runs over so many listings."""
    return [one for one in accounts if one.rows == rows]


def _events(log: Path) -> list[dict[str, Any]]:
    """The lines of a log that are events; libraries may have written others between them."""
    lines = log.read_text(errors="replace").splitlines()
    found = [json.loads(line) for line in lines if line.startswith('{"time"')]
    return [event for event in found if "event" in event]


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
