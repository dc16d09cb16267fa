"""Runs of one partition that are killed again and again, while readers look on: `python -m tests.faults.kills`.

Every child is the real command line with the real model (see zygote.py). Prints a table; exits 1 if a rule was broken.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.objectstore import ObjectStore, join
from scorer.output.commit import Ledger, Version
from tests.faults.processes import Child, Zygote, zygote
from tests.faults.readers import Expected, Observations, Readers
from tests.faults.shim import PHASES
from tests.servers import S3Server, gateway, moto
from tests.tiny import KEY, Market, listing

ROWS, ROWS_PER_UNIT = 60, 5
NAMED = ("score", "stage", "audit", "publish", "expose")
"""Phases that a start of a run is killed in by name; gc and rollback are commands of their own."""

MAX_BYTES = 20 * 1024 * 1024
VOLATILE = frozenset(
    {
        *("run_id", "start", "started_at", "finished_at", "seconds", "stages", "profile"),
        *("plan_digest", "settings", "units_done_earlier"),
        "verdicts",  # what was published before decides them, and runs follow one another here; their facts must agree
    }
)
FILE_VOLATILE = frozenset({"uri", "listed", "sha256", "bytes"})
TRIES = 60


@dataclass
class Figures:
    """What a campaign counted."""

    runs: int = 0
    starts: int = 0
    named: Counter[str] = field(default_factory=Counter)
    random: Counter[str] = field(default_factory=Counter)
    units: int = 0
    begun: int = 0
    saved: int = 0
    staging_gone: int = 0
    collections: int = 0
    rollbacks: int = 0
    exit_codes: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    @property
    def kills(self) -> Counter[str]:
        """By the phase that the process was in when it died."""
        return self.named + self.random


class Campaign:
    """Runs over one partition below one root, each of them other work on the same rows."""

    def __init__(self, market: Market, children: Zygote, seed: int, several: bool = False) -> None:
        """`several`: each version is several files."""
        self.several = several
        self.market, self.children, self.random = market, children, random.Random(seed)
        self.figures = Figures()
        self._points: Counter[str] = Counter()
        self._seconds = 1.0
        self.market.write_images()
        rows = [listing(number) for number in range(ROWS)]
        rows[7], rows[23]["image_uris"], rows[40]["area"] = listing(3), ["img/none.jpg"], None  # refused, degraded
        self.market.write(rows)
        self.expected = self._undisturbed()

    def _undisturbed(self) -> tuple[dict[str, pa.Table], dict[str, Any], Expected]:
        """What comes out when nobody disturbs; in a place of its own."""
        began = time.monotonic()
        child = self.children.start(self.score(0, "calm"))
        assert child.wait() == 0, child.text()
        self._seconds = time.monotonic() - began
        self._points.update(dict(child.facts())["points"])
        calm = Market(self.market.root, self.market.bundle)
        tables = {kind: self._listed(calm, f"calm/{kind}") for kind in ("predictions", "predictions.quarantine")}
        record = Ledger(join(self.market.root, "calm/predictions.scorer", KEY), KEY, self.market.store).read().record
        assert record.current is not None
        ids = [tuple(table.column("listing_id").to_pylist()) for table in tables.values()]
        return tables, self._manifest(record.current.manifest), Expected(*ids)

    def run(self, number: int) -> None:
        """One run, killed some times, started until it ends, compared; then a collection, treated alike."""
        self.figures.runs += 1
        before = self._versions()
        if self.several:  # three files, four, three, ...
            self.children.rows_per_file = 20 - 4 * (number % 2)
        arguments = self.score(number)
        if self.random.random() < 0.6:
            self._killed_at_random(arguments)
        for phase in sorted(self.random.sample(NAMED, 3), key=NAMED.index):
            collecting = self._gc("0s") if self.random.random() < 0.3 else None
            if self._killed(arguments, phase) == 0:
                break
            if collecting is not None:
                self._ended(collecting)
        log = self._until_done(arguments)
        self._compare(number, before, log)
        self._collect()
        if number % 5 == 4:
            self._roll_back()

    def score(self, number: int, below: str = "") -> list[str]:
        """Each number is other work: a limit that no image reaches is part of a plan's identity."""
        market, place = self.market, join(self.market.root, below) if below else self.market.root
        return [
            *("score", "--listings", market.listings, "--partition", KEY, "--bundle", market.bundle),
            *("--predictions", join(place, "predictions"), "--set", f"rows_per_unit={ROWS_PER_UNIT}"),
            *("--set", f"images.max_bytes={MAX_BYTES + number}", "--set", "speed.batch_images=8"),
            *(("--set", "rows_per_file=1") if self.several else ()),
        ]

    def _gc(self, older_than: str, kill: tuple[str, int] | None = None) -> Child:
        self.figures.collections += 1
        places = ("--predictions", join(self.market.root, "predictions"), "--older-than", older_than)
        return self.children.start(["gc", *places, "--keep-versions", "2"], kill=kill)

    def _killed(self, arguments: Sequence[str], phase: str) -> int:
        point = self.random.randint(1, max(1, self._points[phase]))
        child = self.children.start(arguments, kill=(phase, point))
        return self._ended(child)

    def _killed_at_random(self, arguments: Sequence[str]) -> None:
        child = self.children.start(arguments)
        child.ended.wait(self.random.uniform(0, 1.2 * self._seconds))
        child.kill()
        self._ended(child, at_random=True)

    def _ended(self, child: Child, at_random: bool = False) -> int:
        code = child.wait()
        figures = self.figures
        figures.starts += 1
        figures.exit_codes[code] += 1
        if code == -9:
            (figures.random if at_random else figures.named)[child.phase] += 1
        elif code not in (0, 75):
            figures.broken.append(f"exit {code}: {child.text()[-600:]}")
        figures.staging_gone += "StagingGone" in child.text()
        for what, _ in child.facts():
            figures.begun += what == "begun"
            figures.saved += what == "saved"
        return code

    def _until_done(self, arguments: Sequence[str]) -> Child:
        for _ in range(TRIES):
            child = self.children.start(arguments)
            if self._ended(child) == 0:
                return child
        raise AssertionError(f"not done after {TRIES} starts: {child.text()}")

    def _collect(self) -> None:
        """Killed up to twice, then to its end."""
        for _ in range(2):
            if self._ended(self._gc("0s", ("gc", self.random.randint(1, 70)))) == 0:
                break
        assert self._ended(self._gc("0s")) == 0

    def _roll_back(self) -> None:
        """To the version before, killed on the way, then started until it is current."""
        ledger = Ledger(self._state, KEY, self.market.store)
        target = ledger.read().record.standing()[-2].run_id
        places = ("--predictions", join(self.market.root, "predictions"), "--partition", KEY, "--to", target)
        self._ended(self.children.start(["rollback", *places], kill=("rollback", self.random.randint(1, 12))))
        assert self._ended(self.children.start(["rollback", *places])) == 0
        self.figures.rollbacks += 1
        current = ledger.read().record.current
        if current is None or current.run_id != target:
            self.figures.broken.append(f"rolled back to {target}, but {current} is current")

    @property
    def _state(self) -> str:
        return join(self.market.root, "predictions.scorer", KEY)

    def _versions(self) -> int:
        return len(Ledger(self._state, KEY, ObjectStore()).read().record.versions)

    def _compare(self, number: int, before: int, last: Child) -> None:
        """Rows and manifest of what is listed and recorded against the undisturbed run."""
        record = Ledger(self._state, KEY, ObjectStore()).read().record
        assert record.current is not None
        self.figures.units += self.expected[1]["units"]
        if len(record.versions) != before + 1:
            text = f"run {number}: {len(record.versions) - before} versions instead of one. {last.text()}"
            self.figures.broken.append(text)
        self.figures.broken.extend(self.differences(record.current, f"run {number}"))

    def differences(self, version: Version, what: str) -> list[str]:
        """Between what this version should look like and what is listed and recorded."""
        tables, manifest, _ = self.expected
        found = []
        for kind, wanted in tables.items():
            listed = self._listed(self.market, kind)
            if not _same(listed, wanted):
                found.append(f"{what}: {kind} differ from the undisturbed run's")
            if set(listed.column("run_id").to_pylist()) != {version.run_id}:
                found.append(f"{what}: {kind} are not the current run's")
        if (recorded := self._manifest(version.manifest)) != manifest and not self.several:
            found.append(f"{what}: manifest {recorded} instead of {manifest}")
        return found

    def _listed(self, market: Market, what: str) -> pa.Table:
        tables = []
        for info in market.store.list_all(join(market.root, what, KEY)):
            with market.store.open(info.uri) as handle:
                tables.append(pq.read_table(handle))
        return pa.concat_tables(tables)

    def _manifest(self, uri: str) -> dict[str, Any]:
        values = json.loads(self.market.store.get(uri).data)
        kept = {name: value for name, value in values.items() if name not in VOLATILE}
        for kind in ("predictions", "quarantine"):
            kept[kind] = [{k: v for k, v in file.items() if k not in FILE_VOLATILE} for file in kept[kind]]
        kept["settings"] = {k: v for k, v in values["settings"].items() if k not in ("predictions", "images")}
        return kept


