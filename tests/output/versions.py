"""Small versions of one partition, staged as a run would, for tests of publishing, exposing, rollback and gc."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scorer.objectstore import ObjectStore, join
from scorer.output import predictions, quarantine, tally
from scorer.output.commit import Ledger, Version
from scorer.output.manifest import OutputFile, RunManifest, Staged
from scorer.output.predictions import Origin, ScoredRows
from scorer.output.sinks import Sink, parquet, sink

STORE = ObjectStore()
KEY = "ds=2026-11-24"


def scored(ids: list[str], run_id: str = "run-1") -> pa.Table:
    """Predictions of a few rows: the second is degraded, the third fails."""
    rows = pa.record_batch({"listing_id": pa.array(ids), "area": np.arange(len(ids)), "image_uris": [["a"]] * len(ids)})
    scores = np.arange(len(ids), dtype=np.float64)
    degraded = np.arange(len(ids)) == 1
    scores[2:3] = np.nan
    counts = np.ones(len(ids), np.int32)
    return predictions.table(
        ScoredRows(rows, {"prediction": scores}, {"no_images": degraded}, counts, counts),
        Origin(run_id, "homes", "1", "d" * 64),
    )


def refused(ids: list[str | None], run_id: str = "run-1") -> pa.Table:
    rows = pa.record_batch({"listing_id": pa.array(ids, pa.string())})
    verdicts = dict.fromkeys(range(len(ids)), ("id_duplicated", "twice"))
    return quarantine.table(rows, verdicts, "s3://b/in.parquet", 0, run_id)


def state_of(root: str, key: str = KEY) -> str:
    """Of one partition."""
    return join(root, "predictions.scorer", key)


def ledger_of(root: str, key: str = KEY) -> Ledger:
    return Ledger(state_of(root, key), key, STORE)


def plan_of(run_id: str) -> str:
    return hashlib.sha256(run_id.encode()).hexdigest()[:24]


def staged_run(
    root: str, run_id: str, ids: list[str], per_file: int = 10, key: str = KEY, into: str = "parquet"
) -> tuple[Staged, RunManifest]:
    """All that a run does before its publish; its one start is named like the run."""
    folder = join(state_of(root, key), plan_of(run_id), "starts", run_id)

    def stage(kind: str, table: pa.Table, to: Sink) -> tuple[OutputFile, ...]:
        lineage = {"scorer.run_id": run_id, "scorer.start": run_id}
        place = parquet.Destination(join(folder, kind), join(root, kind, key), table.schema, lineage, per_file, key)
        return to.stage([table], place, STORE)

    found, rest = scored(ids, run_id), refused([], run_id)
    staged = Staged(folder, stage("predictions", found, sink(into)), stage("quarantine", rest, sink("parquet")))
    counts = tally.count(found, rest, [], 0).model_copy(update={"rows_in": len(ids)})
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "run_id": run_id,
        "start": run_id,
        "partition": key,
        "sink": into,
        "listings": "l",
        "plan_digest": plan_of(run_id),
        "bundle": {"uri": "b", "name": "homes", "version": "1", "digest": "d" * 64},
        "counts": counts,
        "predictions": staged.predictions,
        "quarantine": staged.quarantine,
        "units": 1,
        "units_done_earlier": 0,
        "started_at": now,
        "finished_at": now,
        "seconds": 0.1,
        "stages": {},
        "settings": {},
        "versions": {},
    }
    empty: dict[str, Any] = {name: {} for name in RunManifest.model_fields if name == "profile"}
    manifest = RunManifest.model_validate({**values, **empty})
    return staged, manifest


def published(
    root: str,
    run_id: str,
    ids: list[str],
    per_file: int = 10,
    expose: bool = True,
    key: str = KEY,
    into: str = "parquet",
) -> Version:
    """A run staged, published and exposed."""
    staged, manifest = staged_run(root, run_id, ids, per_file, key, into)
    ledger, uri = ledger_of(root, key), join(staged.folder, "manifest.json")
    STORE.put(uri, manifest.model_dump_json().encode())
    version = ledger.publish(manifest, uri, ledger.read())
    if expose:
        ledger.expose()
    return version


def current(root: str) -> str:
    """The run that the record names."""
    version = ledger_of(root).read().record.current
    assert version is not None
    return version.run_id


def listed(root: str, kind: str = "predictions") -> pa.Table:
    """What a reader that lists the folder sees."""
    tables = []
    for info in STORE.list_all(join(root, kind, KEY)):
        with STORE.open(info.uri) as handle:
            tables.append(pq.read_table(handle))
    return pa.concat_tables(tables)


def linked(root: str, kind: str = "predictions") -> list[str]:
    """What the symlink manifest names."""
    uri = join(root, "predictions.scorer", "symlinks", kind, KEY, "manifest")
    return STORE.get(uri).data.decode().splitlines()
