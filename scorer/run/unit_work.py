"""One work unit from its rows to its result, but for fetching its images. Without TensorFlow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.errors import ImageFault
from scorer.intake.batches import ImageBatch
from scorer.intake.partitions import Unit
from scorer.intake.rows import ID, IMAGES, ImageTable, image_table, mask
from scorer.model.bundle import Bundle
from scorer.model.preprocessing import floats, segment_text
from scorer.model.readout import Told
from scorer.objectstore import ObjectStore
from scorer.output import carried, predictions, quarantine
from scorer.output.fingerprints import by_identity, packed
from scorer.output.predictions import Mask, Origin, ScoredRows
from scorer.output.quarantine import Refusals, Verdicts
from scorer.output.staging import UnitResult
from scorer.output.tally import Fault, count
from scorer.run.check import Checked
from scorer.run.plan import Plan
from scorer.run.reuse import Known, UnitReuse, audit, survey
from scorer.run.sketch import Sketcher, told
from scorer.run.tools import Tools
from scorer.telemetry import Stages

Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.int32]
Segments = Mapping[str, Sequence[str | None]]


class Model(Protocol):
    """The half of a model that scores listings from embeddings; see `Predictor`."""

    @property
    def segment_columns(self) -> tuple[str, ...]:
        """Features whose values choose the bands of intervals."""

    def tell(self, features: Floats, embeddings: Floats, index: Index, segments: Segments | None = None) -> Told:
        """All that readers are told of n listings."""


@dataclass(frozen=True)
class Rules:
    """What turns a unit's rows into a result, besides the model: the same for all units of a plan.

    Attributes:
        columns: the columns that are read: id, images, features, columns under contract.
        known: what earlier runs know; None: nothing is taken over.
    """

    bundle: Bundle
    refusals: Refusals
    sketcher: Sketcher
    origin: Origin
    columns: tuple[str, ...]
    store: ObjectStore
    stages: Stages
    known: Known | None = None

    @classmethod
    def of(cls, plan: Plan, checked: Checked, tools: Tools, known: Known | None = None) -> "Rules":
        """Those of a plan."""
        bundle = checked.bundle
        return cls(
            bundle=bundle,
            refusals=Refusals(plan.ids.repeated, checked.contract),
            sketcher=Sketcher.of(bundle),
            origin=Origin(plan.run_id, bundle.name, bundle.version, bundle.digest),
            columns=checked.columns,
            store=tools.store,
            stages=tools.stages,
            known=known,
        )


@dataclass
class UnitWork:
    """A unit while its images come in.

    Attributes:
        unit: which rows.
        rows: all of them, as read.
        verdicts: the refused ones.
        kept: the others.
        images: of the kept rows.
        computed: bool [kept rows], those whose score is not carried forward.
        wanted: positions of the distinct images that are fetched.
        embeddings: float32 [distinct images, D], filled batch by batch.
        reuse: what is known of the unit.
        keys: uint64 [distinct images, 2]: as listed, then as the bytes that came say.
        faults: distinct image -> why it cannot be used.
        recalled: images that came and whose embeddings were known by their bytes.
    """

    unit: Unit
    rows: pa.RecordBatch
    verdicts: Verdicts
    kept: pa.RecordBatch
    images: ImageTable
    computed: Mask
    wanted: npt.NDArray[np.intp]
    embeddings: Floats
    reuse: UnitReuse | None
    keys: npt.NDArray[np.uint64]
    known: Known | None = None
    faults: dict[int, ImageFault] = field(default_factory=dict)
    recalled: int = 0

    def take(self, batch: ImageBatch) -> None:
        """Keep one batch of the unit's images."""
        first = batch.request.first
        places = self.wanted[first : first + len(batch.request.uris)]
        self.faults.update({int(places[position]): fault for position, fault in batch.faults.items()})
        self.recalled += len(batch.recalled)
        if self.known is not None:
            self.keys[places] = 0  # from here on the bytes that came decide; what did not come has no identity
        if batch.embeddings is None:
            return
        found = batch.embeddings
        if self.known is not None:
            found = self.known.store.rounded(found)
            self._remember(batch, places, found, self.known)
        self.embeddings[places] = found

    def _remember(self, batch: ImageBatch, places: npt.NDArray[np.intp], found: Floats, known: Known) -> None:
        """The keys of the bytes that came; fresh embeddings go into the store."""
        if not batch.keys:
            return
        positions = np.fromiter(batch.keys, np.intp, len(batch.keys))
        self.keys[places[positions]] = packed(list(batch.keys.values()))
        for position, key in batch.keys.items():
            then = known.expected.pop(key, None)
            if then is not None:
                known.insist(batch.request.uris[position], then, found[position])
        fresh = np.array([position for position in positions if position not in batch.recalled], np.intp)
        known.store.keep(self.keys[places[fresh]], found[fresh])


