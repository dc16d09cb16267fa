"""Batch scoring of marketplace listings: numbers and images in, predictions out.

from scorer import Job, score_partition
manifest = score_partition(Job(listings=..., partition="ds=2026-11-24", bundle=..., predictions=...))
"""

from typing import TYPE_CHECKING, Any

from scorer.settings import Job, TrainJob

if TYPE_CHECKING:
    from scorer.run.score_partition import score_partition

__all__ = ["Job", "TrainJob", "score_partition"]


def __getattr__(name: str) -> Any:
    """`score_partition`, imported when it is asked for: `import scorer` alone takes a tenth of a second."""
    if name == "score_partition":
        from scorer.run.score_partition import score_partition

        return score_partition
    raise AttributeError(f"module 'scorer' has no attribute {name!r}")
