"""Predictions beyond reason: far outside what the training's targets span."""

from scorer.output.gates.facts import Facts
from scorer.output.gates.measure import Measure, noisy, not_judged, verdict
from scorer.output.gates.verdict import Verdict
from scorer.settings import RangeLimits


def judge(facts: Facts, limits: RangeLimits) -> Verdict:
    """Share of the predictions outside the widened span."""
    scores = facts.distributions.scores
    if scores.low is None or scores.high is None:
        return not_judged("range", "the bundle's profile does not say what its training's targets span")
    if not scores.scored:
        return not_judged("range", "no row was scored")
    outside = scores.below + scores.above
    text = (
        f"{outside:,} of {scores.scored:,} predictions lie outside {scores.low:,.6g} to {scores.high:,.6g}, the"
        f" training's targets widened: {scores.below:,} below, {scores.above:,} above; they go from"
        f" {scores.minimum:,.6g} to {scores.maximum:,.6g}"
    )
    about = "below" if scores.below > scores.above else "above" if scores.above else ""
    rows = scores.scored
    found = Measure(about, outside / rows, noisy(limits.warn, rows), noisy(limits.fail, rows), text)
    look = "Look at the rows with these predictions: a unit or currency that changed? Else at the bundle."
    return verdict("range", [found], look)
