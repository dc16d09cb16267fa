"""Many processes commit partitions to one table, killed again and again, with a reader looking on: `make tables`.

Every process publishes its partitions twice, as runs do. It is ended by SIGKILL before or after a random one of the
calls that leave a trace: writes of the store, commits of the catalog and what the catalog does for them. Whoever is
started next repairs what it finds, as every start of a run does.
"""

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Transaction
from sqlalchemy.orm import Session

from scorer.objectstore import ObjectStore, join
from scorer.output.commit import Ledger
from scorer.run.gc import collect
from scorer.run.tools import Tools
from scorer.settings import Housekeeping
from scorer.tables import TableName, load
from tests.catalogs import SPELLED, configure, lake
from tests.output.versions import STORE, ledger_of, published

POINTS = (
    (ObjectStore, "put"),
    (ObjectStore, "put_file"),
    (ObjectStore, "copy"),
    (Transaction, "commit_transaction"),
    (SqlCatalog, "commit_table"),
    (Session, "commit"),
)
"""Calls that a process may die before or after."""

POINTS_A_PARTITION = 40
"""About as many as one partition, published twice, passes."""

ROUNDS = 2


@dataclass
class Outcome:
    """What happened, and what should not have."""

    commits: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    polls: int = 0
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Campaign:
    """So many partitions, dealt out to so many processes, each of which is killed so many times."""

    root: str
    partitions: int
    processes: int
    kills_each: int
    seed: int

    def dealt(self, of: int | None = None) -> list[str]:
        """Of all partitions, or those of one process."""
        keys = [f"ds={date(2026, 1, 1) + timedelta(days=n)}" for n in range(self.partitions)]
        return keys if of is None else keys[of :: self.processes]

    def run_of(self, key: str, turn: int) -> str:
        """Each run publishes one partition once."""
        return f"{key.removeprefix('ds=')}-by-{self.dealt().index(key) % self.processes}-turn-{turn}"

    def rows_of(self, key: str, turn: int) -> list[str]:
        """More in the second turn."""
        return [f"{key}-{turn}-{n}" for n in range(3 + turn)]

    def work(self, number: int) -> None:
        """One process: every partition of its own, each turn in order; what is there already is repaired."""
        for turn in range(ROUNDS):
            for key in self.dealt(number):
                ledger = ledger_of(self.root, key)
                ledger.expose()
                done = {version.run_id for version in ledger.read().record.versions}
                if self.run_of(key, turn) not in done:
                    published(self.root, self.run_of(key, turn), self.rows_of(key, turn), key=key, into=SPELLED)


