"""Everything that a job needs, tried for real before the night: what `scorer doctor` prints."""

from scorer.run.doctor.examine import examine
from scorer.run.doctor.finding import Finding

__all__ = ["Finding", "examine"]