def prepared(unit: Unit, rows: pa.RecordBatch, rules: Rules) -> UnitWork:
    """A unit before its images are asked for: refused rows apart, known embeddings in their places."""
    verdicts = rules.refusals.verdicts(rows)
    rest = quarantine.kept(rows, verdicts)
    images = image_table(rest.column(IMAGES), rules.bundle.max_images)
    embeddings = np.zeros((len(images.uris), rules.bundle.embedding_size), np.float32)
    known = rules.known
    if known is None:
        computed, wanted, reuse = np.ones(rest.num_rows, bool), np.arange(len(images.uris)), None
        keys = np.zeros((0, 2), np.uint64)
    else:
        reuse = known.survey.units[unit.id]
        computed, keys = reuse.computed, reuse.images.keys.copy()
        wanted = _fill(embeddings, survey.needed(images, computed), reuse, known)
    return UnitWork(unit, rows, verdicts, rest, images, computed, wanted, embeddings, reuse, keys, known)


def _fill(embeddings: Floats, needed: Mask, reuse: UnitReuse, known: Known) -> npt.NDArray[np.intp]:
    """Put known embeddings in their places; the positions of those that must be fetched."""
    looked_up = np.flatnonzero(needed & ~reuse.fetched)
    there, values = known.store.take(reuse.images.keys[looked_up])
    embeddings[looked_up] = values
    needed[looked_up[there]] = False
    return np.flatnonzero(needed)


def finished(work: UnitWork, rules: Rules, model: Model | None = None) -> UnitResult:
    """The result of a unit whose images are all there. `model` is not needed where nothing is computed."""
    with rules.stages("head", int(work.computed.sum())):
        table = _table(work, rules, model)
        final = floats(table.column("prediction").combine_chunks())
        used = np.asarray(np.from_dlpack(table.column("images_used").combine_chunks()), np.int32)
        distributions = rules.sketcher.sketch(work.kept, final, used).model_copy(update=told(table))
    unit = work.unit
    refused = quarantine.table(work.rows, work.verdicts, unit.file, unit.start, rules.origin.run_id)
    faults = [
        Fault(reason=fault.reason, uri=work.images.uris[position], detail=fault.detail)
        for position, fault in sorted(work.faults.items())
    ]
    read = len(work.wanted) - work.recalled
    tally = count(table, refused, faults, read).model_copy(
        update={
            "rows_in": work.rows.num_rows,
            "rows_carried": len(table) - table.column("carried_from_run").null_count,
            "images_known": len(work.images.uris) - read,
        }
    )
    transient_faults = sum(fault.transient for fault in work.faults.values())
    return UnitResult(unit, table, refused, tally, transient_faults, distributions)