def _child(campaign: Campaign, environ: Mapping[str, str], number: int, dies_at: int | None, said: str) -> None:
    os.environ.update(environ)
    configure()
    passed = 0

    def dying(name: str, whole: Any) -> Any:
        def wrapped(*args: Any, **named: Any) -> Any:
            _pass(f"before {name}")
            found = whole(*args, **named)
            _pass(f"after {name}")
            return found

        return wrapped

    def _pass(point: str) -> None:
        nonlocal passed
        passed += 1
        if passed == dies_at:
            Path(said).write_text(point, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    for owner, name in POINTS:
        setattr(owner, name, dying(name, getattr(owner, name)))
    campaign.work(number)


def run(campaign: Campaign, environ: Mapping[str, str]) -> Outcome:
    """The whole campaign; see the module."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    outcome, lock, children = Outcome(), threading.Lock(), threading.Lock()
    over = threading.Event()

    def ended(child: ForkServerProcess) -> bool:
        # One thread at a time: a start looks after all children, too, and of two that read how a child ended only one
        # is told; the other takes it for lost.
        with children:
            return child.exitcode is not None

    def drive(number: int) -> None:
        chance = random.Random(f"{campaign.seed} {number}")
        for life in range(campaign.kills_each + 1):
            last = life == campaign.kills_each
            dies_at = None if last else chance.randrange(1, POINTS_A_PARTITION * 3)
            said = Path(tempfile.mkdtemp(prefix="said-"), "point")
            child = context.Process(target=_child, args=(campaign, dict(environ), number, dies_at, str(said)))
            with children:
                child.start()
            while not ended(child):
                time.sleep(0.02)
            with lock:
                outcome.starts += 1
                if child.exitcode == -signal.SIGKILL:
                    outcome.kills[said.read_text(encoding="utf-8")] += 1
                elif child.exitcode != 0:
                    outcome.broken.append(f"process {number} ended with {child.exitcode}")
            if child.exitcode != -signal.SIGKILL:
                return

    reader = threading.Thread(target=_read, args=(campaign, outcome, over))
    drivers = [threading.Thread(target=drive, args=(number,)) for number in range(campaign.processes)]
    reader.start()
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    over.set()
    reader.join()
    _judge(campaign, outcome)
    return outcome


def _read(campaign: Campaign, outcome: Outcome, over: threading.Event) -> None:
    """Every partition is one whole version at every look, and none comes back."""
    from pyiceberg.exceptions import NoSuchTableError

    seen: dict[str, int] = {}
    while not over.wait(0.2):
        try:
            rows = load(TableName.parse(SPELLED)).scan(selected_fields=("listing_id", "run_id", "ds")).to_arrow()
        except NoSuchTableError:
            continue
        outcome.polls += 1
        for key, found in by_key(rows).items():
            turn = next((turn for turn in range(ROUNDS) if found == _expected(campaign, key, turn)), None)
            if turn is None:
                outcome.broken.append(f"a reader found {key} with {found}")
            elif turn < seen.get(key, 0):
                outcome.broken.append(f"a reader found {key} as it was before")
            else:
                seen[key] = turn


def by_key(rows: pa.Table) -> dict[str, list[tuple[str, str]]]:
    """Listing and run of each partition, sorted."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows.to_pylist():
        found.setdefault(f"ds={row['ds']}", []).append((row["listing_id"], row["run_id"]))
    return {key: sorted(pairs) for key, pairs in found.items()}


def _expected(campaign: Campaign, key: str, turn: int) -> list[tuple[str, str]]:
    return [(listing, campaign.run_of(key, turn)) for listing in campaign.rows_of(key, turn)]


def _judge(campaign: Campaign, outcome: Outcome) -> None:
    """When all is over: each partition exactly once, and the history says who did what."""
    table = load(TableName.parse(SPELLED))
    wanted = {key: _expected(campaign, key, ROUNDS - 1) for key in campaign.dealt()}
    if by_key(table.scan().to_arrow()) != wanted:
        outcome.broken.append("the rows in the end are not those of every partition's last run, each once")
    told: dict[str, list[str]] = {}
    for snapshot in sorted(table.snapshots(), key=lambda one: one.sequence_number or 0):
        assert snapshot.summary is not None
        said = snapshot.summary.additional_properties
        told.setdefault(said["scorer.partition"], []).append(said["scorer.run-id"])
    outcome.commits = sum(len(runs) for runs in told.values())
    if told != {key: [campaign.run_of(key, turn) for turn in range(ROUNDS)] for key in campaign.dealt()}:
        outcome.broken.append(f"the history tells something else: {told}")
    tags = {name for name in table.refs() if name != "main"}
    if tags != {f"run-{campaign.run_of(key, turn)}" for key in campaign.dealt() for turn in range(ROUNDS)}:
        outcome.broken.append("a run has no tag, or something else has one")
    for key in campaign.dealt():
        current = Ledger(join(campaign.root, "predictions.scorer", key), key, STORE).read().record.current
        if current is None or current.in_table_at is None or current.run_id != campaign.run_of(key, ROUNDS - 1):
            outcome.broken.append(f"the record of {key} does not agree with the table")
    housekeeping = Housekeeping.model_validate({"predictions": join(campaign.root, "predictions"), "older_than": "0s"})
    list(collect(housekeeping, Tools()))
    left = STORE.list_all(join(campaign.root, "lake/shop/predictions/data"))
    if len(left) != campaign.partitions or by_key(load(TableName.parse(SPELLED)).scan().to_arrow()) != wanted:
        outcome.broken.append(f"after gc {len(left)} data files are left of {campaign.partitions}")


def main(partitions: int = 100) -> int:
    """The long campaign, on local files."""
    with tempfile.TemporaryDirectory(prefix="tables-") as folder:
        environ = lake(Path(folder), folder).environ
        os.environ.update(environ)
        configure()
        outcome = run(Campaign(folder, partitions, processes=8, kills_each=8, seed=7), environ)
    kills = [f"  {times:4} {point}" for point, times in sorted(outcome.kills.items())]
    head = f"{outcome.commits} commits, {outcome.starts} starts, {sum(outcome.kills.values())} kills:"
    tail = f"{outcome.polls} looks of a reader; rules broken: {outcome.broken or 'none'}"
    sys.stdout.write("\n".join([head, *kills, tail, ""]))
    return 1 if outcome.broken else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
