"""Each feature, and the number of usable images, against the training."""

from scorer.output.distribution import Distribution
from scorer.output.gates.effect import FEWEST, compare, measure
from scorer.output.gates.facts import Facts
from scorer.output.gates.measure import Measure, not_judged, verdict
from scorer.output.gates.verdict import Verdict
from scorer.settings import FeatureDrift

IMAGES = "images per listing"
"""Judged like a feature."""

Pairs = dict[str, tuple[Distribution, Distribution]]
"""Feature -> as it is now, as it was in training."""


def judge(facts: Facts, limits: FeatureDrift) -> Verdict:
    """How far each feature is from the training; the one that moved most decides."""
    pairs = {name: pair for name, pair in compared(facts).items() if name not in limits.ignore}
    if not pairs:
        return not_judged("feature_drift", "the bundle has no profile of the features of its training")
    found: list[Measure] = []
    for name, (now, then) in pairs.items():
        effect = compare(now, then, comparisons=len(pairs))
        if effect is not None:
            found.append(measure(name, now, then, effect, limits, "the training"))
    if not found:
        return not_judged("feature_drift", f"fewer than {FEWEST} rows, here or in training")
    look = (
        "Look at that column in the export: another unit, a default, a lost join? If it moves by itself, name it in"
        " gates.feature_drift.ignore; if the market has moved, train a bundle on it."
    )
    return verdict("feature_drift", found, look)


def compared(facts: Facts) -> Pairs:
    """What both this run and the training know, in the order of the bundle's features."""
    then = {**facts.training.features, IMAGES: facts.training.images}
    now = {**facts.distributions.features, IMAGES: facts.distributions.images}
    return {name: (now[name], then[name]) for name in now if name in then and then[name].rows}
