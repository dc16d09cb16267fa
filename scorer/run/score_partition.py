"""One partition, from listings to published predictions. Start reading here."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from scorer.contracts import built_in
from scorer.errors import AuditError, InputChanged, Interrupted
from scorer.intake.ids import read_ids
from scorer.intake.partitions import Unit, is_unchanged
from scorer.model.tensorflow_alone import tensorflow_alone
from scorer.objectstore import join, trusted
from scorer.output import distribution, predictions, tally
from scorer.output.audit import audit
from scorer.output.commit import Ledger, Seen
from scorer.output.distribution import Distributions
from scorer.output.gates.verdict import Verdict
from scorer.output.manifest import BundleRef, Expected, RunManifest, Staged, versions
from scorer.output.profile import LOADING, profile, scoring
from scorer.output.quarantine import Refusals
from scorer.output.sinks import parquet
from scorer.output.tally import Tally
from scorer.run import judge
from scorer.run.check import Checked, check
from scorer.run.observers import Account, Observer, tell
from scorer.run.plan import Plan, freeze, make_plan, partition_state, plan_digest, planned, unfinished
from scorer.run.reuse import Known, expectation
from scorer.run.reuse.carry import carry
from scorer.run.start import Start
from scorer.run.tools import Tools
from scorer.run.unit_work import Rules
from scorer.settings import Job

if TYPE_CHECKING:
    from scorer.run.score_units import Worker


def score_partition(job: Job, tools: Tools | None = None, observers: Sequence[Observer] = ()) -> RunManifest:
    """Every row read ends up scored, degraded, failed or quarantined; then, last of all, the run is published.

    Args:
        job: what to score, by which bundle, where to.
        tools: store, voice and timers; by default fresh ones.
        observers: are told when the plan stands and how the run ended.

    Returns:
        The manifest of the published run; of the earlier one where this very work is published already.

    Raises:
        NothingToDo: no such partition, or no row in it.
        GateError: a gate refuses what was scored; the same job with other limits, or an override, judges again
            without scoring again.
        SettingsError, InputError, ContractError, BundleError, AuditError, PublishedByAnother, Transient: nothing was
            published; what readers see is unchanged.
    """
    account = Account(job, tools or Tools())
    account.tools.reporter.fields.pop("run_id", None)  # of the partition before, in a backfill
    try:
        manifest = _run(account, observers)
    except BaseException as error:
        account.end(error)
        raise
    else:
        account.end(None)
        return manifest
    finally:
        tell(observers, "ended", account)


def _run(account: Account, observers: Sequence[Observer]) -> RunManifest:
    job, tools = account.job, account.tools
    checked = check(job, tools.store)
    tools = replace(tools, store=trusted(tools.store, job.state_uri, job.single_writer))
    state = partition_state(job, checked.partition)

    ledger = Ledger(state, checked.partition.key, tools.store)
    ledger.expose()  # an earlier run may have died between its publish and its copies
    seen = ledger.read()
    digest = plan_digest(checked, job, seen)
    if seen.published(digest) or seen.was_taken_away(digest):
        account.outcome = "published already"
        return _published_already(seen, digest, tools)

    ids = read_ids(checked.partition, tools.store)
    known = Known.of(checked, job, digest, tools)
    plan = planned(digest, state, tools.store)
    todo = unfinished(plan, digest, checked, job, state, tools.store)
    survey = known.look(todo, Refusals(ids.repeated, checked.contract), checked.columns) if known else None
    if plan is None:
        size = _batch_images(checked, job, tools) if survey is None or survey.rows_computed else None
        plan = freeze(make_plan(digest, checked, ids, job, size), state, tools.store)
    tools.reporter.fields["run_id"] = plan.run_id
    start = account.start = Start(job, tools, checked, plan, account.began)
    expected = expectation.of(start, known) if known else None
    tell(observers, "started", account)
    finished = start.staging.finished()
    _score([unit for unit in todo if unit.id not in finished], start, known)

    staged, counts, distributions = _stage(start)
    with tools.stages("audit", plan.rows):
        audit(staged, counts, ids, tools.store)
    if not is_unchanged(checked.partition, tools.store):
        raise InputChanged(f"The files of {checked.partition} changed meanwhile. Nothing was published. Start again.")

    with tools.stages("gates"):
        verdicts = judge.verdicts(start, counts, distributions, seen)
    judge.say(verdicts, tools)
    manifest = account.manifest = _manifest(start, staged, counts, len(finished), distributions, verdicts, expected)
    manifest_uri = join(staged.folder, "manifest.json")
    tools.store.put(manifest_uri, manifest.model_dump_json(indent=1).encode())
    judge.insist(manifest, staged.folder)
    with tools.stop.finishing(f"{ledger.uri} says whether it was published; readers see one whole version either way."):
        ledger.publish(manifest, manifest_uri, seen)
        ledger.expose()
    account.outcome = "published"
    gates = {verdict.gate: verdict.status for verdict in verdicts}
    tools.reporter.event("published", _verdict(manifest), counts=counts.model_dump(exclude={"examples"}), gates=gates)
    tools.reporter.event("profile", manifest.profile.bottleneck, **manifest.profile.model_dump(exclude={"bottleneck"}))
    return manifest


def _published_already(seen: Seen, digest: str, tools: Tools) -> RunManifest:
    current = seen.record.current
    assert current is not None
    when = f"{current.published_at:%Y-%m-%d %H:%M} UTC"
    text = f"Published already, by run {current.run_id} at {when}. Nothing was done."
    if seen.was_taken_away(digest):
        text = (
            f"The outcome of this very work was rolled back at {when}; readers see run {current.run_id}. Nothing was"
            " done. Use --force to score again."
        )
    tools.reporter.event("published already", text, published_run=current.run_id)
    return RunManifest.model_validate_json(tools.store.get(current.manifest).data)


def _batch_images(checked: Checked, job: Job, tools: Tools) -> int:
    """Images per forward pass. Imports TensorFlow, some 8 s: only where there is something to compute."""
    with tensorflow_alone(), tools.stages(LOADING):
        from scorer.run.worker import batch_images
    with tools.stages("measure the batch size"):
        return batch_images(checked.bundle, job)


def _score(todo: list[Unit], start: Start, known: Known | None) -> None:
    """Every unit of `todo` scored and staged, one by one; first those of which nothing is left to compute."""
    if known is not None:
        whole = [unit for unit in todo if known.survey.is_whole(unit.id)]
        with start.tools.stages("carry rows", sum(unit.rows for unit in whole)):
            for result in carry(whole, Rules.of(start.plan, start.checked, start.tools, known)):
                start.staging.save(result)
        todo = [unit for unit in todo if not known.survey.is_whole(unit.id)]
    try:
        _compute(todo, start, known)
    except AuditError:
        start.staging.discard()  # what was taken over may be wrong in more places than one
        raise
    finally:
        if known is not None:
            known.store.flush()
    if known is not None:
        known.close()


def _compute(todo: list[Unit], start: Start, known: Known | None) -> None:
    if not todo:
        return
    tools, plan, staging, attempts = start.tools, start.plan, start.staging, start.attempts()
    with tensorflow_alone(), tools.stages(LOADING):
        from scorer.run.retries import score_all

    rows = sum(unit.rows for unit in todo)
    computed = known.survey.rows_computed if known else rows
    place = str(start.checked.partition)
    text = f"Run {plan.run_id}: {place}, {rows:,} rows in {len(todo)} of {len(plan.units)} work units."
    tools.reporter.event("scoring", text, rows=rows, units=len(todo))
    with (
        _ready(plan, start, known) as ready,
        scoring(tools.stages, computed),
    ):
        progress = tools.reporter.progress(place, rows)
        try:
            with tools.stop.finishing("Nothing was published; finished units are kept, the one in hand was dropped."):
                for result in score_all(todo, attempts, ready, tools.reporter):
                    with tools.stages("write units"):
                        staging.save(result)
                    attempts.finish(result.unit.id)
                    progress.advance(result.tally.rows_in, result.tally.images_read, result.tally.degraded)
                    tools.stop.check()
        except Interrupted:
            attempts.forgive()
            raise
        progress.finish()


@contextmanager
def _ready(plan: Plan, start: Start, known: Known | None) -> "Iterator[Worker]":
    """A worker; getting it ready counts by itself."""
    from scorer.run.worker import worker

    with ExitStack() as stack:
        with start.tools.stages("load the bundle"):
            ready = stack.enter_context(worker(plan, start.checked, start.job, start.tools, known))
        yield ready


def _stage(start: Start) -> tuple[Staged, Tally, Distributions]:
    """The units put together in the order of the input, in a folder of this start's own."""
    job, plan, store, staging = start.job, start.plan, start.tools.store, start.staging
    tallies: list[Tally] = []
    shapes: list[Distributions] = []

    def scored() -> Iterator[pa.Table]:
        for unit in staging.predictions(plan.units):
            tallies.append(unit.tally)
            shapes.append(unit.distributions)
            yield unit.predictions

    def destination(kind: str, listed: str, schema: pa.Schema) -> parquet.Destination:
        place = join(listed, plan.partition) if plan.partition else listed
        return parquet.Destination(join(start.staged_folder, kind), place, schema, start.lineage, job.rows_per_file)

    with start.tools.stages("stage", plan.rows):
        schema = predictions.schema(start.checked.bundle.columns)
        parts = parquet.stage(scored(), destination("predictions", job.predictions, schema), store)
        refused = [unit for unit, counted in zip(plan.units, tallies, strict=True) if counted.quarantined]
        schema = built_in("quarantine").arrow_schema()
        rest = parquet.stage(staging.quarantine(refused), destination("quarantine", job.quarantine_uri, schema), store)
    return Staged(start.staged_folder, parts, rest), tally.add(tallies), distribution.add(shapes)


