"""Many runs on one page, and the command that draws it."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scorer.cli import app
from scorer.errors import NothingToDo
from scorer.objectstore import ObjectStore, join
from scorer.output.manifest import BundleRef
from scorer.output.tally import Tally
from scorer.run.report.journal import Entry, Moved, write
from scorer.run.report.series import link, series, series_page
from scorer.run.report.strips import rates
from tests.run.report.pages import Parsed, problems

FIRST = datetime(2026, 10, 25, 3, 0, tzinfo=UTC)


def entry(night: int, **changes: Any) -> Entry:
    """A good night; `changes` spoil it."""
    began = FIRST + timedelta(days=night)
    version = 1 + night // 20
    rows = 1000 + 10 * night
    values: dict[str, Any] = {
        "run_id": f"run-{night}",
        "start": f"{night:016x}",
        "partition": f"ds={began.date()}",
        "outcome": "published",
        "began": began,
        "ended": began + timedelta(seconds=100 + night),
        "counts": Tally(rows_in=rows, scored=rows - 40, degraded=35, quarantined=5),
        "images_per_s": 800.0 - night,
        "cpu_ms_per_image": 1.9,
        "cores": 2,
        "price_per_hour": 0.36,
        "currency": "EUR",
        "bundle": BundleRef(uri="/b", name="prices", version=str(version), digest=f"{version}" * 64),
        "score_mean": 250_000.0,
        "drift": {"area": Moved(psi=0.01 * night, noise=0.05), "</title><b>": Moved(psi=0.001, noise=0.05)},
        "versions": {"scorer": "0.1.0", "tensorflow": "2.21.0" if night < 10 else "2.22.0"},
        "page": f"/state/{night}/report.html",
    }
    return Entry.model_validate({**values, **changes})


def nights(number: int) -> list[Entry]:
    """A month in which one night was refused and one failed."""
    found = [entry(night) for night in range(number)]
    found[7] = entry(7, outcome="refused", exit_code=4, gates={"rows": "fail", "images": "fail", "range": "pass"})
    found[9] = entry(
        9,
        outcome="failed",
        exit_code=75,
        error="<i>The store</i> does not answer.",
        counts=None,
        bundle=None,
        drift={},
        run_id="",
        images_per_s=0.0,
    )
    return found


@pytest.fixture
def state(tmp_path: Path) -> str:
    """Of 30 nights."""
    for one in nights(30):
        write(one, str(tmp_path / "p.scorer"), ObjectStore())
    return str(tmp_path / "p.scorer")


def test_the_page_of_many_runs_loads_nothing_and_names_everything(state: str) -> None:
    parsed = Parsed(series_page(state, "s3://bucket/<p>", 30, None, ObjectStore()))
    assert problems(parsed) == []
    assert "</title><b>" in parsed.text
    assert "<i>The store</i> does not answer." in parsed.text
    assert len(parsed.all("tr")) > 30


def test_every_run_is_a_column_in_every_plot_and_as_high_as_its_figure() -> None:
    drawn = series(nights(30))
    assert {len(strip.columns) for strip in (*drawn.strips, *drawn.drift)} == {30}
    volumes = drawn.strips[0]
    heights = [sum(box.height for kind, box in column.boxes if kind != "fill-refused") for column in volumes.columns]
    assert heights[29] / heights[0] == pytest.approx(1290 / 1000)
    assert heights[9] == 0.0
    marked = [at for at, column in enumerate(volumes.columns) if column.boxes[-1][0] == "fill-refused"]
    assert marked == [7, 9]


def test_means_below_zero_hang_from_the_line_of_zero_and_the_lower_end_says_how_far_it_goes() -> None:
    entries = [entry(night, score_mean=mean) for night, mean in enumerate([-3.0, 1.0, -1.5])]
    (mean,) = [strip for strip in rates(entries) if strip.name == "mean"]
    assert (mean.top, mean.bottom) == ("1", "-3")
    boxes = [column.boxes[0][1] for column in mean.columns]
    assert [(box.y, box.height) for box in boxes] == [(25.0, 75.0), (0.0, 25.0), (25.0, 37.5)]
    (mean,) = [strip for strip in rates(entries[:1]) if strip.name == "mean"]
    assert (mean.top, mean.bottom, mean.columns[0].boxes[0][1].height) == ("0", "-3", 100.0)


def test_failures_are_counted_by_gate_and_by_what_ended_the_run() -> None:
    found = {why: times for why, times, _ in series(nights(30)).failures}
    assert found == {"gate rows": 1, "gate images": 1, "stopped, or the store out of reach": 1}


def test_a_bundle_or_package_that_is_another_one_is_named_with_both_versions() -> None:
    changes = series(nights(30)).changes
    assert [(what, was.split()[-1], now.split()[-1]) for _, what, was, now in changes] == [
        ("bundle", "(111111111111)", "(222222222222)"),
        ("tensorflow", "2.21.0", "2.22.0"),
    ]


def test_features_are_drawn_in_the_order_of_their_worst_night() -> None:
    assert [strip.title for strip in series(nights(30)).drift] == ["area", "</title><b>"]


def test_cost_and_time_add_up() -> None:
    figures = dict(series([entry(0), entry(1)]).figures)
    assert figures["time in all"] == "3 min 21 s"
    assert figures["cost in all"] == "0.02 EUR"


def test_a_state_without_runs_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="No run has left an entry in"):
        series_page(str(tmp_path), "p", 30, None, ObjectStore())


@pytest.mark.parametrize(
    ("uri", "target"),
    [("/a b/#1.html", "file:///a%20b/%231.html"), ("s3://bucket/x.html", ""), ("", ""), ("https://evil/x", "")],
)
def test_only_local_pages_are_linked(uri: str, target: str) -> None:
    assert link(uri) == target


def test_the_command_writes_the_page_and_says_where(state: str, tmp_path: Path) -> None:
    flags = ["report", "--predictions", str(tmp_path / "p"), "--last", "5"]
    told = CliRunner().invoke(app, flags)
    assert (told.exit_code, told.stdout.strip()) == (0, join(state, "report.html"))
    assert Parsed((tmp_path / "p.scorer/report.html").read_text()).all("h1")[0].text == "5 runs"
    told = CliRunner().invoke(app, [*flags, "--out", str(tmp_path / "mine.html"), "--partition", "ds=2026-10-30"])
    assert told.stdout.strip() == str(tmp_path / "mine.html")
    assert Parsed((tmp_path / "mine.html").read_text()).all("h1")[0].text == "1 run"


def test_the_command_says_where_the_page_of_one_run_lies(state: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html>")
    write(entry(40, page=str(page)), state, ObjectStore())
    flags = ["report", "--predictions", str(tmp_path / "p"), "--run"]
    assert CliRunner().invoke(app, [*flags, "run-40"]).stdout.strip() == str(page)
    for run, why in (("run-3", "was removed"), ("run-99", "has left an entry")):
        told = CliRunner().invoke(app, [*flags, run])
        assert told.exit_code == 99
        assert why in told.stderr


def test_the_command_needs_neither_tensorflow_nor_pandas(state: str, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom scorer.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print(sorted({'tensorflow', 'keras', 'pandas', 'cv2', 'boto3'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", "--predictions", str(tmp_path / "p")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
