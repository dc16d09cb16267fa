"""What earlier runs know about one partition: rows to carry forward, embeddings to look up, and where new ones go."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.errors import AuditError
from scorer.intake.fetch import ImagePlaces
from scorer.intake.identities import Identifier
from scorer.intake.partitions import Unit
from scorer.intake.rows import IMAGES, ImageTable, image_table, read_units
from scorer.model.bundle import Bundle
from scorer.model.embeddings import EmbeddingStore, NothingKept, tower_digest
from scorer.output.carried import EarlierRows
from scorer.output.fingerprints import by_identity, packed
from scorer.output.quarantine import Refusals, kept
from scorer.run.check import Checked
from scorer.run.reuse import audit, survey
from scorer.run.reuse.source import earlier_rows
from scorer.run.reuse.survey import Survey, UnitReuse
from scorer.run.tools import Tools
from scorer.settings import Job

IMAGES_AT_ONCE = 1_000_000
"""Images whose identities are asked for at a time: most partitions in one go, so that each listing is walked once."""

Floats = npt.NDArray[np.float32]


class _Read(NamedTuple):
    """A unit as it was read."""

    unit: Unit
    rows: pa.RecordBatch
    table: ImageTable


@dataclass
class Known:
    """For one start of a run. Made by `of`; `look` says what is known; `close` writes what is new.

    Attributes:
        bundle: that scores.
        store: of embeddings; empty until `look` finds that some are needed.
        earlier: rows to carry forward, or None.
        identifier: by what images are known.
        survey: what `look` found.
        share: of what is taken over, that is computed all the same.
        seed: of the choice of these.
    """

    bundle: Bundle
    store: EmbeddingStore
    earlier: EarlierRows | None
    identifier: Identifier
    tools: Tools
    share: float
    seed: int
    tolerance: float
    survey: Survey = field(default_factory=Survey)
    expected: dict[bytes, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, checked: Checked, job: Job, digest: str, tools: Tools) -> "Known | None":
        """None where nothing is to be taken over. `digest` is the plan's."""
        if job.reuse == "none":
            return None

        def say(text: str) -> None:
            tools.reporter.event("reuse", text)

        def warn(text: str) -> None:
            tools.reporter.event("warning", text)

        bundle = checked.bundle
        tower = tower_digest(bundle, job.images, job.precision, job.embeddings.dtype)
        if not bundle.reusable:
            say(f"No embedding is kept or taken over: {bundle.document.not_reusable}. Only whole rows can be.")
        kind = EmbeddingStore if bundle.reusable else NothingKept
        with tools.stages("read earlier rows"):
            rows = earlier_rows(checked, job, tools.store, say) if job.reuse == "rows" else None
        return cls(
            bundle=bundle,
            store=kind(job.embeddings_uri, tower, bundle.embedding_size, job.embeddings, tools.store, warn),
            earlier=rows,
            identifier=Identifier(
                ImagePlaces.of(checked.partition.base, job.sources), job.embeddings.identity, tools.store
            ),
            tools=tools,
            share=job.audit_reuse,
            seed=int(digest[:15], 16),
            tolerance=audit.tolerance(job.precision),
        )

    def look(self, units: Iterable[Unit], refusals: Refusals, columns: tuple[str, ...]) -> Survey:
        """Find out what is known of these units. Fetches no image and writes nothing.

        Raises:
            InputError, InputChanged, StoreUnreachable: as scoring them would.
        """
        read = (self._read(unit, rows, refusals) for unit, rows in read_units(units, columns, self.tools.store))
        for some in survey.windows(((one, len(one.table.uris)) for one in read), IMAGES_AT_ONCE):
            self._look_at(some)
        if self.survey.rows_computed:
            with self.tools.stages("open embeddings"):
                self.store.open()
            for unit in self.survey.units.values():
                self._look_up(unit)
        found = Survey()
        for unit_id, unit in self.survey.units.items():
            found.add(unit_id, unit)
        self.survey = found
        return found

    def recall(self, key: bytes) -> Floats | None:
        """The embedding of an image that is here already, by its bytes; some are computed all the same."""
        found = self.store.recall(key)
        if found is not None and self._is_chosen(packed([key]))[0]:
            self.expected[key] = found
            return None
        return found

    def insist(self, what: str, then: Floats, now: Floats) -> None:
        """Raise AuditError if a recomputed embedding is not the one that the store has."""
        if not audit.same_embedding(then, now, self.tolerance, self.store.rounds):
            raise AuditError(
                f"The audit of what was taken over failed: the embedding of {what} in {self.store.folder} is not"
                " the one that its bytes give. Nothing was published. Remove that folder and start again;"
                " `--reuse none` scores without it."
            )

    def close(self) -> None:
        """Write what is new."""
        with self.tools.stages("write embeddings"):
            self.store.close()

    def _read(self, unit: Unit, rows: pa.RecordBatch, refusals: Refusals) -> _Read:
        rest = kept(rows, refusals.verdicts(rows))
        return _Read(unit, rest, image_table(rest.column(IMAGES), self.bundle.max_images))

    def _look_at(self, some: list[_Read]) -> None:
        uris = [uri for one in some for uri in one.table.uris]
        with self.tools.stages("identify images", len(uris)):
            identities = self.identifier.listed(uris)
        with self.tools.stages("find rows", sum(one.rows.num_rows for one in some)):
            parts = survey.split(identities, [len(one.table.uris) for one in some])
            for one, images in zip(some, parts, strict=True):
                carried = np.full(one.rows.num_rows, -1, np.int64)
                audited = np.zeros(one.rows.num_rows, bool)
                if self.earlier is not None:
                    names, bands = self.bundle.preprocessing.names, self.bundle.readout.intervals.values()
                    texts = tuple({band.by: None for band in bands if band.by is not None})
                    prints = packed(by_identity(one.rows, names, one.table.index, one.table.given, images.keys, texts))
                    carried = np.where(survey.all_known(one.table, images.known), self.earlier.find(prints), -1)
                    audited = self._is_chosen(prints) & (carried >= 0)
                none = np.zeros(len(one.table.uris), bool)
                unit = UnitReuse(carried, audited, images, none, none, none)
                unit.fetched = survey.needed(one.table, unit.computed)  # until the store was asked
                unit.images_audited = survey.needed(one.table, audited)
                self.survey.add(one.unit.id, unit)

    def _look_up(self, unit: UnitReuse) -> None:
        with self.tools.stages("look up embeddings", len(unit.known)):
            known = unit.images.known.copy()
            known[known] = self.store.knows(unit.images.keys[known])
            unit.known = known
            unit.images_audited = (unit.images_audited | self._is_chosen(unit.images.keys)) & known & unit.fetched
            unit.fetched = unit.fetched & (~known | unit.images_audited)

    def _is_chosen(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        return survey.chosen(keys, self.share, self.seed)
