"""The DAGs in a real Airflow, on a small market; `make airflow` prints what came of each try and how long it took.

python -m tests.airflow.tryout AIRFLOW_BIN [FOLDER]
"""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scorer.output.commit import Ledger
from scorer.telemetry import hushed
from tests import tiny
from tests.airflow.server import LOG, TRIES, Airflow, Run, environment, serving, until
from tests.tiny import Market, listing

ROOT = Path(__file__).parents[2]
ROWS = 1000
ROWS_PER_UNIT = 10
NIGHTS = [f"2026-11-0{day}" for day in range(1, 6)]
BAD = "2026-11-03"
WITHOUT = "2026-11-06"
GOOD, KILLED, REFUSED = "2026-10-01", "2026-10-02", "2026-10-03"


def say(line: str) -> None:
    """To whoever started this."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@dataclass
class Report:
    """Rows of the printed table."""

    rows: list[tuple[str, str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, what: str) -> Iterator[Callable[[str], None]]:
        """Times a step; it says what came of it."""
        said: list[str] = []
        began = time.monotonic()
        say(f"... {what}")
        yield said.append
        self.rows.append((what, "; ".join(said), time.monotonic() - began))

    def print(self) -> None:
        wide = max(len(what) for what, _, _ in self.rows)
        for what, said, seconds in self.rows:
            say(f"{what:<{wide}}  {seconds:6.1f} s  {said}")
        say(f"{'all':<{wide}}  {sum(seconds for _, _, seconds in self.rows):6.1f} s")


def make_market(folder: Path) -> Market:
    """Nights of equal listings; one with a broken file, one whose images are all gone, one that is not there."""
    bundle = str(folder / "bundle")
    with hushed():
        tiny.make_bundle(bundle)
    market = Market(str(folder / "shop"), bundle)
    market.write_images()
    for night in (*NIGHTS, GOOD, KILLED):
        market.write([listing(number) for number in range(ROWS)], key=f"ds={night}")
    Path(market.listings, f"ds={BAD}", "b.parquet").write_bytes(b"an upload that broke off")
    gone = [f"img/gone-{number}.jpg" for number in range(3)]
    market.write([listing(number, image_uris=gone) for number in range(ROWS)], key=f"ds={REFUSED}")
    return market


def settings(market: Market) -> dict[str, str]:
    """How the job starts here."""
    return {
        "AIRFLOW_SCORER_COMMAND": str(Path(sys.executable).with_name("scorer")),
        "AIRFLOW_SCORER_RETRY_SECONDS": "2",
        "AIRFLOW_VAR_SCORER_LISTINGS": market.listings,
        "AIRFLOW_VAR_SCORER_BUNDLE": market.bundle,
        "AIRFLOW_VAR_SCORER_PREDICTIONS": f"{market.root}/predictions",
        "AIRFLOW_VAR_SCORER_SETTINGS": f"rows_per_unit={ROWS_PER_UNIT} speed.batch_images=8",
    }


def copy_dags(home: Path) -> None:
    """As one deploys them: the folder, and a reader's DAG beside it."""
    shutil.copytree(ROOT / "jobs" / "airflow", home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).parent / "dags" / "consumer.py", home / "dags")


def at(night: str) -> str:
    """The logical date of a nightly run."""
    return f"{night}T02:30:00Z"


def versions(market: Market, night: str) -> int:
    """How often a night was published."""
    key = f"ds={night}"
    return len(Ledger(f"{market.root}/predictions.scorer/{key}", key, market.store).read().record.versions)


def expect(what: str, found: object, wanted: object) -> None:
    """Like assert, with both values in its message whatever the optimisation."""
    if found != wanted:
        raise AssertionError(f"{what}: {found!r} instead of {wanted!r}")


def nightly(airflow: Airflow, market: Market, report: Report) -> Run:
    """A green night: published, with its summary as XCom and on the Asset's event."""
    with report.step("a night") as note:
        run = airflow.trigger("scorer_nightly", at(GOOD))
        expect("state", run.wait(), "success")
        summary = run.xcom()
        expect("outcome", (summary["outcome"], summary["counts"]["rows_in"]), ("published", ROWS))
        (event,) = [event for event in airflow.events() if event["extra"].get("partition") == f"ds={GOOD}"]
        expect("rows on the event", event["extra"]["rows_in"], ROWS)
        expect("versions", versions(market, GOOD), 1)
        counts, verdict = summary["counts"], event["extra"]["verdict"]
        note(f"success; XCom: {summary['outcome']}, {counts['scored']} scored; event: verdict {verdict}")
    return run


