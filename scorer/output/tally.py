"""What became of a unit's rows, in numbers; units add up to the run."""

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
from pydantic import Field

from scorer.settings import Settings

EXAMPLES_PER_REASON = 5


class Fault(Settings):
    """One image that could not be used."""

    reason: str
    uri: str
    detail: str


class Tally(Settings):
    """Rows and images of a unit, or of a run."""

    rows_in: int = 0
    """Rows read."""
    scored: int = 0
    """Rows scored with everything that they gave."""
    degraded: int = 0
    """Rows scored with something missing."""
    failed: int = 0
    """Rows without a score."""
    quarantined: int = 0
    """Rows refused."""
    images_given: int = 0
    """Images that the rows name."""
    images_used: int = 0
    """Images that entered a score."""
    images_read: int = 0
    """Distinct images fetched and decoded, or tried, per unit."""
    images_known: int = 0
    """Distinct images, per unit, that were not decoded: their embeddings are known, or all their rows are carried."""
    rows_carried: int = 0
    """Rows whose prediction was carried forward from an earlier run."""
    reasons: dict[str, int] = Field(default_factory=dict)
    """Reason -> rows that it degraded or failed."""
    quarantine_reasons: dict[str, int] = Field(default_factory=dict)
    """Reason -> rows refused for it."""
    faults: dict[str, int] = Field(default_factory=dict)
    """Reason -> distinct images, per unit, that could not be used."""
    examples: tuple[Fault, ...] = ()
    """A few of them, for people."""

    @property
    def predicted(self) -> int:
        """Rows that the predictions must hold."""
        return self.scored + self.degraded + self.failed

    @property
    def images_distinct(self) -> int:
        """Distinct images, per unit, that the rows name and the bundle uses."""
        return self.images_read + self.images_known

    @property
    def conserved(self) -> bool:
        """Whether every row read is accounted for."""
        return self.rows_in == self.predicted + self.quarantined


def count(predictions: pa.Table, quarantine: pa.Table, faults: list[Fault], images_read: int) -> Tally:
    """The tally of one unit, from the very tables that are staged.

    `rows_in` is left out on purpose: it comes from what was read (see `Tally.model_copy`).
    """
    status = Counter(predictions.column("status").to_pylist())
    reasons = Counter(name for names in predictions.column("reasons").to_pylist() for name in names)
    return Tally(
        scored=status["scored"],
        degraded=status["degraded"],
        failed=status["failed"],
        quarantined=quarantine.num_rows,
        images_given=sum(predictions.column("images_given").to_pylist()),
        images_used=sum(predictions.column("images_used").to_pylist()),
        images_read=images_read,
        reasons=dict(sorted(reasons.items())),
        quarantine_reasons=dict(sorted(Counter(quarantine.column("reason").to_pylist()).items())),
        faults=dict(sorted(Counter(fault.reason for fault in faults).items())),
        examples=_examples(faults),
    )


def add(tallies: Iterable[Tally]) -> Tally:
    """The sum, with a few examples of each reason."""
    numbers: Counter[str] = Counter()
    counters: dict[str, Counter[str]] = {name: Counter() for name in ("reasons", "quarantine_reasons", "faults")}
    examples: list[Fault] = []
    for tally in tallies:
        numbers.update({name: value for name, value in tally if isinstance(value, int)})
        for name, counter in counters.items():
            counter.update(getattr(tally, name))
        examples = list(_examples([*examples, *tally.examples]))
    sums = {name: dict(sorted(counter.items())) for name, counter in counters.items()}
    return Tally.model_validate({**numbers, **sums, "examples": tuple(examples)})


def _examples(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    seen: Counter[str] = Counter()
    kept = []
    for fault in faults:
        seen[fault.reason] += 1
        if seen[fault.reason] <= EXAMPLES_PER_REASON:
            kept.append(fault)
    return tuple(kept)
