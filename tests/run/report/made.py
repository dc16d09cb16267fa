"""Nights that were never scored: real listings, photographs, predictions and manifests, made up without a model."""

import io
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from scorer.contracts import built_in
from scorer.demo.market import Market, make_market
from scorer.intake.partitions import open_partition
from scorer.model.bundle import Bundle
from scorer.model.intervals import Band, Intervals
from scorer.model.readout import Meaning, Readout
from scorer.objectstore import ObjectStore, join
from scorer.output import predictions
from scorer.output.commit import Ledger
from scorer.output.distribution import Distribution, Distributions, Mean, ScoreDistribution
from scorer.output.gates.verdict import Verdict
from scorer.output.manifest import BundleRef, RunManifest, versions
from scorer.output.profile import Profile
from scorer.output.reference import training
from scorer.output.sinks import parquet
from scorer.output.tally import Fault, Tally
from scorer.run.check import Checked
from scorer.run.observers import Account
from scorer.run.plan import Plan
from scorer.run.report.watch import Sample
from scorer.run.start import Start
from scorer.run.tools import Tools
from scorer.settings import Job
from scorer.telemetry import Reporter

BUNDLE = BundleRef(uri="/models/prices", name="prices", version="7", digest="5e" * 32)
BINS = 12
BANDS = (
    Band(images=True, segment=None, low=-0.2, high=0.2, n=312, coverage=0.904),
    Band(images=False, segment=None, low=-0.4, high=0.4, n=340, coverage=0.897, images_taken_away=True),
)
READOUT = Readout(intervals={"prediction": Intervals(level=0.9, bands=BANDS)})
FEATURES = ("area_m2", "rooms", "year_built", "has_garden", "city")


@dataclass
class Place:
    """One marketplace, and the state that its nights leave."""

    market: Market
    store: ObjectStore = field(default_factory=ObjectStore)
    said: io.StringIO = field(default_factory=io.StringIO)

    def job(self, night: str, **settings: Any) -> Job:
        """The job of one night."""
        root = str(self.market.directory)
        places = {name: join(root, name) for name in ("listings", "predictions", "bundle")}
        return Job.model_validate({**places, "partition": night, **settings})


def place(folder: Path) -> Place:
    """Sixty homes over three nights, photographs and their flaws included."""
    return Place(make_market(folder, seed=3, listings=60))


def account(of: Place, night: str, moved: float = 1.0, hostile: str = "", **settings: Any) -> Account:
    """A night that was scored and published.

    Args:
        of: the marketplace.
        night: partition key.
        moved: what every prediction is multiplied by.
        hostile: put in place of the id of the listing with the highest prediction, in listings and predictions.
        settings: of the job.
    """
    rows = _rows(of, night, hostile)
    job, table = of.job(night, **settings), _predictions(rows, moved)
    start = _start(of, job, night, len(rows))
    seen = Ledger(join(job.state_uri, night), night, of.store).read()
    manifest = _manifest(start, table, rows, training(_learned(of)))
    uri = join(start.staged_folder, "manifest.json")
    of.store.put(uri, manifest.model_dump_json().encode())
    ledger = Ledger(join(job.state_uri, night), night, of.store)
    ledger.publish(manifest, uri, seen)
    ledger.expose()
    ended = start.began + timedelta(seconds=manifest.seconds)
    return Account(job, start.tools, start.began, ended, start, manifest, "published")


def refused(of: Place, night: str) -> Account:
    """The same night, stopped by two gates."""
    made = account(of, night)
    assert made.manifest is not None
    verdicts = (
        Verdict(gate="rows", status="pass", measured=1.02, limit=1.8, reason="58 rows, 57 last time."),
        Verdict(
            gate="score_shift",
            status="fail",
            about="predictions",
            measured=0.41,
            limit=0.25,
            reason="predictions: PSI 0.410 against ds=2026-11-23 (limit 0.25). Look at the images first.",
        ),
        Verdict(gate="images", status="fail", measured=0.3, limit=0.1, reason="30 % of the images were not found."),
        Verdict(gate="degraded", status="warn", measured=0.2, limit=0.1, reason="20 % of the rows are degraded."),
        Verdict(gate="freshness", status="not judged", reason="Not judged: no limit is set."),
    )
    made.manifest = made.manifest.model_copy(update={"verdicts": verdicts, "outcome": "refused"})
    made.outcome, made.exit_code, made.error = "refused", 4, "ds=2026-11-24: refused by the gates score_shift, images."
    return made


