"""The one loop: a stream of work units in, a stream of results out. Every engine runs it, none has its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scorer.errors import ImageFault
from scorer.intake.dataset import ImageBatch, ImagePipeline, Request
from scorer.intake.partitions import Unit
from scorer.intake.rows import IMAGES, ImageTable, image_table, read_units
from scorer.model.bundle import Bundle
from scorer.model.predictor import Floats, Predictor
from scorer.model.preprocessing import floats, plain
from scorer.objectstore import ObjectStore
from scorer.output import predictions, quarantine
from scorer.output.predictions import Mask, Origin, ScoredRows
from scorer.output.quarantine import Refusals, Verdicts
from scorer.output.staging import UnitResult
from scorer.output.tally import Fault, count
from scorer.run.sketch import Sketcher, told
from scorer.telemetry import Stages


@dataclass(frozen=True)
class Worker:
    """What one worker needs for any unit of a plan; made once per process.

    Attributes:
        columns: the columns that are read: id, images, features, columns under contract.
        isolated: ids of units on their last attempt: their images are decoded in processes of their own.
        begin: is told the id of a unit before its images are asked for.
    """

    bundle: Bundle
    predictor: Predictor
    images: ImagePipeline
    refusals: Refusals
    sketcher: Sketcher
    origin: Origin
    columns: tuple[str, ...]
    store: ObjectStore
    stages: Stages
    isolated: frozenset[str] = frozenset()
    begin: Callable[[str], None] = lambda unit_id: None


def score_units(units: Iterator[Unit], worker: Worker) -> Iterator[UnitResult]:
    """Results in the order of the units. Image batches run across listings and never across units.

    Raises:
        InputError, InputChanged, StoreUnreachable: the unit in hand stays unfinished; those yielded are done.
    """
    works = (_prepared(unit, rows, worker) for unit, rows in read_units(units, worker.columns, worker.store))
    batches = worker.images.run(_requests(works, worker))
    for batch in batches:
        work: UnitWork = batch.request.owner
        work.take(batch)
        if batch.request.last:
            yield _finished(work, worker)


@dataclass
class UnitWork:
    """A unit while its images come in.

    Attributes:
        unit: which rows.
        rows: all of them, as read.
        verdicts: the refused ones.
        kept: the others.
        images: of the kept rows.
        embeddings: float32 [distinct images, D], filled batch by batch.
        faults: distinct image -> why it cannot be used.
    """

    unit: Unit
    rows: pa.RecordBatch
    verdicts: Verdicts
    kept: pa.RecordBatch
    images: ImageTable
    embeddings: Floats
    faults: dict[int, ImageFault] = field(default_factory=dict)

    def take(self, batch: ImageBatch) -> None:
        """Keep one batch of the unit's images."""
        first = batch.request.first
        self.faults.update({first + position: fault for position, fault in batch.faults.items()})
        if batch.embeddings is not None:
            self.embeddings[first : first + len(batch.embeddings)] = batch.embeddings


def _prepared(unit: Unit, rows: pa.RecordBatch, worker: Worker) -> UnitWork:
    worker.begin(unit.id)
    verdicts = worker.refusals.verdicts(rows)
    keep = np.ones(rows.num_rows, bool)
    keep[list(verdicts)] = False
    kept = rows.filter(pa.array(keep)) if verdicts else rows
    images = image_table(kept.column(IMAGES), worker.bundle.max_images)
    embeddings = np.zeros((len(images.uris), worker.bundle.embedding_size), np.float32)
    return UnitWork(unit, rows, verdicts, kept, images, embeddings)


def _requests(works: Iterator[UnitWork], worker: Worker) -> Iterator[Request]:
    """The images of each unit in batches; a unit without any asks for an empty batch, to keep its turn."""
    batch_images = worker.predictor.batch_images
    for work in works:
        uris, isolate = work.images.uris, work.unit.id in worker.isolated
        for first in range(0, max(1, len(uris)), batch_images):
            stop = first + batch_images
            yield Request(work, first, uris[first:stop], last=stop >= len(uris), isolate=isolate)


def _finished(work: UnitWork, worker: Worker) -> UnitResult:
    with worker.stages("head", work.kept.num_rows):
        scored = _scored(work, worker)
        table = predictions.table(scored, worker.origin)
        final = floats(table.column("prediction").combine_chunks())
        distributions = worker.sketcher.sketch(work.kept, final, scored.images_used)
        distributions = distributions.model_copy(update=told(table))
    unit = work.unit
    refused = quarantine.table(work.rows, work.verdicts, unit.file, unit.start, worker.origin.run_id)
    faults = [
        Fault(reason=fault.reason, uri=work.images.uris[position], detail=fault.detail)
        for position, fault in sorted(work.faults.items())
    ]
    tally = count(table, refused, faults, len(work.images.uris)).model_copy(update={"rows_in": work.rows.num_rows})
    transient_faults = sum(fault.transient for fault in work.faults.values())
    return UnitResult(unit, table, refused, tally, transient_faults, distributions)


def _scored(work: UnitWork, worker: Worker) -> ScoredRows:
    features, gaps = worker.bundle.preprocessing.transform(work.kept)
    index = work.images.index.copy()
    reasons = {**gaps, **_image_reasons(work)}
    index[np.isin(index, list(work.faults))] = -1
    used = (index >= 0).sum(axis=1).astype(np.int32)
    columns = {name: plain(work.kept.column(name)) for name in worker.predictor.segment_columns}
    segments = {name: pc.cast(column, pa.string()).to_pylist() for name, column in columns.items()}
    found = worker.predictor.tell(features, work.embeddings, index, segments)
    classes = None if found.chosen is None else [worker.bundle.readout.classes[at] for at in found.chosen]
    return ScoredRows(
        work.kept, found.scores, reasons, work.images.given, used, found.ends, classes, found.image_effect
    )


def _image_reasons(work: UnitWork) -> dict[str, Mask]:
    """Reason -> the rows with such an image, and those without any."""
    index = work.images.index
    reasons = {"no_images": work.images.given == 0}
    for reason in {fault.reason for fault in work.faults.values()}:
        bad = [position for position, fault in work.faults.items() if fault.reason == reason]
        reasons[reason] = np.isin(index, bad).any(axis=1)
    return reasons
