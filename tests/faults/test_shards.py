"""Three shards as processes of their own, at the same time, one of them killed among its units and started again."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from scorer.objectstore import join
from scorer.output.commit import Ledger
from tests import tiny
from tests.faults.processes import Child, Zygote, zygote
from tests.tiny import KEY, Market, local_market

UNITS = 10

KILL = 9
"""Among the requests of a shard while it scores: after it has staged a unit."""


def arguments(market: Market, predictions: str, shard: str | None) -> list[str]:
    return [
        *("score", "--listings", market.listings, "--partition", KEY, "--bundle", market.bundle),
        *("--predictions", join(market.root, predictions), "--set", "rows_per_unit=3", "--set", "gates.enforce=false"),
        *(("--shard", shard) if shard else ()),
    ]


def rows(market: Market, what: str) -> pa.Table:
    return market.read(what).drop_columns(["run_id", "scored_at"]).replace_schema_metadata(None)


def told(child: Child, what: str) -> list[Any]:
    return [fact for name, fact in child.facts() if name == what]


def test_shards_that_are_killed_and_started_again_publish_the_rows_of_one_run(tmp_path: Path) -> None:
    tiny.make_bundle(str(tmp_path / "bundle"))
    market = local_market(tmp_path, str(tmp_path / "bundle"), rows=30)
    with zygote(tmp_path / "children") as children:
        assert children.start(arguments(market, "calm", None)).wait() == 0
        first = [start(children, market, number, KILL if number == 1 else None) for number in range(3)]
        codes = [child.wait() for child in first]
        assert codes[1] == -9
        assert codes[0] == codes[2] == 0, [child.text() for child in first]
        last = start(children, market, 1, None)
        assert last.wait() == 0, last.text()
    saved = [unit for child in (*first, last) for unit in told(child, "saved")]
    begun = [unit for child in (*first, last) for unit in told(child, "begun")]
    assert len(set(saved)) == UNITS
    assert len(begun) - UNITS <= 2, "of one process that was killed at most what it had in hand is done again"
    assert rows(market, "predictions") == rows(market, "calm")
    record = Ledger(join(market.root, "predictions.scorer", KEY), KEY, market.store).read().record
    assert len(record.versions) == 1


def start(children: Zygote, market: Market, number: int, kill: int | None) -> Child:
    at = ("score", kill) if kill else None
    return children.start(arguments(market, "predictions", f"{number}/3"), kill=at)