def _same(found: pa.Table, wanted: pa.Table) -> bool:
    names = [name for name in wanted.schema.names if name not in ("run_id", "scored_at")]
    return bool(found.select(names).equals(wanted.select(names)))


SERVERS: dict[str, Callable[[Path], AbstractContextManager[S3Server]]] = {"moto": moto, "gateway": gateway}
"""moto ignores the conditions of a copy; the gateway behind its proxy checks signatures and every condition."""


@contextmanager
def campaign(folder: Path, store: str, seed: int, several: bool = False) -> Iterator[tuple[Campaign, Readers]]:
    """A market on local files or on one of `SERVERS`, with readers polling it."""
    with ExitStack() as stack:
        environ: dict[str, str] = {}
        root = str(folder / "market")
        if store in SERVERS:
            server = stack.enter_context(SERVERS[store](folder))
            environ, root = server.environment(), f"s3://{server.new_bucket()}/market"
            _adopt(environ)
        children = stack.enter_context(zygote(folder / "children", environ))
        bundle = str(folder / "bundle")
        assert children.start(bundle=bundle).wait() == 0
        made = Campaign(Market(root, bundle), children, seed, several)
        readers = Readers(root, KEY, made.expected[2], several)
        with readers.polling():
            yield made, readers


def _adopt(environ: dict[str, str]) -> None:
    """This process and its readers find the same server."""
    import os

    os.environ.update(environ)


