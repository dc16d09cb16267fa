"""When what happened in a run, by what it leaves behind."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.accounts import account, of_size
from benchmarks.watch import Sample


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_a_run_tells_when_its_units_were_staged_and_when_it_was_published(tmp_path: Path) -> None:
    began = time.time() - 100
    units = tmp_path / "state" / "ds=2026-11-24" / "digest" / "units"
    units.mkdir(parents=True)
    for name, seconds in (("b", 30.0), ("a", 20.0), ("c", 35.0)):
        file = units / f"{name}.run.predictions.parquet"
        file.touch()
        os.utime(file, (began + seconds, began + seconds))
    manifest = {"finished_at": at(began + 38), "stages": {"stage": {"wall_s": 1.5, "cpu_s": 1.0, "items": 3}}}
    (units.parent / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "own-cpu").write_text("4.25")
    events = [{"time": at(began + 12), "event": "scoring"}, {"time": at(began + 39), "event": "published"}]
    lines = ["a line of a library's", *(json.dumps(event) for event in events)]
    (tmp_path / "log").write_text("\n".join(lines))
    sample = Sample(40.0, 0.0, 0.0, 0.0, started=time.monotonic() - 100)

    found = account(tmp_path, 12, sample)

    assert found.units_s == pytest.approx((20, 30, 35), abs=0.1)
    assert found.unit_s == pytest.approx([10, 5], abs=0.1)
    assert (found.begun_s, found.judged_s, found.published_s) == pytest.approx((12, 38, 39), abs=0.1)
    assert found.closing_s == pytest.approx(5, abs=0.1)
    assert (found.driver_cpu_s, found.stages) == (4.25, {"stage": 1.5})
    assert of_size([found], 12) == [found]
    assert of_size([found], 13) == []
