"""Finished units, read back."""

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from scorer.errors import StagingGone
from scorer.intake.partitions import Unit
from scorer.objectstore import Blob, ObjectStore
from scorer.output.staging import READ_AHEAD, Staging, UnitResult
from scorer.output.tally import Tally

UNITS = [Unit(f"unit-{number}", "file.parquet", "etag", number, 1) for number in range(3 * READ_AHEAD)]


class AnswersSeveral(ObjectStore):
    """A store that lets nobody have an object before so many have asked for one."""

    together = threading.Barrier(READ_AHEAD, timeout=60)

    def get(self, uri: str, **how: Any) -> Blob:
        self.together.wait()
        return super().get(uri, **how)


def staging(folder: Path, store: ObjectStore) -> Staging:
    staged = Staging(str(folder), "run", store)
    for unit in UNITS:
        rows = pa.table({"listing_id": [unit.id]})
        staged.save(UnitResult(unit, rows, rows, Tally(rows_in=1 + unit.start)))
    return staged


def test_many_units_are_fetched_at_a_time_and_come_in_their_order(tmp_path: Path) -> None:
    staged = staging(tmp_path, AnswersSeveral())

    found = list(staged.predictions(UNITS))

    assert [unit.predictions["listing_id"].to_pylist() for unit in found] == [[unit.id] for unit in UNITS]
    assert [unit.tally.rows_in for unit in found] == [1 + unit.start for unit in UNITS]
    assert [table["listing_id"].to_pylist() for table in staged.quarantine(UNITS)] == [[unit.id] for unit in UNITS]


def test_a_unit_that_is_gone_is_named_after_those_before_it(tmp_path: Path) -> None:
    staged = staging(tmp_path, ObjectStore())
    (tmp_path / "unit-5.run.predictions.parquet").unlink()
    units = staged.predictions(UNITS)

    before = [next(units) for _ in range(5)]

    assert [unit.tally.rows_in for unit in before] == [1, 2, 3, 4, 5]
    with pytest.raises(StagingGone, match="unit-5"):
        next(units)
