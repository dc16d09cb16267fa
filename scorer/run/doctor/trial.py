"""The first images of the partition through the real pipeline: fetched, decoded, scored. Nothing is written."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from scorer.errors import InputError, ScorerError
from scorer.intake.partitions import Unit
from scorer.intake.rows import IMAGES, image_table, scan
from scorer.model.tensorflow_alone import tensorflow_alone
from scorer.objectstore import ObjectStore
from scorer.output.tally import Tally
from scorer.run.check import Checked
from scorer.run.doctor.finding import Finding, fail, ok, warn
from scorer.run.plan import Plan
from scorer.run.tools import Tools
from scorer.settings import Job

IMAGES_TO_TRY = 20
BATCH = 32


def findings(checked: Checked, job: Job, tools: Tools) -> Iterator[Finding]:
    """Golden rows, then the images, then the devices that did the work. Imports TensorFlow."""
    with tensorflow_alone():
        from scorer.run.score_units import score_units
        from scorer.run.worker import worker

    unit = first_rows(checked, tools.store)
    try:
        with worker(_plan(checked, unit), checked, job, tools) as ready:
            golden = len(checked.bundle.golden)
            yield ok("golden rows", f"all {golden} score as they did in training")
            for warning in ready.predictor.warnings:
                yield warn("golden rows", warning, "Install the versions of the training, or train again with these.")
            list(score_units(iter([unit]), ready))  # the first pass pays for start-up
            began = time.perf_counter()
            (result,) = score_units(iter([unit]), ready)
            seconds = time.perf_counter() - began
    except ScorerError as error:
        yield fail("trial", error)
        return
    yield _verdict(result.tally, seconds)
    yield _devices()


def first_rows(checked: Checked, store: ObjectStore) -> Unit:
    """A unit of the first rows that name enough images; of the first few thousand rows if they never do."""
    file, _, batch = next(scan(checked.partition, [IMAGES], store))
    seen: set[int] = set()
    rows = 0
    for row in image_table(batch.column(0), checked.bundle.max_images).index:
        seen.update(int(position) for position in row if position >= 0)
        rows += 1
        if len(seen) >= IMAGES_TO_TRY:
            break
    etag = next(found.etag for found in checked.partition.files if found.uri == file)
    return Unit("doctor", file, etag, 0, rows)


def _plan(checked: Checked, unit: Unit) -> Plan:
    """For this process alone; never frozen."""
    return Plan(
        digest="doctor",
        run_id="doctor",
        partition=checked.partition.key,
        created_at=datetime.now(UTC),
        bundle_digest=checked.bundle.digest,
        rows=unit.rows,
        ids_checksum=0,
        repeated_ids=(),
        units=(unit,),
        batch_images=BATCH,
    )


def _verdict(tally: Tally, seconds: float) -> Finding:
    rows = f"{tally.rows_in} rows: {tally.scored} scored, {tally.degraded} degraded, {tally.failed} failed,"
    text = f"{rows} {tally.quarantined} quarantined"
    if not tally.images_read:
        advice = f"Is {IMAGES} the right column, and are these the right listings?"
        return warn("trial", f"{text}. None of them names an image.", advice)
    faults = sum(tally.faults.values())
    rate = f"{tally.images_read} images in {seconds:.2f} s, {tally.images_read / max(seconds, 1e-3):,.0f} a second"
    if faults == tally.images_read:
        return fail("trial", InputError(f"None of {faults} images could be used: {_reasons(tally)}"), _look(tally))
    if faults:
        return warn("trial", f"{text}; {rate}; {faults} could not be used: {_reasons(tally)}", _look(tally))
    reasons = f" ({', '.join(f'{name} {count}' for name, count in tally.reasons.items())})" if tally.reasons else ""
    return ok("trial", f"{text}{reasons}; {rate} once warm. A night is faster: its batches are larger.")


def _reasons(tally: Tally) -> str:
    example = tally.examples[0]
    counts = ", ".join(f"{reason} {count}" for reason, count in tally.faults.items())
    return f"{counts}; for instance {example.detail}"


def _look(tally: Tally) -> str:
    if "image_forbidden" in tally.faults:
        return "Name the images' bucket in sources.buckets (folder: sources.folders), or allow s3:GetObject on it."
    if "image_not_found" in tally.faults:
        return "Relative image URIs are looked for below the listings; are the images there?"
    return "Look at these images; docs/your-own-bucket.md says which formats are read."


def _devices() -> Finding:
    """What TensorFlow computes on, now that it has."""
    seen = sys.modules["tensorflow"].config.list_physical_devices("GPU")
    return ok("devices", f"{len(seen)} GPU(s) did the forward passes" if seen else "the CPU did the forward passes")
