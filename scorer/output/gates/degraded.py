"""Rows that were scored without something that they should have: a feature, an image."""

from scorer.output.gates.facts import Facts
from scorer.output.gates.measure import Measure, noisy, not_judged, share, verdict
from scorer.output.gates.verdict import Verdict
from scorer.settings import DegradedLimits, Limits


def judge(facts: Facts, limits: DegradedLimits) -> Verdict:
    """Share of the predicted rows that are degraded, by itself and against the last partition's."""
    counts = facts.counts
    if not counts.predicted:
        return not_judged("degraded", "no row was scored")
    by_reason = sorted(counts.reasons.items(), key=lambda entry: -entry[1])
    mostly = ", ".join(f"{reason} {count:,}" for reason, count in by_reason[:3])
    text = f"{counts.degraded:,} of {counts.predicted:,} rows are degraded" + (f", by {mostly}" if mostly else "")
    about = by_reason[0][0] if by_reason else ""
    found = [share(about, counts.degraded, counts.predicted, limits, text), *_rise(facts, limits, about, text)]
    look = "Look at the reasons of a few rows: did the export lose a column's values, or the store its images?"
    shares = {reason: round(count / counts.predicted, 6) for reason, count in by_reason}
    return verdict("degraded", found, look).model_copy(update={"details": shares})


def _rise(facts: Facts, limits: DegradedLimits, about: str, text: str) -> list[Measure]:
    if facts.last is None or not facts.last.counts.predicted:
        return []
    before = facts.last.counts.degraded / facts.last.counts.predicted
    predicted = facts.counts.predicted
    rise = Limits(warn=limits.rise_warn, fail=limits.rise_fail)
    fewer = min(predicted, facts.last.counts.predicted)
    return [
        Measure(
            about=about,
            measured=max(facts.counts.degraded / predicted - before, 0.0),
            warn=noisy(rise.warn, fewer),
            fail=noisy(rise.fail, fewer),
            text=f"{text}, up from {before:.1%} in {facts.last}",
            form="{:.1%} more",
        )
    ]
