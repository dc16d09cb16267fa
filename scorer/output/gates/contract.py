"""Rows that break the contract: without an id, with an id that others have too, outside the user's own rules."""

from scorer.output.gates.facts import Facts
from scorer.output.gates.measure import share, verdict
from scorer.output.gates.verdict import Verdict
from scorer.settings import ContractLimits


def judge(facts: Facts, limits: ContractLimits) -> Verdict:
    """Share of the rows read that are quarantined."""
    counts = facts.counts
    by_reason = sorted(counts.quarantine_reasons.items(), key=lambda entry: -entry[1])
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in by_reason)
    text = f"{counts.quarantined:,} of {counts.rows_in:,} rows were quarantined" + (f": {reasons}" if reasons else "")
    look = "The staged quarantine files name file, row number and value of each; mend the export and start again."
    about = by_reason[0][0] if by_reason else ""
    found = verdict("contract", [share(about, counts.quarantined, counts.rows_in, limits, text)], look)
    shares = {reason: round(count / max(counts.rows_in, 1), 6) for reason, count in by_reason}
    return found.model_copy(update={"details": shares})
