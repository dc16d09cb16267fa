"""As many rows as usual: catches a partition that was written twice, or by half."""

import math

from scorer.output.gates.facts import Earlier, Facts
from scorer.output.gates.measure import ALLOWANCE, Measure, not_judged, verdict
from scorer.output.gates.verdict import Verdict
from scorer.settings import RowLimits


def judge(facts: Facts, limits: RowLimits) -> Verdict:
    """Rows read against the partition's version before, the last partition and the one a week before.

    Whichever is nearest decides. Marketplaces have quiet Sundays: a Monday is no alarm as long as the Monday before was
    like it. A partition that was published by half may be completed, as long as it is then like the others.
    """
    if not facts.earlier:
        return not_judged("rows", "no earlier partition is published that the number of rows could be compared with")
    found = (_measure(facts.counts.rows_in, earlier, limits) for earlier in facts.earlier)
    nearest = min(found, key=lambda one: one.excess)
    look = (
        "Look at the partition's files: written twice, under two names, or not yet complete? More rows under new ids"
        " are real growth only if the shop says so."
    )
    return verdict("rows", [nearest], look)


def _measure(rows: int, earlier: Earlier, limits: RowLimits) -> Measure:
    before = max(earlier.counts.rows_in, 1)
    times = max(rows / before, before / max(rows, 1))
    # Counts of independent arrivals scatter by their root: between nights of 10 rows a factor of 2 means nothing.
    chance = math.exp(ALLOWANCE * math.sqrt(1 / max(rows, 1) + 1 / before))
    than = "as many as" if rows == before else f"{'more' if rows > before else 'fewer'} than the {before:,} of"
    return Measure(
        about=str(earlier),
        measured=times,
        warn=None if limits.warn is None else max(limits.warn, chance),
        fail=None if limits.fail is None else max(limits.fail, chance),
        text=f"{rows:,} rows, {than} {earlier}",
        form="{:.2f} times",
    )