def _manifest(
    start: Start,
    staged: Staged,
    counts: Tally,
    units_done_earlier: int,
    distributions: Distributions,
    verdicts: tuple[Verdict, ...],
    expected: Expected | None,
) -> RunManifest:
    bundle, plan = start.checked.bundle, start.plan
    return RunManifest(
        outcome="refused" if any(verdict.status == "fail" for verdict in verdicts) else "published",
        run_id=plan.run_id,
        start=start.token,
        partition=plan.partition,
        listings=start.checked.partition.place,
        plan_digest=plan.digest,
        bundle=BundleRef(uri=bundle.uri, name=bundle.name, version=bundle.version, digest=bundle.digest),
        counts=counts,
        predictions=staged.predictions,
        quarantine=staged.quarantine,
        units=len(plan.units),
        units_done_earlier=units_done_earlier,
        started_at=start.began,
        finished_at=datetime.now(UTC),
        seconds=start.seconds,
        stages=start.tools.stages.summary(),
        profile=profile(start.tools.stages, counts.images_read),
        settings=start.job.model_dump(mode="json"),
        versions=versions(),
        verdicts=verdicts,
        distributions=distributions,
        expected=expected,
    )


def _verdict(manifest: RunManifest) -> str:
    counts = manifest.counts
    return (
        f"Published {manifest.predictions[0].listed.rpartition('/')[0]}: {counts.rows_in:,} rows in ="
        f" {counts.scored:,} scored + {counts.degraded:,} degraded + {counts.failed:,} failed"
        f" + {counts.quarantined:,} quarantined, in {manifest.seconds:,.1f} s."
        + (f" {expectation.against(manifest)}" if manifest.expected else "")
    )
