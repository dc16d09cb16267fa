"""Nights that cost what changed: what earlier runs have computed is found again and taken over.

Whatever is not found, not readable or not sound is computed: forgetting costs time, never a wrong score. The reasons
and the figures stand in docs/decisions/reuse.md.
"""

from scorer.run.reuse.known import Known
from scorer.run.reuse.survey import Survey, UnitReuse

__all__ = ["Known", "Survey", "UnitReuse"]
