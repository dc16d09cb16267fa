"""Predictions against those that the bundle gave to listings held back from its training."""

from scorer.output.gates.effect import FEWEST, compare, measure
from scorer.output.gates.facts import Facts
from scorer.output.gates.measure import not_judged, verdict
from scorer.output.gates.verdict import Verdict
from scorer.settings import Shift


def judge(facts: Facts, limits: Shift) -> Verdict:
    """How far the predictions are from those of the training's held-back listings."""
    now, then = facts.distributions.scores.histogram, facts.training.scores.histogram
    if not then.counts:
        return not_judged("score_drift", "the bundle has no profile of the scores of its training")
    effect = compare(now, then, comparisons=1)
    if effect is None:
        return not_judged("score_drift", f"fewer than {FEWEST} rows: {now.rows:,} here, {then.rows:,} in training")
    found = measure("predictions", now, then, effect, limits, "the training")
    look = "If the market has moved, train a bundle on it; if one feature has (see feature_drift), mend the export."
    return verdict("score_drift", [found], look)
