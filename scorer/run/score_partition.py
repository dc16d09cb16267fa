"""One partition, from listings to published predictions. Start reading here."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa

from scorer.contracts import built_in
from scorer.errors import InputChanged, PublishedByAnother, ScorerError, TableGone
from scorer.intake.ids import read_ids
from scorer.intake.partitions import is_unchanged
from scorer.objectstore import join, trusted
from scorer.output import distribution, predictions, tally
from scorer.output.audit import audit
from scorer.output.commit import Ledger, Seen
from scorer.output.distribution import Distributions
from scorer.output.gates.verdict import Verdict
from scorer.output.manifest import BundleRef, Expected, RunManifest, Staged, versions
from scorer.output.profile import Effort, profile
from scorer.output.quarantine import Refusals
from scorer.output.sinks import Destination, sink, stage
from scorer.output.tally import Tally
from scorer.run import judge
from scorer.run.check import check
from scorer.run.observers import Account, Observer, tell
from scorer.run.plan import freeze, make_plan, partition_state, plan_digest, planned, unfinished
from scorer.run.reuse import Known, expectation
from scorer.run.scoring import batch_images, score
from scorer.run.share import insist_on_all
from scorer.run.start import Start
from scorer.run.tools import Tools
from scorer.settings import Job


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
        ShareDone: this shard's units are finished and other shards' are not; nothing is published yet.
        GateError: a gate refuses what was scored; the same job with other limits, or an override, judges again
            without scoring again.
        SettingsError, InputError, ContractError, BundleError, AuditError, PublishedByAnother, Transient: nothing was
            published; what readers see is unchanged. Where the text says that the run is published, it is: the same
            job, without `force`, brings up to date what readers of listings and tables may still miss.
    """
    account = Account(job, tools or Tools())
    account.tools.reporter.fields.pop("run_id", None)  # of the partition before, in a backfill
    account.tools.stop.published = ""  # likewise
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
    gone = None
    try:
        ledger.expose()  # an earlier run may have died between its publish and its copies
    except TableGone as error:  # of an earlier run: what is published now has a table, as the sink makes its own
        gone = error
    seen = ledger.read()
    digest = plan_digest(checked, job, seen)
    if seen.published(digest) or seen.was_taken_away(digest):
        if gone is not None:
            raise gone
        account.outcome = "published already"
        return _published_already(seen, digest, tools)

    sink(job.sink).ready(predictions.schema(checked.bundle.columns), checked.partition.key)
    plan = planned(digest, state, tools.store)
    ids = plan.ids if plan else read_ids(checked.partition, tools.store)
    known = Known.of(checked, job, digest, tools)
    todo = unfinished(plan, digest, checked, job, state, tools.store)
    survey = known.look(todo, Refusals(ids.repeated, checked.contract), checked.columns) if known else None
    if plan is None:
        size = batch_images(checked, job, tools) if survey is None or survey.rows_computed else None
        plan = freeze(make_plan(digest, checked, ids, job, size), state, tools.store)
    tools.reporter.fields["run_id"] = plan.run_id
    start = account.start = Start(job, tools, checked, plan, account.began)
    expected = expectation.of(start, known) if known else None
    tell(observers, "started", account)
    finished = start.staging.finished()
    todo = tuple(unit for unit in todo if unit.id not in finished)
    effort = score(todo, start, known)
    if job.share is not None:
        insist_on_all(start, job.share)

    staged, counts, distributions = _stage(start)
    with tools.stages("audit", plan.rows):
        audit(staged, counts, ids, tools.store)
    if not is_unchanged(checked.partition, tools.store):
        raise InputChanged(f"The files of {checked.partition} changed meanwhile. Nothing was published. Start again.")

    with tools.stages("gates"):
        verdicts = judge.verdicts(start, counts, distributions, seen)
    judge.say(verdicts, tools)
    by_others = len(plan.units) - len(todo)
    manifest = account.manifest = _manifest(start, staged, counts, by_others, effort, distributions, verdicts, expected)
    manifest_uri = join(staged.folder, "manifest.json")
    tools.store.put(manifest_uri, manifest.model_dump_json(indent=1).encode())
    judge.insist(manifest, staged.folder)
    with tools.stop.finishing(_in_doubt(ledger, job)):
        try:
            ledger.publish(manifest, manifest_uri, seen)
        except PublishedByAnother:
            if job.share is None or not (now := ledger.read()).published(digest):
                raise
            account.outcome = "published already"  # two shards were the last
            return _published_already(now, digest, tools)
        account.outcome = "published"
        tools.stop.published = _is_published(manifest, ledger, job)
        _expose(ledger, tools)
    gates = {verdict.gate: verdict.status for verdict in verdicts}
    tools.reporter.event("published", _verdict(manifest), counts=counts.model_dump(exclude={"examples"}), gates=gates)
    tools.reporter.event("profile", manifest.profile.bottleneck, **manifest.profile.model_dump(exclude={"bottleneck"}))
    return manifest


