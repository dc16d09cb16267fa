"""A unit whose images the store did not deliver is tried again; on its last attempt its rows do without them."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scorer import score_partition
from scorer.errors import AuditError, Interrupted, StoreUnreachable
from scorer.intake.partitions import Unit
from scorer.objectstore import ObjectStore, join
from scorer.output.attempts import Attempts
from scorer.output.tally import Tally
from scorer.run import retries
from scorer.run.engines import local
from scorer.run.stage_units import UnitDone
from scorer.telemetry import Reporter
from tests.tiny import KEY, Market, listing, local_market


@pytest.fixture
def market(tmp_path: Path, bundle: str, monkeypatch: pytest.MonkeyPatch) -> Market:
    monkeypatch.setattr(retries, "PAUSE_S", 0.01)
    return local_market(tmp_path, bundle)


@pytest.fixture
def isolated(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[str]]:
    """What each pass was told to decode in processes of its own."""
    told, run = [], local.run

    def noting(units: Sequence[Any], last: frozenset[str], **others: Any) -> Iterator[Any]:
        told.append(last)
        yield from run(units, last, **others)

    monkeypatch.setattr(local, "run", noting)
    return told


def failing(monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> list[str]:
    """The store does not deliver one image so many times."""
    get, failed = ObjectStore.get, list[str]()

    def flaky(self: ObjectStore, uri: str, **named: Any) -> Any:
        if uri.endswith(name) and len(failed) < times:
            failed.append(uri)
            raise StoreUnreachable(f"{uri}: timed out")
        return get(self, uri, **named)

    monkeypatch.setattr(ObjectStore, "get", flaky)
    return failed


def test_an_image_that_comes_on_the_second_attempt_costs_nothing(
    market: Market, monkeypatch: pytest.MonkeyPatch, isolated: list[frozenset[str]]
) -> None:
    failed = failing(monkeypatch, "img/6.jpg", times=1)
    manifest = score_partition(market.job(rows_per_unit=5))
    assert (len(failed), manifest.counts.degraded, manifest.counts.scored) == (1, 0, 20)
    assert [len(units) for units in isolated] == [0, 0]
    assert market.read().column("listing_id").to_pylist() == [f"home-{n}" for n in range(20)]


def test_an_image_that_never_comes_degrades_its_rows_on_the_third_attempt(
    market: Market, monkeypatch: pytest.MonkeyPatch, isolated: list[frozenset[str]]
) -> None:
    market.write_images({"img/far.jpg": market.store.get(join(market.listings, "img/0.jpg")).data})
    rows = [{**row, "image_uris": ["img/far.jpg"]} if n == 11 else row for n, row in enumerate(map(listing, range(20)))]
    market.write(rows)
    failing(monkeypatch, "img/far.jpg", times=99)
    manifest = score_partition(market.job(rows_per_unit=5))
    assert (manifest.counts.degraded, manifest.counts.reasons) == (1, {"image_unreachable": 1})
    assert [len(units) for units in isolated] == [0, 0, 1]


def test_attempts_of_earlier_starts_count(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def dying(units: Sequence[Any], last: frozenset[str], attempts: Attempts, **_: Any) -> Iterator[Any]:
        attempts.begin(units[0].id)
        raise StoreUnreachable("the store went away")

    told, run = list[int](), local.run

    def noting(units: Sequence[Any], last: frozenset[str], **others: Any) -> Iterator[Any]:
        told.append(len(last))
        return (run if len(told) == 3 else dying)(units, last, **others)

    monkeypatch.setattr(local, "run", noting)
    for _ in range(2):
        with pytest.raises(StoreUnreachable, match="went away"):
            score_partition(market.job(rows_per_unit=20))
    assert score_partition(market.job(rows_per_unit=20)).counts.scored == 20
    assert told == [0, 0, 1]
    assert len(list(Path(market.root, "predictions.scorer", KEY).glob("*/attempts/*.json"))) == 3


@pytest.mark.parametrize("error", [Interrupted("the grace is over"), AuditError("what was taken over is wrong")])
def test_what_goes_wrong_while_the_units_in_hand_are_finished_is_heard_by_whoever_stopped(error: Exception) -> None:
    unit = Unit("a", "a.parquet", "etag", 0, 1)

    def run(units: Sequence[Unit], last: frozenset[str]) -> Generator[UnitDone, None, None]:
        try:
            while True:
                yield UnitDone(unit, Tally())
        except GeneratorExit:
            raise error from None

    staged = retries.finish_all([unit], Counter(), run, Reporter())
    next(staged)
    with pytest.raises(type(error), match=str(error)), closing(staged):
        raise Interrupted("the one in hand was finished first")