def again(run: Run, market: Market, report: Report) -> None:
    """The same task once more after its publish: recognised, nothing done twice."""
    with report.step("the same task cleared after its publish") as note:
        before = run.xcom()
        run.clear()
        until(lambda: run.state() not in ("success", "failed"), 60, "the cleared run goes on")
        expect("state", run.wait(), "success")
        summary = run.xcom()
        expect("outcome", summary["outcome"], "published already")
        expect("run", summary["run_id"], before["run_id"])
        expect("versions", versions(market, GOOD), 1)
        note(f"success; XCom: {summary['outcome']}, {summary['seconds']:.1f} s in the job; 1 version")


def job_of(airflow: Airflow, night: str) -> psutil.Process | None:
    """The process that scores a night."""
    for process in airflow.children():
        try:
            if f"--partition=ds={night}" in process.cmdline():
                return process
        except psutil.Error:
            continue
    return None


def killed(airflow: Airflow, market: Market, report: Report) -> None:
    """SIGKILL among the units: the retry goes on from the finished ones."""
    state = Path(market.root, "predictions.scorer", f"ds={KILLED}")
    with report.step("a job killed by SIGKILL") as note:
        run = airflow.trigger("scorer_nightly", at(KILLED))
        until(lambda: len(list(state.glob("*/units/*"))) >= 3, 120, "three units are finished", every=0.02)
        process = job_of(airflow, KILLED)
        if process is None:
            raise AssertionError("The job was done before it could be killed.")
        process.send_signal(signal.SIGKILL)
        expect("state", run.wait(), "success")
        summary, (task,) = run.xcom(), run.tasks()
        expect("tries", task["try_number"], 2)
        expect("versions", versions(market, KILLED), 1)
        if not 0 < summary["units_done_earlier"] < summary["units"]:
            raise AssertionError(f"{summary['units_done_earlier']} of {summary['units']} units were done earlier.")
        note(
            f"second try: success; {summary['units_done_earlier']} of {summary['units']} units done earlier; 1 version"
        )


def last_lines(run: Run, map_index: int = 0) -> str:
    """What an engineer sees first."""
    (task,) = [task for task in run.tasks() if task["map_index"] == map_index]
    return "\n".join(run.log(task["try_number"], map_index=map_index)[-6:])


def refused(airflow: Airflow, market: Market, report: Report) -> None:
    """A gate's failure: failed at once, the reason among the log's last lines and in the XCom."""
    with report.step("a night whose images are all gone") as note:
        run = airflow.trigger("scorer_nightly", at(REFUSED))
        expect("state", run.wait(), "failed")
        (task,), summary = run.tasks(), run.xcom()
        expect("tries", task["try_number"], 1)
        expect("exit code", summary["exit_code"], 4)
        expect("versions", versions(market, REFUSED), 0)
        gates = [verdict["gate"] for verdict in summary["verdicts"] if verdict["status"] == "fail"]
        said = last_lines(run)
        expect("gates named in the last lines", [gate for gate in gates if gate not in said], [])
        note(f"failed at once, exit code 4, by {', '.join(gates)}; named in the log's last lines; nothing published")


def overridden(airflow: Airflow, market: Market, report: Report) -> None:
    """Somebody looked at the refused night and has it published as it is: nothing is scored again."""
    with report.step("the same night by an override of its gates") as note:
        settings = [f"gates.override.{gate}=the photo host is down, checked" for gate in ("degraded", "images")]
        run = airflow.trigger("scorer_nightly", None, partitions=[f"ds={REFUSED}"], settings=settings)
        expect("state", run.wait(), "success")
        summary = run.xcom()
        expect("units done earlier", summary["units_done_earlier"], summary["units"])
        (event,) = [event for event in airflow.events() if event["extra"].get("partition") == f"ds={REFUSED}"]
        expect("verdict on the event", event["extra"]["verdict"], "overridden")
        note(f"success; all {summary['units']} units done earlier; event: verdict overridden")


def airflow_says(command: list[str | Path], environ: Mapping[str, str]) -> None:
    """One command of Airflow's; once more where SQLite could not be written to, which leaves nothing of it behind.

    Airflow takes a backfill back whose runs it could not write (`airflow.models.backfill`), so that it may be repeated.
    """
    for attempt in range(1, TRIES + 1):
        done = subprocess.run(command, env=dict(environ), capture_output=True, text=True)
        if done.returncode == 0:
            return
        if "database is locked" not in done.stderr or attempt == TRIES:
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-6000:]}")
        time.sleep(attempt)


