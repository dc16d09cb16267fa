"""Images that could not be used, reason by reason."""

from scorer.output.gates.facts import Facts
from scorer.output.gates.measure import Measure, not_judged, share, verdict
from scorer.output.gates.verdict import Verdict
from scorer.settings import ImageFailureLimits

LOOK = {
    "image_not_found": "Were the images of this partition uploaded? Compare a listing's URIs with the bucket.",
    "image_forbidden": "Is there a new bucket or host? See `sources` in the settings, and the job's role.",
    "image_unreachable": "The store did not answer: start again when it does, with --force if this was published.",
}
"""Reason -> where to look first; for all others at a few of the images that the manifest names."""


def judge(facts: Facts, limits: ImageFailureLimits) -> Verdict:
    """Share of the distinct images that failed, for each reason by itself."""
    counts = facts.counts
    if not counts.images_distinct:
        return not_judged("images", "no row names an image")
    found = [_measure(facts, reason, count, limits) for reason, count in counts.faults.items()]
    if not found:
        found = [share("", 0, counts.images_distinct, limits, f"0 of {counts.images_distinct:,} images failed")]
    judged = verdict("images", found, "")
    if judged.status == "pass":
        return judged
    look = LOOK.get(judged.about, "The manifest's counts.examples name a few of them.")
    return judged.model_copy(update={"reason": judged.reason + look})


def _measure(facts: Facts, reason: str, count: int, limits: ImageFailureLimits) -> Measure:
    read = facts.counts.images_distinct
    return share(reason, count, read, limits.reasons.get(reason, limits), f"{reason}: {count:,} of {read:,} images")
