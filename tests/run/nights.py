"""Published nights without scoring anything: predictions and manifests as a run leaves them, for tests of what reads
them."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.model.readout import Meaning
from scorer.objectstore import ObjectStore, join
from scorer.output import predictions, quarantine, tally
from scorer.output.commit import Ledger
from scorer.output.manifest import OutputFile, RunManifest
from scorer.output.predictions import Origin, ScoredRows
from scorer.output.sinks import parquet

STORE = ObjectStore()
BEGAN = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)


def manifest(run_id: str = "run-1", **changes: Any) -> RunManifest:
    """The account of a plain run on two cores: 1,000 rows and 1,000 images, 30 s of scoring, 40 s in all."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "start": run_id,
        "partition": "ds=2026-11-01",
        "listings": "l",
        "plan_digest": hashlib.sha256(run_id.encode()).hexdigest()[:24],
        "bundle": {"uri": "b", "name": "homes", "version": "1", "digest": "d" * 64},
        "counts": {"rows_in": 1000, "scored": 1000, "images_given": 1000, "images_used": 1000, "images_read": 1000},
        "predictions": (),
        "quarantine": (),
        "units": 1,
        "units_done_earlier": 0,
        "started_at": BEGAN,
        "finished_at": BEGAN + timedelta(seconds=40),
        "seconds": 40.0,
        "stages": {
            "load TensorFlow": {"wall_s": 6.0, "cpu_s": 6.0, "items": 2},
            "scoring": {"wall_s": 30.0, "cpu_s": 60.0, "items": 1000},
            "head": {"wall_s": 6.0, "cpu_s": 6.0, "items": 1000},
            "stage": {"wall_s": 1.0, "cpu_s": 1.0, "items": 1000},
            "audit": {"wall_s": 1.0, "cpu_s": 1.0, "items": 1000},
        },
        "profile": {"images": 1000, "cores": 2},
        "settings": {"speed": {"decode_threads": 0}, "precision": "float32"},
        "versions": {},
    }
    return RunManifest.model_validate({**values, **changes})


def publish(
    root: str,
    key: str,
    scores: Mapping[str, float],
    run_id: str = "",
    *,
    meaning: Meaning | None = None,
    told: Mapping[str, Any] | None = None,
    **changes: Any,
) -> None:
    """One night of ROOT/predictions: listing -> score; NaN: the row failed.

    Args:
        root: of the market.
        key: partition.
        scores: the main score.
        run_id: by default made of the key.
        meaning: what the files say of themselves; None: nothing, as earlier versions did.
        told: further attributes of `ScoredRows`; `scores` among them are added to the main one.
        changes: to the manifest.
    """
    run_id = run_id or f"run-of-{key}"
    state = join(root, "predictions.scorer", key)
    account = manifest(run_id, partition=key, **changes)
    folder = join(state, account.plan_digest, "starts", run_id)

    def stage(kind: str, table: pa.Table) -> tuple[OutputFile, ...]:
        lineage = {"scorer.run_id": run_id, "scorer.start": run_id}
        lineage |= {predictions.MEANING: meaning.model_dump_json()} if meaning else {}
        place = parquet.Destination(join(folder, kind), join(root, kind, key), table.schema, lineage, 1000)
        return parquet.stage([table], place, STORE)

    rows = pa.record_batch({"listing_id": pa.array(list(scores)), "image_uris": [["a"]] * len(scores)})
    values, counts = np.array(list(scores.values()), np.float64), np.ones(len(scores), np.int32)
    further = dict(told or {})
    columns = {"prediction": values, **further.pop("scores", {})}
    table = predictions.table(
        ScoredRows(rows, columns, {}, counts, counts, **further), Origin(run_id, "homes", "1", "d" * 64)
    )
    refused = quarantine.table(rows.slice(0, 0), {}, "s3://b/in.parquet", 0, run_id)
    assert tally.count(table, refused, [], 0).predicted == len(scores)
    account = account.model_copy(
        update={"predictions": stage("predictions", table), "quarantine": stage("quarantine", refused)}
    )
    uri = join(folder, "manifest.json")
    STORE.put(uri, account.model_dump_json().encode())
    ledger = Ledger(state, key, STORE)
    ledger.publish(account, uri, ledger.read())
    ledger.expose()