def _in_doubt(ledger: Ledger, job: Job) -> str:
    text = f"{ledger.uri} says whether it was published; readers see one whole version either way."
    return f"{text} If it was, do without --force, which would score it all once more." if job.force else text


def _is_published(manifest: RunManifest, ledger: Ledger, job: Job) -> str:
    again = " without --force, which would score it all once more" if job.force else ""
    return (
        f"Run {manifest.run_id} is published ({ledger.uri}). Start the same command again{again}: it scores nothing,"
        " and brings up to date what readers of listings and tables may still miss."
    )


def _expose(ledger: Ledger, tools: Tools) -> None:
    """What goes wrong here takes nothing back, and says so."""
    try:
        ledger.expose()
    except TableGone:  # says so by itself, and that no start without --force helps
        raise
    except ScorerError as error:
        raise type(error)(f"{error} {tools.stop.published}") from None


def _published_already(seen: Seen, digest: str, tools: Tools) -> RunManifest:
    current = seen.record.current
    assert current is not None
    when = f"{current.published_at:%Y-%m-%d %H:%M} UTC"
    text = f"Published already, by run {current.run_id} at {when}. Nothing was changed."
    if seen.was_taken_away(digest):
        text = (
            f"The outcome of this very work was rolled back at {when}; readers see run {current.run_id}. Nothing was"
            " done. Use --force to score again."
        )
    tools.stop.published = text
    tools.reporter.event("published already", text, published_run=current.run_id)
    return RunManifest.model_validate_json(tools.store.get(current.manifest).data)


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

    def destination(kind: str, listed: str, schema: pa.Schema) -> Destination:
        place, staged = join(listed, plan.partition) if plan.partition else listed, join(start.staged_folder, kind)
        return Destination(staged, place, schema, start.lineage, job.rows_per_file, plan.partition)

    with start.tools.stages("stage", plan.rows):
        schema = predictions.schema(start.checked.bundle.columns)
        parts = sink(job.sink).stage(scored(), destination("predictions", job.predictions, schema), store)
        refused = [unit for unit, counted in zip(plan.units, tallies, strict=True) if counted.quarantined]
        schema = built_in("quarantine").arrow_schema()
        rest = stage(staging.quarantine(refused), destination("quarantine", job.quarantine_uri, schema), store)
    return Staged(start.staged_folder, parts, rest), tally.add(tallies), distribution.add(shapes)


def _manifest(
    start: Start,
    staged: Staged,
    counts: Tally,
    units_done_earlier: int,
    effort: Effort,
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
        sink=start.job.sink,
        units=len(plan.units),
        units_done_earlier=units_done_earlier,
        started_at=start.began,
        finished_at=datetime.now(UTC),
        seconds=start.seconds,
        stages=start.tools.stages.summary(),
        profile=profile(start.tools.stages, *effort),
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
