"""Models that users bring, cut where one image's part ends: `split(model)`."""

from scorer.model.split.cut import Split, split
from scorer.model.split.wiring import Wiring

__all__ = ["Split", "Wiring", "split"]
