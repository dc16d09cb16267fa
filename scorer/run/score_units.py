"""The one loop: a stream of work units in, a stream of results out. Every engine runs it, none has its own."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass

from scorer.intake.batches import Request
from scorer.intake.dataset import ImagePipeline
from scorer.intake.partitions import Unit
from scorer.intake.rows import read_units
from scorer.model.predictor import Predictor
from scorer.output.staging import UnitResult
from scorer.run.unit_work import Rules, UnitWork, finished, prepared


@dataclass(frozen=True)
class Worker:
    """What one worker needs for any unit of a plan; made once per process.

    Attributes:
        isolated: ids of units on their last attempt: their images are decoded in processes of their own.
        begin: is told the id of a unit before its images are asked for.
    """

    rules: Rules
    predictor: Predictor
    images: ImagePipeline
    isolated: Container[str] = frozenset()
    begin: Callable[[str], None] = lambda unit_id: None


def score_units(units: Iterator[Unit], worker: Worker) -> Iterator[UnitResult]:
    """Results in the order of the units. Image batches run across listings and never across units.

    Raises:
        InputError, InputChanged, StoreUnreachable: the unit in hand stays unfinished; those yielded are done.
        AuditError: what was to be taken over is not what is computed.
    """
    for batch in worker.images.run(_requests(_works(units, worker), worker)):
        work: UnitWork = batch.request.owner
        work.take(batch)
        if batch.request.last:
            yield finished(work, worker.rules, worker.predictor)


def _works(units: Iterator[Unit], worker: Worker) -> Iterator[UnitWork]:
    rules = worker.rules
    for unit, rows in read_units(units, rules.columns, rules.store):
        worker.begin(unit.id)
        yield prepared(unit, rows, rules)


def _requests(works: Iterator[UnitWork], worker: Worker) -> Iterator[Request]:
    """The images of each unit in batches; a unit that wants none asks for an empty batch, to keep its turn."""
    batch_images = worker.predictor.batch_images
    for work in works:
        uris, isolate = [work.images.uris[place] for place in work.wanted], work.unit.id in worker.isolated
        for first in range(0, max(1, len(uris)), batch_images):
            stop = first + batch_images
            yield Request(work, first, uris[first:stop], last=stop >= len(uris), isolate=isolate)
