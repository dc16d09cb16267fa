"""Many nights by one command: what is there of each, which are scored, and what one bad night costs the others."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from scorer.cli import app
from scorer.errors import AuditError, BundleError, Interrupted, NothingToDo, SettingsError
from scorer.objectstore import ObjectInfo, ObjectStore, join
from scorer.output.audit import audit
from scorer.output.manifest import Staged
from scorer.run.backfill.account import done, plain, planned, sentence
from scorer.run.backfill.children import in_children
from scorer.run.backfill.dates import Range, partitions_within, spans
from scorer.run.backfill.outcomes import Outcome, exit_code_of
from scorer.run.backfill.planning import BackfillPlan, Line, Only, Wanted, make_plan
from scorer.run.backfill.running import backfill
from scorer.run.check import Checked, check_partition
from scorer.run.rollback import rollback
from scorer.run.score_partition import score_partition
from scorer.run.stop import Stop
from scorer.run.tools import Tools
from scorer.settings import Costs, Housekeeping, Job
from scorer.telemetry import Reporter
from tests.tiny import Market, listing

DAYS = [f"ds=2026-11-{day}" for day in (24, 25, 26, 28)]
WITHIN = Range.of("2026-11-24", "2026-11-28")


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    """Four days of five listings; there is no 27th."""
    own = tmp_path / "bundle"
    shutil.copytree(bundle, own)
    made = Market(str(tmp_path), str(own))
    made.write_images()
    for day in DAYS:
        made.write([listing(number) for number in range(5)], key=day)
    return made


def job(market: Market, **settings: Any) -> Job:
    return market.job(**{"partition": None, "speed": {"batch_images": 32}, **settings})


def tools(market: Market, stream: Any = None) -> Tools:
    return Tools(market.store, Reporter(stream or io.StringIO(), people=True))


def plan_of(
    market: Market, only: Only = "missing", parallel: int = 1, reverse: bool = False, **settings: Any
) -> BackfillPlan:
    return make_plan(job(market, **settings), Wanted(WITHIN, only, parallel, reverse), market.store)


def score(market: Market, day: str, **settings: Any) -> None:
    score_partition(job(market, **{"partition": day, **settings}), tools(market))


def spoil(market: Market, day: str) -> None:
    """A file of the day that is no Parquet."""
    market.store.put(join(market.listings, day, "b.parquet"), b"broken")


def run(market: Market, plan: BackfillPlan, **settings: Any) -> list[Outcome]:
    return list(backfill(job(market, **settings), plan, tools(market)))


def codes(outcomes: list[Outcome]) -> dict[str, int]:
    return {outcome.partition: outcome.exit_code for outcome in outcomes}


def states(plan: BackfillPlan) -> dict[str, tuple[str, str]]:
    return {line.partition: (line.state, line.why) for line in plan.lines}


@pytest.fixture
def varied(market: Market, monkeypatch: pytest.MonkeyPatch) -> Market:
    """Published, missing, failed, a gap, stale."""

    def refuse(*_: Any) -> None:
        raise AuditError("It does not add up.")

    for day in (DAYS[0], DAYS[3]):
        score(market, day)
    with monkeypatch.context() as patch:
        patch.setattr("scorer.run.score_partition.audit", refuse)
        with pytest.raises(AuditError):
            score(market, DAYS[2])
    market.write([listing(number) for number in range(6)], key=DAYS[3])
    return market


def test_the_plan_says_what_there_is_of_each_day_and_why(varied: Market, other: str) -> None:
    found = states(plan_of(varied))
    assert found[DAYS[0]] == ("published", "")
    assert found[DAYS[1]] == ("missing", "")
    state, why = found[DAYS[2]]
    assert (state, why.endswith("UTC; 1 unit(s) finished")) == ("failed", True)
    assert found["ds=2026-11-27"] == ("no listings", "")
    assert found[DAYS[3]] == ("stale", "its listings, or the contract, changed since")
    settings = states(plan_of(varied, rows_per_unit=7))
    assert settings[DAYS[0]] == ("stale", "other settings: rows_per_unit")
    assert states(plan_of(varied, bundle=other))[DAYS[0]] == ("stale", "scored by bundle tiny 1")


def test_each_choice_takes_its_days_in_its_order(varied: Market) -> None:
    def chosen(only: Only, reverse: bool = False) -> list[str]:
        return [line.partition for line in plan_of(varied, only, reverse=reverse).chosen]

    assert chosen("missing") == [DAYS[1], DAYS[2]]
    assert chosen("failed") == [DAYS[2]]
    assert chosen("stale") == [DAYS[3]]
    assert chosen("all", reverse=True) == DAYS[::-1]


def test_what_was_rolled_back_on_purpose_is_left_alone(market: Market) -> None:
    score(market, DAYS[0])
    market.write([listing(number) for number in range(6)], key=DAYS[0])
    score(market, DAYS[0])
    rollback(Housekeeping(predictions=join(market.root, "predictions"), partition=DAYS[0]), None, tools(market))
    state, why = states(plan_of(market))[DAYS[0]]
    assert state == "published"
    assert why.startswith("rolled back to run ")


def test_a_dry_run_counts_and_writes_nothing(market: Market) -> None:
    before = sorted(os.listdir(market.root))
    plan = plan_of(market, costs={"price_per_hour": 1.0})
    assert sorted(os.listdir(market.root)) == before
    assert [(line.rows, line.images, line.seconds) for line in plan.chosen] == [(5, 6, None)] * 4
    assert plan.seconds is None
    assert "No past run of bundle tiny" in sentence(plan, Costs())


def test_one_bad_day_leaves_the_others_to_their_turn_and_actual_stands_beside_estimate(market: Market) -> None:
    score(market, DAYS[0])
    spoil(market, DAYS[1])
    plan = plan_of(market)
    assert states(plan)[DAYS[1]][1].startswith(f"{join(market.listings, DAYS[1], 'b.parquet')} is not readable")
    assert [line.seconds is None for line in plan.chosen] == [True, False, False]
    outcomes = run(market, plan)
    assert codes(outcomes) == {DAYS[1]: 3, DAYS[2]: 0, DAYS[3]: 0}
    assert exit_code_of(outcomes) == 3
    assert market.read(key=DAYS[3]).num_rows == 5
    lines = done(plan, outcomes, Costs(price_per_hour=60.0, currency="EUR"))
    assert [line["outcome"] for line in lines] == ["failed, exit code 3", "published", "published"]
    assert (lines[0]["estimated min"], lines[0]["actual min"], lines[0]["cost"]) == ("-", "-", "-")
    assert lines[1]["actual min"] == f"{(outcomes[1].seconds or -6.0) / 60:.1f}"
    assert lines[1]["cost"].endswith(" EUR")
    assert [line.partition for line in plan_of(market).chosen] == [DAYS[1]]


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody expected, at the end of the second day."""

    def stumble(staged: Staged, *others: Any) -> None:
        if DAYS[1] in staged.folder:
            raise KeyError("nobody expected this")
        audit(staged, *others)

    monkeypatch.setattr("scorer.run.score_partition.audit", stumble)


