"""Rows that have no prediction."""

from scorer.output.gates.facts import Facts
from scorer.output.gates.measure import not_judged, share, verdict
from scorer.output.gates.verdict import Verdict
from scorer.settings import FailedLimits


def judge(facts: Facts, limits: FailedLimits) -> Verdict:
    """Share of the predicted rows whose prediction is null."""
    counts = facts.counts
    if not counts.predicted:
        return not_judged("failed", "no row was scored")
    text = f"{counts.failed:,} of {counts.predicted:,} rows have no prediction: the model gave no finite number"
    look = "Look at the features of rows with status failed: values far beyond those of the training? Else the bundle."
    return verdict("failed", [share("", counts.failed, counts.predicted, limits, text)], look)
