"""One partition, from listings to published predictions. Start reading here."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa

from scorer.contracts import built_in
from scorer.errors import InputChanged
from scorer.intake.ids import read_ids
from scorer.intake.partitions import Unit, is_unchanged
from scorer.objectstore import join
from scorer.output import predictions, tally
from scorer.output.audit import audit
from scorer.output.commit import Ledger, Version
from scorer.output.manifest import BundleRef, RunManifest, Staged, versions
from scorer.output.sinks import parquet
from scorer.output.staging import Staging
from scorer.output.tally import Tally
from scorer.run.check import Checked, check
from scorer.run.plan import Plan, freeze, make_plan, partition_state, plan_digest
from scorer.run.tools import Tools
from scorer.settings import Job
from scorer.telemetry import hushed


def score_partition(job: Job, tools: Tools | None = None) -> RunManifest:
    """Every row read ends up scored, degraded, failed or quarantined; then, last of all, the run is published.

    Args:
        job: what to score, by which bundle, where to.
        tools: store, voice and timers; by default fresh ones.

    Returns:
        The manifest of the published run; of the earlier one where this very work is published already.

    Raises:
        NothingToDo: no such partition, or no row in it.
        SettingsError, InputError, ContractError, BundleError, AuditError, PublishedByAnother, Transient: nothing was
            published; what readers see is unchanged.
    """
    tools, started = tools or Tools(), datetime.now(UTC)
    checked = check(job, tools.store)
    state = partition_state(job, checked.partition)

    ledger = Ledger(state, checked.partition.key, tools.store)
    ledger.expose()  # an earlier run may have died between its publish and its copies
    seen = ledger.read()
    digest = plan_digest(checked, job, seen)
    if before := seen.published(digest):
        return _published_already(before, tools)

    ids = read_ids(checked.partition, tools.store)
    plan = freeze(make_plan(digest, checked, ids, job), state, tools.store)
    staging = Staging(join(plan.folder(state), "units"), tools.store)
    finished = staging.finished()
    _score([unit for unit in plan.units if unit.id not in finished], plan, staging, checked, job, tools)

    staged, counts = _stage(plan, staging, checked, job, tools)
    with tools.stages("audit", plan.rows):
        audit(staged, counts, ids, tools.store)
    if not is_unchanged(checked.partition, tools.store):
        raise InputChanged(f"The files of {checked.partition} changed meanwhile. Nothing was published. Start again.")

    manifest = _manifest(plan, staged, counts, checked, job, tools, started, len(finished))
    manifest_uri = join(staged.folder, "manifest.json")
    tools.store.put(manifest_uri, manifest.model_dump_json(indent=1).encode())
    ledger.publish(manifest, manifest_uri, seen)
    ledger.expose()
    tools.reporter.event("published", _verdict(manifest), counts=counts.model_dump(exclude={"examples"}))
    return manifest


def _published_already(before: Version, tools: Tools) -> RunManifest:
    text = f"Published already, by run {before.run_id} at {before.published_at:%Y-%m-%d %H:%M} UTC. Nothing was done."
    tools.reporter.event("published already", text, published_run=before.run_id)
    return RunManifest.model_validate_json(tools.store.get(before.manifest).data)


def _score(todo: list[Unit], plan: Plan, staging: Staging, checked: Checked, job: Job, tools: Tools) -> None:
    """Every unit of `todo` scored and staged, one by one."""
    if not todo:
        return
    with hushed():  # imports TensorFlow, some 8 s: only where there is something to compute
        from scorer.run.engines import local
        from scorer.run.worker import worker

    rows = sum(unit.rows for unit in todo)
    tools.reporter.fields["run_id"] = plan.run_id
    text = f"Run {plan.run_id}: {checked.partition}, {rows:,} rows in {len(todo)} of {len(plan.units)} work units."
    tools.reporter.event("scoring", text, rows=rows, units=len(todo))
    with worker(plan, checked, job, tools) as ready:
        progress = tools.reporter.progress(str(checked.partition), rows)
        for result in local.run(todo, ready):
            with tools.stages("write units"):
                staging.save(result)
            progress.advance(result.tally.rows_in, result.tally.images_read, result.tally.degraded)
        progress.finish()


def _stage(plan: Plan, staging: Staging, checked: Checked, job: Job, tools: Tools) -> tuple[Staged, Tally]:
    """The units put together in the order of the input, in a folder of this start's own."""
    folder = join(plan.folder(partition_state(job, checked.partition)), "attempts", secrets.token_hex(8))
    tallies: list[Tally] = []

    def scored() -> Iterator[pa.Table]:
        for table, unit_tally in staging.predictions(plan.units):
            tallies.append(unit_tally)
            yield table

    def destination(kind: str, listed: str, schema: pa.Schema) -> parquet.Destination:
        place = join(listed, plan.partition) if plan.partition else listed
        return parquet.Destination(join(folder, kind), place, schema, _lineage(plan, checked), job.rows_per_file)

    with tools.stages("stage", plan.rows):
        schema = predictions.schema(checked.bundle.outputs)
        parts = parquet.stage(scored(), destination("predictions", job.predictions, schema), tools.store)
        refused = [unit for unit, counted in zip(plan.units, tallies, strict=True) if counted.quarantined]
        schema = built_in("quarantine").arrow_schema()
        rest = parquet.stage(
            staging.quarantine(refused), destination("quarantine", job.quarantine_uri, schema), tools.store
        )
    return Staged(folder, parts, rest), tally.add(tallies)


def _lineage(plan: Plan, checked: Checked) -> dict[str, str]:
    """What every published file says about its origin, in its Parquet metadata."""
    return {
        "scorer.run_id": plan.run_id,
        "scorer.plan_digest": plan.digest,
        "scorer.partition": plan.partition,
        "scorer.listings": checked.partition.place,
        "scorer.bundle_name": checked.bundle.name,
        "scorer.bundle_version": checked.bundle.version,
        "scorer.bundle_digest": checked.bundle.digest,
        "scorer.contract_version": built_in("predictions").version,
        "scorer.version": versions()["scorer"],
    }


def _manifest(
    plan: Plan,
    staged: Staged,
    counts: Tally,
    checked: Checked,
    job: Job,
    tools: Tools,
    started: datetime,
    units_done_earlier: int,
) -> RunManifest:
    bundle, now = checked.bundle, datetime.now(UTC)
    return RunManifest(
        run_id=plan.run_id,
        partition=plan.partition,
        listings=checked.partition.place,
        plan_digest=plan.digest,
        bundle=BundleRef(uri=bundle.uri, name=bundle.name, version=bundle.version, digest=bundle.digest),
        counts=counts,
        predictions=staged.predictions,
        quarantine=staged.quarantine,
        units=len(plan.units),
        units_done_earlier=units_done_earlier,
        started_at=started,
        finished_at=now,
        seconds=round((now - started).total_seconds(), 3),
        stages=tools.stages.summary(),
        settings=job.model_dump(mode="json"),
        versions=versions(),
    )


def _verdict(manifest: RunManifest) -> str:
    counts = manifest.counts
    return (
        f"Published {manifest.predictions[0].listed.rpartition('/')[0]}: {counts.rows_in:,} rows in ="
        f" {counts.scored:,} scored + {counts.degraded:,} degraded + {counts.failed:,} failed"
        f" + {counts.quarantined:,} quarantined, in {manifest.seconds:,.1f} s."
    )
