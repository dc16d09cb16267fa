"""Finished units, kept where any worker on any machine finds them again."""

import io
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.errors import AuditError, InputError, NotFound, StagingGone
from scorer.intake.partitions import Unit, reading
from scorer.objectstore import ObjectStore, file_name, join
from scorer.output.distribution import Distributions
from scorer.output.tally import Tally

TALLY, DISTRIBUTIONS = b"scorer.tally", b"scorer.distributions"

READ_AHEAD = 8
"""Units fetched while one is put together: a store takes some 100 ms to answer, a large run has 100,000 units."""


@dataclass(frozen=True)
class UnitResult:
    """A scored unit: its rows as they will be published, its refused rows, the count of both, and how they look.

    Attributes:
        transient_faults: images that the store may deliver on another try.
    """

    unit: Unit
    predictions: pa.Table
    quarantine: pa.Table
    tally: Tally
    transient_faults: int = 0
    distributions: Distributions = field(default_factory=Distributions)


class StagedUnit(NamedTuple):
    """A finished unit as it is read back."""

    predictions: pa.Table
    tally: Tally
    distributions: Distributions


class Staging:
    """Unit files below one plan. A unit is finished when its predictions are there; they are written last.

    The names carry the run: units that outlive their plan (`scorer gc` removes it) never enter another run.
    """

    def __init__(self, folder: str, run_id: str, store: ObjectStore) -> None:
        """`folder` belongs to one plan alone."""
        self._folder, self._run_id, self._store = folder, run_id, store

    def save(self, result: UnitResult) -> None:
        """Both files of a unit. Written twice by two workers they are equal but for the time."""
        if result.quarantine.num_rows:
            self._store.put(self._uri(result.unit.id, "quarantine"), _bytes(result.quarantine))
        metadata = {
            TALLY: result.tally.model_dump_json().encode(),
            DISTRIBUTIONS: result.distributions.model_dump_json().encode(),
        }
        self._store.put(self._uri(result.unit.id, "predictions"), _bytes(result.predictions, metadata))

    def finished(self) -> frozenset[str]:
        """Ids of the units that need no more work."""
        names = (file_name(info.uri) for info in self._store.list_all(self._folder))
        end = f".{self._run_id}.predictions.parquet"
        return frozenset(name.removesuffix(end) for name in names if name.endswith(end))

    def discard(self) -> None:
        """Remove the finished units of this run: something is wrong with them."""
        infos = self._store.list_all(self._folder)
        self._store.delete(info.uri for info in infos if f".{self._run_id}." in file_name(info.uri))

    def predictions(self, units: Iterable[Unit]) -> Iterator[StagedUnit]:
        """Predictions, tally and distributions of each unit, in the order of the units.

        Raises:
            AuditError: a staged file is damaged.
            StagingGone: a staged file is not there any more.
        """
        for table in self._read_all(units, "predictions"):
            said = table.schema.metadata or {}
            # Units that an earlier version staged carry no distributions; the gates then judge by the others.
            distributions = Distributions.model_validate_json(said.get(DISTRIBUTIONS, b"{}"))
            yield StagedUnit(table, Tally.model_validate_json(said[TALLY]), distributions)

    def quarantine(self, units: Iterable[Unit]) -> Iterator[pa.Table]:
        """The refused rows of units that have some. Raises as `predictions`."""
        yield from self._read_all(units, "quarantine")

    def _uri(self, unit_id: str, what: str) -> str:
        return join(self._folder, f"{unit_id}.{self._run_id}.{what}.parquet")

    def _read_all(self, units: Iterable[Unit], what: str) -> Iterator[pa.Table]:
        """In the order of the units, whichever comes first."""
        coming: deque[Future[pa.Table]] = deque()
        with ThreadPoolExecutor(READ_AHEAD) as readers:
            for unit in units:
                coming.append(readers.submit(self._read, self._uri(unit.id, what)))
                if len(coming) > READ_AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _read(self, uri: str) -> pa.Table:
        try:
            with reading(uri):
                return pq.read_table(io.BytesIO(self._store.get(uri).data), page_checksum_verification=True)
        except InputError as error:
            raise AuditError(f"The staged unit is damaged: {error} Delete it and start the run again.") from None
        except NotFound:
            raise StagingGone(
                f"The staged unit {uri} was removed while the run worked, perhaps by `scorer gc` with too short an age."
                " Nothing was published. Start again: what is missing is scored anew."
            ) from None


def _bytes(table: pa.Table, metadata: Mapping[bytes, bytes] | None = None) -> bytes:
    sink = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(dict(metadata or {})), sink, compression="zstd", write_page_checksum=True
    )
    return sink.getvalue()
