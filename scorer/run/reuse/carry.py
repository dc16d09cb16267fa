"""Units of which nothing has to be computed: their rows are those of an earlier run."""

from collections.abc import Iterator, Sequence

from scorer.intake.partitions import Unit
from scorer.intake.rows import read_units
from scorer.output.staging import UnitResult
from scorer.run.unit_work import Rules, finished, prepared


def carry(units: Sequence[Unit], rules: Rules) -> Iterator[UnitResult]:
    """Their results, in the order of the units; no model is asked. Raises as `read_units`."""
    for unit, rows in read_units(units, rules.columns, rules.store):
        yield finished(prepared(unit, rows, rules), rules)
