"""One partition scored by two bundles, publishing nothing: how far they agree, and which listings move most."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer.errors import InputChanged, Interrupted
from scorer.intake.ids import read_ids
from scorer.model.tensorflow_alone import tensorflow_alone
from scorer.objectstore import ObjectStore, canonical, join, parse
from scorer.output.attempts import Attempts
from scorer.output.predictions import MAIN_OUTPUT
from scorer.output.staging import UnitResult
from scorer.output.tally import Tally, add
from scorer.run.agreement import Agreement, Movers, agreement
from scorer.run.check import Checked, check
from scorer.run.plan import UNIT_BYTES, make_plan
from scorer.run.retries import finish_all
from scorer.run.tools import Tools
from scorer.settings import Job

Floats = npt.NDArray[np.float64]

MOVERS = 20
"""Listings shown that move most."""

OUT = pa.schema(
    {
        "listing_id": pa.string(),
        "prediction_a": pa.float64(),
        "prediction_b": pa.float64(),
        "difference": pa.float64(),
        "status_a": pa.string(),
        "status_b": pa.string(),
    }
)
"""Columns of the file that `compare` writes on demand."""


@dataclass(frozen=True)
class Side:
    """One of the two scorings.

    Attributes:
        bundle: its place.
        name: of the bundle.
        version: of the bundle.
        digest: of the bundle.
        target: the column that it predicts.
        counts: of the rows.
        seconds: from the first unit to the last.
    """

    bundle: str
    name: str
    version: str
    digest: str
    target: str
    counts: Tally
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """What the comparison found. `agreement` is None where no listing has a score by both."""

    partition: str
    a: Side
    b: Side
    agreement: Agreement | None
    movers: tuple[dict[str, Any], ...]

    def plain(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "partition": self.partition,
            **{name: {**asdict(side), "counts": side.counts.model_dump()} for name, side in self.sides().items()},
            "agreement": asdict(self.agreement) if self.agreement else None,
            "movers": list(self.movers),
        }

    def sides(self) -> dict[str, Side]:
        """Both, by name."""
        return {"a": self.a, "b": self.b}


UnitKey = tuple[str, str, int]
"""File, ETag, first row."""

STATUS = pa.array(["scored", "degraded", "failed"])


@dataclass(frozen=True)
class _Scored:
    """The rows of one unit by one bundle: scores float64 [n], NaN where there is none; status uint8 [n] of `STATUS`."""

    scores: Floats
    status: npt.NDArray[np.uint8]


@dataclass
class _Pass:
    """All units by one bundle, 9 bytes a row."""

    units: dict[UnitKey, _Scored] = field(default_factory=dict)

    def take(self, result: UnitResult) -> _Scored:
        """Keep the scores of one unit."""
        unit, table = result.unit, result.predictions
        scores = pc.fill_null(table.column(MAIN_OUTPUT), float("nan")).to_numpy()
        status = pc.index_in(table.column("status"), value_set=STATUS).to_numpy().astype(np.uint8)
        self.units[unit.file, unit.etag, unit.start] = found = _Scored(scores, status)
        return found


def compare(job: Job, bundles: tuple[str, str], tools: Tools, out: str | None = None) -> Comparison:
    """Score one partition by each of two bundles.

    Args:
        job: listings, partition and settings; its predictions, quarantine and state are not touched.
        bundles: the places of a and b.
        tools: store, voice, and an ear for signals.
        out: a Parquet file for every listing's two scores; None: no file.

    Raises:
        NothingToDo, SettingsError, InputError, BundleError, Transient: nothing was written.
    """
    if out is not None:
        parse(out)
    with tempfile.TemporaryDirectory(prefix="scorer-") as scratch:
        first, second, movers = _Pass(), _Pass(), Movers(MOVERS)
        jobs = [_job(job, bundle, scratch) for bundle in bundles]
        checked = [check(one, tools.store) for one in jobs]  # both before the first of them takes its time
        rows = min(one.bundle.rows_within(UNIT_BYTES, job.rows_per_unit) for one in checked)
        jobs = [one.model_copy(update={"rows_per_unit": rows}) for one in jobs]  # the same units by both
        try:
            a = _score(jobs[0], checked[0], tools, lambda result: first.take(result))
            with _written(out, Path(scratch, "out.parquet"), tools.store) as write:
                b = _score(jobs[1], checked[1], tools, lambda result: _beside(result, first, second, movers, write))
        except Interrupted:
            raise Interrupted(f"Stopped by {tools.stop.asked}. Nothing was written. Start again.") from None
    return Comparison(job.partition or job.listings, a, b, _agreement(first, second), tuple(movers.found))


def _job(job: Job, bundle: str, scratch: str) -> Job:
    """The job by one of the bundles, with nothing to publish to."""
    places = {"predictions": join(scratch, "predictions"), "quarantine": None, "state": None}
    return job.model_copy(
        update={**places, "bundle": bundle, "bundle_digest": None, "force": False, "reuse": "none", "shard": None}
    )


def _score(job: Job, checked: Checked, tools: Tools, take: Callable[[UnitResult], object]) -> Side:
    """Every unit of the partition, handed over as it is scored; nothing is staged."""
    bundle, place = checked.bundle, str(checked.partition)
    ids = read_ids(checked.partition, tools.store)
    with tensorflow_alone():
        from scorer.run.engines import local
        from scorer.run.worker import fitting_batch, worker
    plan = make_plan(bundle.digest, checked, ids, job, fitting_batch(bundle, job))
    attempts = Attempts(join(job.state_uri, "attempts"), bundle.digest, ObjectStore())
    text = f"{place} by {bundle.name} {bundle.version}: {plan.rows:,} rows in {len(plan.units)} work units."
    tools.reporter.event("scoring", text, rows=plan.rows, units=len(plan.units))
    tallies, began = [], time.monotonic()
    with worker(plan, checked, job, Tools(tools.store, tools.reporter, stop=tools.stop)) as ready:
        progress = tools.reporter.progress(place, plan.rows)
        run = partial(local.run, worker=ready, save=take, attempts=attempts)
        for done in finish_all(plan.units, Counter(), run, tools.reporter):
            tallies.append(done.tally)
            progress.advance(done.tally.rows_in, done.tally.images_read, done.tally.degraded)
        progress.finish()
    seconds = round(time.monotonic() - began, 3)
    return Side(bundle.uri, bundle.name, bundle.version, bundle.digest, bundle.target_column, add(tallies), seconds)


Write = Callable[[pa.Table], None]


def _beside(result: UnitResult, first: _Pass, second: _Pass, movers: Movers, write: Write) -> None:
    """One unit by b, held against the same unit by a."""
    unit, ids = result.unit, result.predictions.column("listing_id")
    a, b = first.units.get((unit.file, unit.etag, unit.start)), second.take(result)
    if a is None or len(a.scores) != len(b.scores):
        raise InputChanged(f"{unit.file} changed between the two scorings. Nothing was written. Start again.")
    movers.add(ids, a.scores, b.scores)
    scores = [pa.array(scores, pa.float64(), from_pandas=True) for scores in (a.scores, b.scores, b.scores - a.scores)]
    status = [STATUS.take(pa.array(one.status)) for one in (a, b)]
    write(pa.table([ids, *scores, *status], schema=OUT))


@contextmanager
def _written(out: str | None, scratch: Path, store: ObjectStore) -> Iterator[Write]:
    """Writes tables to a file that comes into its place whole, if nothing fails; or nowhere."""
    if out is None:
        yield lambda table: None
        return
    with pq.ParquetWriter(scratch, OUT, compression="zstd") as writer:
        yield writer.write_table
    store.put_file(canonical(out), scratch)


def _agreement(first: _Pass, second: _Pass) -> Agreement | None:
    scores = [
        np.concatenate([one.units[key].scores for key in first.units] or [np.empty(0)]) for one in (first, second)
    ]
    both = np.isfinite(scores[0]) & np.isfinite(scores[1])
    return agreement(scores[0][both], scores[1][both]) if both.any() else None
