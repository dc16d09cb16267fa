"""Predictions against those of the last published partition."""

from scorer.output.gates.effect import FEWEST, compare, measure
from scorer.output.gates.facts import Facts
from scorer.output.gates.measure import not_judged, verdict
from scorer.output.gates.verdict import Verdict
from scorer.settings import NightlyShift


def judge(facts: Facts, limits: NightlyShift) -> Verdict:
    """How far the predictions moved since the last partition."""
    last = facts.last
    if last is None:
        return not_judged("score_shift", "no earlier partition is published that could be compared with")
    now, then = facts.distributions.scores.histogram, last.distributions.scores.histogram
    if last.bundle_digest != facts.bundle_digest and not now.fits(then):
        return not_judged("score_shift", f"{last} was scored by another bundle, whose bins are others")
    effect = compare(now, then, comparisons=1)
    if effect is None:
        return not_judged("score_shift", f"fewer than {FEWEST} rows: {now.rows:,} here, {then.rows:,} in {last}")
    found = measure("predictions", now, then, effect, limits, str(last))
    look = (
        "If the drift gates speak too, the listings changed; if they don't, look at the images, and whether the bundle"
        " was replaced."
    )
    return verdict("score_shift", [found], look)