def failed(of: Place, night: str, error: str, exit_code: int = 3) -> Account:
    """A run that ended before it had a plan."""
    began = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    tools = Tools(of.store, Reporter(of.said, people=False))
    return Account(of.job(night), tools, began, began + timedelta(seconds=3), None, None, "failed", error, exit_code)


def samples(seconds: float = 90.0, rate: float = 800.0) -> tuple[Sample, ...]:
    """A run that loads for ten seconds, then goes on at a rate that sways."""
    found, images, cpu = [], 0.0, 0.0
    for second in np.arange(0.0, seconds, 0.5):
        busy = second > 10
        images += 0.5 * rate * (1 + 0.2 * np.sin(second / 7)) if busy else 0.0
        cpu += 0.5 * (1.85 if busy else 0.9)
        found.append(Sample(float(second), int(images / 3), int(images), cpu))
    return tuple(found)


def _rows(of: Place, night: str, hostile: str) -> list[dict[str, Any]]:
    """The listings that can be scored: ids that are there, once."""
    folder = of.market.listings / night
    rows = ds.dataset(folder, format="parquet").to_table().to_pylist()
    once = Counter(row["listing_id"] for row in rows)
    kept = [row for row in rows if row["listing_id"] is not None and once[row["listing_id"]] == 1]
    if hostile:
        dearest = max(kept, key=lambda row: row["price"])
        dearest["listing_id"] = hostile
        for file in sorted(folder.glob("*.parquet")):
            file.unlink()
        pq.write_table(pa.Table.from_pylist(rows), folder / "part-00000.parquet")
    return kept


def _reasons(row: dict[str, Any]) -> list[str]:
    found = [] if row["image_uris"] else ["no_images"]
    return sorted([*found, *(["feature_missing"] if row["year_built"] is None else [])])


def _predictions(rows: list[dict[str, Any]], moved: float) -> pa.Table:
    random = np.random.default_rng(len(rows))
    reasons = [_reasons(row) for row in rows]
    count = len(rows)
    prices = [row["price"] * moved * float(random.normal(1.0, 0.04)) for row in rows]
    columns = {
        "listing_id": [row["listing_id"] for row in rows],
        "prediction": prices,
        "status": ["degraded" if why else "scored" for why in reasons],
        "reasons": reasons,
        "images_given": [len(row["image_uris"]) for row in rows],
        "images_used": [len(row["image_uris"]) for row in rows],
        **{f"bundle_{name}": [getattr(BUNDLE, name)] * count for name in ("name", "version", "digest")},
        "input_fingerprint": ["0" * 32] * count,
        "carried_from_run": [None] * count,
        "run_id": ["run"] * count,
        "scored_at": [datetime(2026, 11, 24, tzinfo=UTC)] * count,
    }
    columns |= {f"prediction_{end}": [value * by for value in prices] for end, by in (("low", 0.8), ("high", 1.25))}
    columns |= {"prediction_class": [None] * count, "image_effect": [1000.0 * len(row["image_uris"]) for row in rows]}
    return pa.table(columns, schema=predictions.schema(("prediction",)))


def _start(of: Place, job: Job, night: str, rows: int) -> Start:
    tools = Tools(of.store, Reporter(of.said, people=False))
    with tools.stages("decode", 3 * rows), tools.stages("image tower", 3 * rows), tools.stages("head", rows):
        pass
    partition = open_partition(job.listings, night, of.store)
    assert partition is not None
    bundle = SimpleNamespace(**BUNDLE.model_dump(), profile=_learned(of), readout=READOUT, meaning=Meaning(level=0.9))
    now = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    plan = Plan(
        digest="ab" * 12,
        run_id=f"20261124T030000Z-{night[-2:]}cdef00",
        partition=night,
        created_at=now,
        bundle_digest=BUNDLE.digest,
        rows=rows,
        ids_checksum=0,
        repeated_ids=(),
        units=(),
        batch_images=32,
    )
    return Start(job, tools, Checked(partition, cast(Bundle, bundle), None), plan, now)


