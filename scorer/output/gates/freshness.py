"""The age of the input: catches an export that did not run and left the files of another night."""

from scorer.output.gates.facts import Facts
from scorer.output.gates.measure import Measure, not_judged, verdict
from scorer.output.gates.verdict import Verdict
from scorer.settings import FreshnessLimits


def judge(facts: Facts, limits: FreshnessLimits) -> Verdict:
    """Hours since the newest input file was written."""
    if facts.input_age is None:
        return not_judged("freshness", "gates.freshness is off")
    text = f"the newest input file was written {facts.input_age:,.1f} hours ago"
    found = Measure("", facts.input_age, limits.warn, limits.fail, text, "{:,.1f} h")
    return verdict("freshness", [found], "Did the export run? A backfill of old partitions should leave this gate off.")