def backfilled(airflow: Airflow, market: Market, report: Report, program: Path) -> None:
    """`airflow backfill create`: one bad night of five leaves four published and one explained."""
    command = ["backfill", "create", "--dag-id", "scorer_nightly", "--max-active-runs", "2"]
    with report.step("airflow backfill create, 5 nights, one of them bad") as note:
        environ = environment(program, airflow.home, airflow.port) | settings(market)
        days = ["--from-date", NIGHTS[0], "--to-date", WITHOUT]
        airflow_says([program, *command, *days], environ)
        runs = airflow.runs("scorer_nightly", run_type="backfill")
        expect("runs", [run.id[10:20] for run in runs], NIGHTS)
        states = {night: run.wait(300) for night, run in zip(NIGHTS, runs, strict=True)}
        expect("failed", [night for night, state in states.items() if state != "success"], [BAD])
        expect(
            "published", [night for night in NIGHTS if versions(market, night) == 1], [n for n in NIGHTS if n != BAD]
        )
        bad = runs[NIGHTS.index(BAD)]
        explained = "b.parquet" in last_lines(bad)
        expect("explained", (explained, bad.xcom()["exit_code"]), (True, 3))
        note("4 published, 1 failed at once with the file's name in the log's last lines")


def mapped(airflow: Airflow, market: Market, report: Report) -> None:
    """The backfill DAG over the same nights and one without listings: published, failed and skipped side by side."""
    with report.step("scorer_backfill over the same nights and one without listings") as note:
        run = airflow.trigger("scorer_backfill", None, **{"from": NIGHTS[0], "to": WITHOUT, "newest_first": False})
        expect("state", run.wait(300), "failed")
        states = [task["state"] for task in run.tasks()]
        expect("states", states, ["success", "success", "failed", "success", "success", "skipped"])
        expect("outcome", {run.xcom(map_index=index)["outcome"] for index in (0, 1, 3, 4)}, {"published already"})
        expect("names", run.tasks()[0]["rendered_map_index"], f"--partition=ds={NIGHTS[0]}")
        expect("versions", {versions(market, night) for night in NIGHTS if night != BAD}, {1})
        note("4 published already, 1 failed, 1 skipped; nothing done twice")


def consumed(airflow: Airflow, report: Report) -> None:
    """The predictions' Asset starts a reader's DAG, which learns the partitions from the events."""
    published = {f"ds={night}" for night in (GOOD, KILLED, REFUSED, *NIGHTS)} - {f"ds={BAD}"}

    def seen() -> set[str]:
        runs = [run for run in airflow.runs("consumer") if run.state() == "success"]
        return {event["partition"] for run in runs for event in run.xcom("read", map_index=-1)}

    with report.step("a reader's DAG, started by the predictions' Asset") as note:
        until(lambda: seen() >= published, 120, "the reader's DAG has seen every published partition", every=2)
        expect("seen", seen(), published)
        note(f"{len(airflow.runs('consumer'))} runs saw the {len(published)} published partitions and no other")


def late(airflow: Airflow, report: Report) -> None:
    """A deadline that is missed calls the function that the deployment names."""

    def told() -> bool:
        return "is not done by its deadline" in (airflow.home / LOG).read_text(errors="replace")

    with report.step("a run that misses its deadline") as note:
        airflow.trigger("late", None).wait()
        until(told, 90, "the deadline's callback was called", every=2)
        note("the callback was called and said so in the scheduler's log")


def quiet(airflow: Airflow, report: Report) -> None:
    """Airflow starts the latest night when a DAG is switched on. Here it has no listings: skipped, not failed."""
    with report.step("tonight, without listings") as note:
        until(lambda: bool(airflow.runs("scorer_nightly", run_type="scheduled")), 120, "tonight's run is there")
        (run,) = airflow.runs("scorer_nightly", run_type="scheduled")
        expect("state", run.wait(), "success")
        expect("task", [task["state"] for task in run.tasks()], ["skipped"])
        note("skipped (exit code 99)")


def main(program: Path, folder: Path) -> None:
    """Everything in one Airflow.

    Args:
        program: the console script of an Airflow 3.
        folder: empty or missing; what was made stays there.
    """
    report = Report()
    home = folder / "airflow"
    home.mkdir(parents=True)
    try:
        with report.step("a market and a bundle") as note:
            market = make_market(folder)
            copy_dags(home)
            note(f"{ROWS} listings a night")
        with ExitStack() as stack:
            with report.step("airflow standalone") as note:
                airflow = stack.enter_context(serving(program, home, settings(market)))
                until(lambda: len(airflow.call("GET", "/dags")["dags"]) == 4, 120, "the four DAGs are parsed")
                expect("import errors", airflow.call("GET", "/importErrors")["import_errors"], [])
                note("4 DAGs, no import error")
            quiet(airflow, report)
            again(nightly(airflow, market, report), market, report)
            killed(airflow, market, report)
            refused(airflow, market, report)
            overridden(airflow, market, report)
            backfilled(airflow, market, report, program)
            mapped(airflow, market, report)
            consumed(airflow, report)
            late(airflow, report)
    finally:
        report.print()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute())
    else:
        with tempfile.TemporaryDirectory(prefix="scorer-airflow-") as scratch:
            main(Path(sys.argv[1]).absolute(), Path(scratch))