def _manifest(start: Start, table: pa.Table, rows: list[dict[str, Any]], learned: Distributions) -> RunManifest:
    listed = join(start.job.predictions, start.plan.partition)
    destination = parquet.Destination(
        join(start.staged_folder, "predictions"), listed, table.schema, start.lineage, start.job.rows_per_file
    )
    empty = built_in("quarantine").arrow_schema()
    refuse = parquet.Destination(
        join(start.staged_folder, "quarantine"), listed + ".quarantine", empty, start.lineage, start.job.rows_per_file
    )
    return RunManifest(
        run_id=start.plan.run_id,
        start=start.token,
        partition=start.plan.partition,
        listings=start.checked.partition.place,
        plan_digest=start.plan.digest,
        bundle=BUNDLE,
        counts=_tally(table, rows),
        predictions=parquet.stage([table], destination, start.tools.store),
        quarantine=parquet.stage([], refuse, start.tools.store),
        units=4,
        units_done_earlier=1,
        started_at=start.began,
        finished_at=start.began + timedelta(seconds=92),
        seconds=92.0,
        stages=start.tools.stages.summary(),
        profile=Profile(
            images=180,
            images_per_s=812.0,
            cpu_ms_per_image=1.9,
            cores_busy=1.8,
            cores=2,
            bottleneck="Decoding set the pace: all cores were busy.",
        ),
        settings=start.job.model_dump(mode="json"),
        versions=versions(),
        distributions=distributions(rows, table.column("prediction").to_pylist(), learned),
    )


def _tally(table: pa.Table, rows: list[dict[str, Any]]) -> Tally:
    status = Counter(table.column("status").to_pylist())
    reasons = Counter(name for names in table.column("reasons").to_pylist() for name in names)
    images = sum(len(row["image_uris"]) for row in rows)
    faults = {"image_not_found": 3, "image_corrupt": 2}
    examples = tuple(
        Fault(reason=why, uri=f"_images/{why}-{at}.jpg", detail="it is <b>not</b> there & never was")
        for why in faults
        for at in range(2)
    )
    return Tally(
        rows_in=table.num_rows + 3,
        scored=status["scored"],
        degraded=status["degraded"],
        failed=status["failed"],
        quarantined=3,
        images_given=images,
        images_used=images - 5,
        images_read=images,
        reasons=dict(reasons),
        quarantine_reasons={"id_duplicated": 2, "id_missing": 1},
        faults=faults,
        examples=examples,
    )


def _learned(of: Place) -> dict[str, Any]:
    """What the first night looked like, as a bundle's profile tells it."""
    rows = ds.dataset(of.market.listings / of.market.nights[0], format="parquet").to_table().to_pylist()
    prices = np.array([row["price"] for row in rows])
    columns = {name: [row[name] for row in rows] for name in FEATURES}
    return {
        "rows": len(rows) * 20,
        "features": {name: _profile(values) for name, values in columns.items()},
        "scores": {"rows": len(rows) * 20, **_profile(list(prices))},
        "target": _profile(list(prices)),
    }


def _profile(values: list[Any]) -> dict[str, Any]:
    there = [value for value in values if value is not None]
    null_share = 1 - len(there) / len(values)
    if isinstance(there[0], (str, bool)):
        found = Counter(there)
        kind = "category" if isinstance(there[0], str) else "boolean"
        top = {str(value): rows / len(values) for value, rows in found.most_common()}
        return {"kind": kind, "null_share": null_share, "top": top, "other_share": 0.0}
    numbers = np.array(there, np.float64)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = np.bincount(np.searchsorted(edges, numbers, side="right"), minlength=len(edges) + 1) / len(numbers)
    return {
        "kind": "number",
        "null_share": null_share,
        "edges": edges.tolist(),
        "shares": shares.tolist(),
        "mean": float(numbers.mean()),
        "deviation": float(numbers.std()),
        "quantiles": {"0.0": float(numbers.min()), "1.0": float(numbers.max())},
    }


def distributions(rows: list[dict[str, Any]], scores: list[float], learned: Distributions) -> Distributions:
    """Rows and scores in the bins of the training."""
    features = {name: _binned([row[name] for row in rows], learned.features[name]) for name in FEATURES}
    values = np.array(scores)
    return Distributions(
        features=features,
        scores=ScoreDistribution(
            histogram=_binned(scores, learned.scores.histogram),
            minimum=float(values.min()),
            maximum=float(values.max()),
            mean=float(values.mean()),
            deviation=float(values.std()),
        ),
        image_effect=Mean(rows=len(rows), mean=-250.0, absolute=1500.0),
        width=Mean(rows=len(rows), mean=81_000.0, absolute=81_000.0),
    )


def _binned(values: list[Any], bins: Distribution) -> Distribution:
    there = [value for value in values if value is not None]
    if bins.kind == "number":
        found = np.searchsorted(bins.edges, np.array(there, np.float64), side="right")
        counts = tuple(np.bincount(found, minlength=len(bins.edges) + 1).tolist())
    else:
        names = Counter(str(value) for value in there)
        counts = (
            *(names[value] for value in bins.values),
            sum(rows for value, rows in names.items() if value not in bins.values),
        )
    return bins.model_copy(update={"counts": counts, "missing": len(values) - len(there)})