@pytest.mark.usefixtures("bug")
def test_a_day_that_meets_a_bug_leaves_the_others_to_their_turn(market: Market) -> None:
    said = io.StringIO()
    outcomes = list(backfill(job(market), plan_of(market), tools(market, said)))
    assert codes(outcomes) == {DAYS[0]: 0, DAYS[1]: 70, DAYS[2]: 0, DAYS[3]: 0}
    assert "A bug in scorer (KeyError: 'nobody expected this'). Nothing was published of it" in outcomes[1].error
    assert "Traceback (most recent call last)" in said.getvalue()
    assert f"{DAYS[1]}: A bug in scorer" in said.getvalue()
    assert [line.partition for line in plan_of(market).chosen] == [DAYS[1]]


def test_a_signal_within_a_day_ends_the_backfill_and_says_that_others_stay_published(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise Interrupted("Stopped by SIGTERM. Nothing was published; finished units are kept.")

    under_way = backfill(job(market), plan_of(market), tools(market))
    assert codes([next(under_way)]) == {DAYS[0]: 0}
    monkeypatch.setattr("scorer.run.score_partition.audit", stopped)
    with pytest.raises(Interrupted, match=rf"{DAYS[1]}: Stopped by SIGTERM\..* What was published of others stays\."):
        next(under_way)


def test_a_bug_between_two_days_does_not_say_that_nothing_was_published(
    market: Market, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> None:
        raise KeyError("nobody expected this")

    spoil(market, DAYS[1])
    monkeypatch.setattr("scorer.run.backfill.record.end", stumble)
    command = ["backfill", "--from", "2026-11-24", "--to", "2026-11-25", "--only", "all", "--job", file]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 70
    assert "A bug in scorer (KeyError). What was published so far stays; start the same command" in found.stderr
    assert "Nothing was published" not in found.stderr.splitlines()[-1]


def test_a_day_that_cannot_be_looked_at_is_told_in_the_plan_and_the_others_are_planned(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(one: Job, *others: Any) -> Checked:
        if one.partition == DAYS[1]:
            raise KeyError("nobody expected this")
        return check_partition(one, *others)

    monkeypatch.setattr("scorer.run.backfill.states.check_partition", stumble)
    plan = plan_of(market)
    assert states(plan)[DAYS[1]] == ("missing", "a bug in scorer (KeyError: 'nobody expected this')")
    assert [line.partition for line in plan.chosen] == DAYS


def test_a_day_whose_listings_vanish_after_the_plan_costs_nobody_else_anything(market: Market) -> None:
    plan = plan_of(market)
    shutil.rmtree(join(market.listings, DAYS[0]))
    outcomes = run(market, plan)
    assert codes(outcomes) == {DAYS[0]: 99, DAYS[1]: 0, DAYS[2]: 0, DAYS[3]: 0}
    assert exit_code_of(outcomes) == 0
    assert exit_code_of(outcomes[:1]) == 99


def test_listings_that_are_gone_are_told_from_days_that_never_were(market: Market) -> None:
    score(market, DAYS[1])
    shutil.rmtree(join(market.listings, DAYS[1]))
    assert states(plan_of(market))[DAYS[1]] == ("no listings", "published once; its listings are gone")


def test_a_bundle_that_changes_meanwhile_leaves_the_rest_undone_and_says_so(market: Market, other: str) -> None:
    said = io.StringIO()
    plan = plan_of(market)
    under_way = backfill(job(market), plan, tools(market, said))
    assert next(under_way).exit_code == 0
    shutil.rmtree(market.bundle)
    shutil.copytree(other, market.bundle)
    rest = list(under_way)
    assert codes(rest) == dict.fromkeys(DAYS[1:], 3)
    assert "bundle_digest insists on" in rest[0].error
    assert rest[1].error.startswith(f"Not begun: the bundle {market.bundle} is not the one")
    assert "2 partition(s) stay undone" in said.getvalue()
    assert exit_code_of(rest) == 3
    assert not Path(market.root, "predictions", DAYS[1]).exists()


def test_scoring_everything_again_goes_on_where_it_was_interrupted(market: Market) -> None:
    run(market, plan_of(market))
    first = plan_of(market, "all")
    assert [line.partition for line in first.chosen] == DAYS
    under_way = backfill(job(market), first, tools(market))
    done_again = [next(under_way).run_id for _ in range(2)]
    under_way.close()
    second = plan_of(market, "all")
    assert [line.partition for line in second.chosen] == DAYS[2:]
    assert states(second)[DAYS[0]] == ("published", "scored by this backfill before it was interrupted")
    rest = run(market, second)
    assert len({*done_again, *(outcome.run_id for outcome in rest)}) == 4
    assert [line.partition for line in plan_of(market, "all").chosen] == DAYS


@pytest.mark.parametrize(
    ("wanted", "settings", "said"),
    [
        (Wanted(WITHIN), {"partition": DAYS[0]}, "names one partition, --from and --to name a range"),
        (Wanted(WITHIN), {"force": True}, "--only missing leaves it alone"),
        (Wanted(WITHIN, parallel=2), {"single_writer": True}, "would start several"),
        (Wanted(WITHIN, parallel=0), {}, "--max-parallel 0: at least 1"),
        (Wanted(WITHIN, "some"), {}, "Known: missing, failed, stale, all"),  # type: ignore[arg-type]  # as from a program without types
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    market: Market, wanted: Wanted, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        make_plan(job(market, **settings), wanted, market.store)


def test_a_range_needs_an_order_and_one_key() -> None:
    with pytest.raises(SettingsError, match="is behind"):
        Range.of("2026-11-02", "2026-11-01")
    with pytest.raises(SettingsError, match="two different keys"):
        Range.of("day=2026-11-01", "ds=2026-11-02")
    assert Range.of("day=2026-11-01", "2026-11-02").holds("region=eu/day=2026-11-02")
    assert not Range.of("2026-11-01", "2026-11-02").holds("ds=2026-11-03")


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        ("2026-11-1", "2026-11-30", "--from 2026-11-1 is no date"),
        ("2026-11-01", "2026-11-5", "--to 2026-11-5 is no date"),
        ("2026-9-1", "2026-9-5", "--from 2026-9-1 is no date"),
        ("2026-11-01", "2026-11-31", "--to 2026-11-31 is no date"),
        ("2026-9", "2026-11", "--from 2026-9 is no date"),
        ("2026-10", "2026-13", "--to 2026-13 is no date"),
        ("2026-11-01", "2026-11", "are not of one kind"),
        ("2026", "2026-11-30", "are not of one kind"),
        ("2026-11-01", "20261130", "are not of one kind"),
        ("2026-11-01", "latest", "are not of one kind"),
    ],
)
def test_ends_that_would_take_other_nights_than_meant_are_refused(first: str, last: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"{why}.* Nothing was done"):
        Range.of(f"day={first}", last)


@pytest.mark.parametrize(
    ("first", "last", "within", "without"),
    [
        ("2026-10", "2026-11", ["2026-10", "2026-11"], ["2026-09", "2026-12"]),
        ("2026-10", "2026-11", ["2026-10-01", "2026-11-30"], ["2026-09-30", "2026-12-01"]),
        ("2026", "2027", ["2026", "2027", "2026-01-01", "2027-12-31", "2027-12"], ["2025-12-31", "2028", "20270"]),
        ("20261101", "20261130", ["20261101", "20261130"], ["20261031", "20261201"]),
        ("2026-11-01", "2026-11-02", ["2026-11-02", "2026-11-02-23"], ["2026-11-03", "2026-10-31-23"]),
        ("a", "c", ["a", "b", "c"], ["d", "c-1"]),
    ],
)
def test_months_years_and_other_values_have_an_order_too(
    first: str, last: str, within: list[str], without: list[str]
) -> None:
    wanted = Range.of(first, last)
    assert [wanted.holds(f"ds={value}") for value in within] == [True] * len(within)
    assert [wanted.holds(f"ds={value}") for value in without] == [False] * len(without)


@pytest.mark.parametrize(
    ("first", "value"), [("2026-11-01", "2026-11-5"), ("2026-11-01", "2026-11"), ("2026-11", "2026-9")]
)
def test_a_partition_that_cannot_be_placed_between_two_dates_is_named(first: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"The partition region=eu/ds={value} has no (day|month) as its ds"):
        Range.of(first, first).holds(f"region=eu/ds={value}")


def test_days_in_another_form_are_found_and_have_no_false_gaps(market: Market) -> None:
    root = join(market.root, "compact")
    for value in ("20261101", "20261103"):
        market.store.put(join(root, f"ds={value}", "a.parquet"), b"")
    found = partitions_within(Range.of("20261101", "20261103"), root, market.store)
    assert found == (["ds=20261101", "ds=20261103"], [])


def test_gaps_are_told_for_every_combination_of_the_other_keys(market: Market) -> None:
    root = join(market.root, "regions")
    for key in ("region=eu/ds=2026-11-01", "region=eu/ds=2026-11-03", "region=us/ds=2026-11-02"):
        market.store.put(join(root, key, "a.parquet"), b"")
    found = partitions_within(Range.of("2026-11-01", "2026-11-03"), root, market.store)
    assert found[0] == ["region=eu/ds=2026-11-01", "region=eu/ds=2026-11-03", "region=us/ds=2026-11-02"]
    assert found[1] == ["region=eu/ds=2026-11-02", "region=us/ds=2026-11-01", "region=us/ds=2026-11-03"]
    with pytest.raises(NothingToDo, match=r"has ds from 2027 to 2028"):
        partitions_within(Range.of("2027", "2028"), root, market.store)
    assert partitions_within(Range.of("2026", "2027"), root, market.store)[1] == []


def test_partitions_are_found_below_each_day_without_listing_the_images_beside_them(market: Market) -> None:
    class Careful(ObjectStore):
        """Lists no prefix that holds the images."""

        def list_all(self, prefix: str) -> list[ObjectInfo]:
            assert prefix != market.listings
            return super().list_all(prefix)

    market.write([listing(1)], key="ds=2026-11-27/region=eu")
    found, _ = partitions_within(WITHIN, market.listings, Careful())
    assert found == [*DAYS[:3], "ds=2026-11-27/region=eu", DAYS[3]]


def test_days_that_follow_each_other_are_told_in_one_line() -> None:
    days = ["ds=2026-02-28", "ds=2026-03-01", "ds=2026-03-03"]
    assert list(spans(days)) == [("ds=2026-02-28", "ds=2026-03-01", 2), ("ds=2026-03-03", "ds=2026-03-03", 1)]


CHILD = """
import json, os, signal, sys, time
job, key = json.load(open(sys.argv[2])), sys.argv[4]
def say(event, **facts):
    print(json.dumps({"time": "now", "event": event, "message": f"{event}!", **facts}), file=sys.stderr, flush=True)
def stop(number, frame):
    say("stopping")
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
threads = [os.environ["TF_NUM_INTEROP_THREADS"], job["speed"]["decode_threads"]]
say("begun", threads=threads, ours=[name for name in os.environ if name.startswith("SCORER_")], force=job["force"])
if key.endswith("24"):
    os.kill(os.getpid(), signal.SIGKILL)
if key.endswith("25"):
    print("Some note", "InputError: The file is broken.", "  b: and so on", sep=chr(10), file=sys.stderr)
    sys.exit(3)
if key.endswith("26"):
    sys.exit(99)
time.sleep(60 if key.endswith("28") else 0)
"""
"""Keeps to the contract of `scorer score`, in a tenth of a second: each day ends in another way."""


@pytest.fixture
def child(tmp_path: Path) -> tuple[str, str]:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    return sys.executable, str(script)


class Listening(io.StringIO):
    """Calls back once when a word is written."""

    def __init__(self, word: str, then: Callable[[], None]) -> None:
        super().__init__()
        self._word, self._then = word, then

    def write(self, text: str) -> int:
        if self._word in text:
            self._word = "\0"
            self._then()
        return super().write(text)


def test_a_child_that_dies_counts_as_failed_and_its_cores_and_settings_are_its_own(
    market: Market, child: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORER_ROWS_PER_UNIT", "3")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3})
    said = io.StringIO()
    voice = Tools(market.store, Reporter(said, people=False))
    plan = plan_of(market, parallel=2)
    short = BackfillPlan(plan.wanted, plan.bundle, plan.lines[:3], plan.basis)
    outcomes = {outcome.partition: outcome for outcome in in_children(job(market), short, voice, child)}
    assert {key: outcome.exit_code for key, outcome in outcomes.items()} == {DAYS[0]: 75, DAYS[1]: 3, DAYS[2]: 99}
    assert "killed by SIGKILL (out of memory?)" in outcomes[DAYS[0]].error
    assert outcomes[DAYS[1]].error == "The file is broken. b: and so on"
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    begun = [event for event in events if event["event"] == "begun"]
    assert sorted(event["partition"] for event in begun) == DAYS[:3]
    assert all(event["threads"] == ["2", 2] and event["ours"] == [] and not event["force"] for event in begun)
    assert any(event["message"] == f"{DAYS[1]}: Some note" for event in events)


def test_a_signal_is_handed_on_and_nobody_is_left_behind(market: Market, child: tuple[str, str]) -> None:
    plan = plan_of(market)
    lines = (
        *(line for line in plan.chosen if line.partition == DAYS[3]),
        Line("ds=2026-11-29", "missing", "", chosen=True),
    )
    said = Listening("begun", lambda: os.kill(os.getpid(), signal.SIGTERM))
    stop = Stop(grace_seconds=20)
    voice = Tools(market.store, Reporter(said, people=True), stop=stop)
    under_way = in_children(job(market), BackfillPlan(plan.wanted, plan.bundle, lines, ""), voice, child)
    with stop.listening():
        assert codes([next(under_way)]) == {DAYS[3]: 75}
        with pytest.raises(Interrupted, match=r"SIGTERM\. What was published stays.* 1 partition\(s\) were"):
            next(under_way)
    assert f"{DAYS[3]}: stopping!" in said.getvalue()
    # A child of another test that has ended meanwhile has no command line any more.
    commands = [process.as_dict(["cmdline"], ad_value=[])["cmdline"] for process in psutil.Process().children()]
    assert not [command for command in commands if child[1] in command]


def test_a_bundle_that_changes_stops_the_start_of_further_children(
    market: Market, child: tuple[str, str], other: str
) -> None:
    plan = plan_of(market, parallel=2)
    broken = [line for line in plan.chosen if line.partition == DAYS[1]]
    lines = (*broken, *(Line(f"ds=2026-12-0{number}", "missing", "", chosen=True) for number in range(1, 9)))
    shutil.rmtree(market.bundle)
    shutil.copytree(other, market.bundle)
    one = Wanted(WITHIN, parallel=1)
    found = list(in_children(job(market), BackfillPlan(one, plan.bundle, lines, ""), tools(market), child))
    assert [outcome.exit_code for outcome in found] == [BundleError.exit_code] * 9
    assert [outcome.error.startswith("Not begun") for outcome in found] == [False, *[True] * 8]


@pytest.fixture
def file(market: Market) -> str:
    """The job as a file."""
    path = Path(market.root, "job.yaml")
    path.write_text(job(market).model_dump_json())
    return str(path)


def test_two_days_at_a_time_are_scored_as_one_after_the_other(market: Market, file: str) -> None:
    spoil(market, DAYS[1])
    command = [sys.executable, "-m", "jobs.backfill", "--from", "2026-11-24", "--to", "2026-11-26"]
    found = subprocess.run(
        [*command, "--job", file, "--max-parallel", "3", "--json"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 3, found.stderr
    outcomes = {line["partition"]: line["outcome"] for line in json.loads(found.stdout)["partitions"]}
    assert {key: outcome["exit_code"] for key, outcome in outcomes.items()} == {DAYS[0]: 0, DAYS[1]: 3, DAYS[2]: 0}
    assert "is not readable as Parquet" in outcomes[DAYS[1]]["error"]
    assert outcomes[DAYS[2]]["seconds"] > 0
    events = [json.loads(line) for line in found.stderr.splitlines() if line.startswith("{")]
    assert {event["partition"] for event in events if event["event"] == "published"} == {DAYS[0], DAYS[2]}
    market.write([listing(number) for number in range(5)], key="ds=2026-12-01")
    score(market, "ds=2026-12-01")
    assert market.read(key=DAYS[0]).column("prediction").equals(market.read(key="ds=2026-12-01").column("prediction"))


def test_the_command_prints_its_plan_and_what_became_of_it(market: Market, file: str) -> None:
    command = ["backfill", "--from", "2026-11-24", "--to", "2026-11-28", "--job", file]
    score(market, DAYS[0])
    dry = CliRunner().invoke(app, [*command, "--dry-run", "--set", "costs.price_per_hour=3"])
    assert dry.exit_code == 0, dry.output
    assert "3 of 4 partition(s) to score (--only missing): about" in dry.stderr
    head, *lines = dry.stdout.splitlines()
    assert head.split() == ["partition", "state", "score", "rows", "images", "minutes", "cost", "why"]
    assert [line.split()[:3] for line in lines[:2]] == [[DAYS[0], "published", "no"], [DAYS[1], "missing", "yes"]]
    assert lines[3].split()[:4] == ["ds=2026-11-27", "no", "listings", "no"]
    found = CliRunner().invoke(app, [*command, "--reverse"])
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].split()[:6] == ["partition", "outcome", "rows", "images", "estimated", "min"]
    assert [line.split()[:2] for line in lines[1:]] == [[day, "published"] for day in reversed(DAYS[1:])]
    assert "3 of 3 partition(s) published in " in found.stderr
    idle = CliRunner().invoke(app, command)
    assert (idle.exit_code, idle.stdout) == (0, "")
    assert "0 of 4 partition(s) to score" in idle.stderr
    for first, last, code in (("2026-12-24", "2026-12-25", 99), ("2026-12-24", "2026-12-23", 2)):
        assert CliRunner().invoke(app, ["backfill", "--from", first, "--to", last, "--job", file]).exit_code == code


def test_the_plan_as_json_and_as_a_table_say_the_same(varied: Market) -> None:
    plan = plan_of(varied, "all", costs={"price_per_hour": 2.0})
    told = plain(plan, None, Costs(price_per_hour=2.0))
    table = planned(plan, Costs(price_per_hour=2.0))
    assert [line["partition"] for line in told["partitions"]] == [line["partition"] for line in table]
    assert told["seconds"] == pytest.approx(sum(line["seconds"] or 0.0 for line in told["partitions"]), abs=0.01)
    assert told["cost"] == pytest.approx(told["seconds"] * 2 / 3600, abs=0.001)
    assert "outcome" not in told["partitions"][0]