def _table(work: UnitWork, rules: Rules, model: Model | None) -> pa.Table:
    """Computed and carried rows, in the order of the input."""
    schema = predictions.schema(rules.bundle.columns)
    rows = np.flatnonzero(work.computed)
    table = schema.empty_table()
    if len(rows):
        assert model is not None
        table = predictions.table(_scored(work, rows, rules.bundle, model), rules.origin)
    reuse, known = work.reuse, work.known
    if reuse is None or known is None:
        return table
    _audit_images(work, reuse, known)
    is_carried = reuse.carried >= 0
    if known.earlier is None or not is_carried.any():
        return table
    _audit_rows(work, rows, table, rules, known)
    ids = work.kept.column(ID).filter(mask(is_carried))
    old = known.earlier.take(reuse.carried[is_carried], ids, rules.origin.run_id)
    fresh = table.filter(mask(~is_carried[rows])) if reuse.audited.any() else table
    return carried.merged(fresh, old, is_carried, schema)


def _scored(work: UnitWork, rows: npt.NDArray[np.intp], bundle: Bundle, model: Model) -> ScoredRows:
    """The scores of some of the kept rows."""
    every = len(rows) == work.kept.num_rows
    kept = work.kept if every else work.kept.filter(mask(work.computed))
    features, gaps = bundle.preprocessing.transform(kept)
    given, named = work.images.given[rows], work.images.index[rows]
    reasons = {**gaps, **_image_reasons(work, given, named)}
    index = named.copy()
    index[np.isin(index, list(work.faults))] = -1
    used = (index >= 0).sum(axis=1).astype(np.int32)
    segments = {name: segment_text(kept.column(name)).to_pylist() for name in model.segment_columns}
    found = model.tell(features, work.embeddings, index, segments)
    classes = None if found.chosen is None else [bundle.readout.classes[at] for at in found.chosen]
    prints = None
    if work.known is not None:
        prints = by_identity(kept, bundle.preprocessing.names, named, given, work.keys, model.segment_columns)
    return ScoredRows(kept, found.scores, reasons, given, used, found.ends, classes, found.image_effect, prints)


def _image_reasons(work: UnitWork, given: npt.NDArray[np.int32], index: npt.NDArray[np.int32]) -> dict[str, Mask]:
    """Reason -> the rows with such an image, and those without any."""
    reasons = {"no_images": given == 0}
    for reason in {fault.reason for fault in work.faults.values()}:
        bad = [position for position, fault in work.faults.items() if fault.reason == reason]
        reasons[reason] = np.isin(index, bad).any(axis=1)
    return reasons


def _audit_images(work: UnitWork, reuse: UnitReuse, known: Known) -> None:
    """Embeddings that the store had, against those of the same bytes now."""
    for position in np.flatnonzero(reuse.images_audited):
        if position in work.faults or (work.keys[position] != reuse.images.keys[position]).any():
            continue  # other bytes than were listed
        there, then = known.store.take(reuse.images.keys[[position]])
        if there[0]:
            known.insist(work.images.uris[position], then[0], work.embeddings[position])


def _audit_rows(work: UnitWork, rows: npt.NDArray[np.intp], table: pa.Table, rules: Rules, known: Known) -> None:
    """Scores that would be carried forward, against those of the same inputs now."""
    assert work.reuse is not None
    assert known.earlier is not None
    tried = np.flatnonzero(work.reuse.audited[rows])
    if not len(tried):
        return
    now = table.take(pa.array(tried.tolist(), pa.int64()))
    positions = work.reuse.carried[rows[tried]]
    then = known.earlier.table.take(pa.array(positions.tolist(), pa.int64()))
    same = np.array(now.column("input_fingerprint").to_pylist()) == np.array(
        then.column("input_fingerprint").to_pylist()
    )
    names = [field.name for field in now.schema if pa.types.is_float64(field.type)]
    audit.insist_on_scores(
        [name for name, alike in zip(now.column(ID).to_pylist(), same, strict=True) if alike],
        f"run {known.earlier.run_id} of {known.earlier.partition or 'this place'}",
        {name: floats(then.column(name).combine_chunks())[same] for name in names},
        {name: floats(now.column(name).combine_chunks())[same] for name in names},
        known.tolerance,
        {name: rules.bundle.deviation(name.removeprefix("prediction_")) for name in names},
    )