def table(figures: Figures, seen: dict[str, Observations], seconds: float) -> str:
    """Everything counted, for people."""
    lines = [
        f"runs {figures.runs}, starts {figures.starts}, kills {sum(figures.kills.values())}, {seconds:,.0f} s",
        f"exit codes {dict(sorted(figures.exit_codes.items()))}",
        "",
        f"{'phase':<10} {'killed by name':>15} {'at random':>10} {'all':>5}",
    ]
    lines.extend(
        f"{phase:<10} {figures.named[phase]:>15} {figures.random[phase]:>10} {figures.kills[phase]:>5}"
        for phase in ("start", *PHASES)
    )
    again, staged = figures.begun - figures.units, figures.saved - figures.units
    lines += [
        "",
        f"units {figures.units}; begun again {again}, staged again {staged}",
        f"collections (gc) {figures.collections}, starts that found their staging collected {figures.staging_gone},"
        f" rollbacks {figures.rollbacks}",
        "",
        f"{'reader by':<10} {'polls':>8} {'before the first':>17} {'versions seen':>14} {'mixed':>6} {'wrong':>6}",
    ]
    for name, found in seen.items():
        counted = f"{len(found.versions):>14} {found.mixed:>6} {len(found.wrong):>6}"
        lines.append(f"{name:<10} {found.polls:>8,} {found.empty:>17,} {counted}")
    problems = [*figures.broken, *(f"{name}: {text}" for name, found in seen.items() for text in found.wrong)]
    return "\n".join([*lines, "", *problems, "No rule was broken." if not problems else f"{len(problems)} PROBLEMS"])


def _runs(wanted: argparse.Namespace) -> list[tuple[str, int]]:
    return [(what, getattr(wanted, what)) for what in ("local", "several", *SERVERS)]


def main() -> int:
    """The campaigns that `make kills` wants."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--local", type=int, default=22, help="runs on local files")
    parser.add_argument("--several", type=int, default=8, help="runs on local files, each version several files")
    parser.add_argument("--moto", type=int, default=5, help="runs in S3, where copies know no conditions")
    parser.add_argument("--gateway", type=int, default=5, help="runs in S3, where every condition is checked")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    failed = False
    for what, runs in _runs(wanted):
        if not runs:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            with campaign(Path(folder), what, wanted.seed, what == "several") as (made, readers):
                for number in range(runs):
                    made.run(number)
            sys.stdout.write(f"== {what}\n{table(made.figures, readers.seen, time.monotonic() - began)}\n\n")
            sys.stdout.flush()
        failed |= bool(made.figures.broken or any(found.wrong for found in readers.seen.values()))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
