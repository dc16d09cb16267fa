"""What stands beside the scores of a run: what their intervals promise, and what the images did to them."""

from scorer.model.intervals import Intervals
from scorer.model.readout import MAIN, Readout
from scorer.output.distribution import Distributions
from scorer.pages.words import count, number

MOST_BANDS = 12
"""Groups of listings whose coverage is told; a bundle with intervals by segment may have hundreds."""


def beside(readout: Readout, now: Distributions) -> tuple[str, ...]:
    """Paragraphs of plain text; none where the predictions hold nothing of the kind.

    Args:
        readout: the bundle's.
        now: of this run.
    """
    found = []
    intervals = readout.intervals.get(MAIN)
    if intervals is not None and now.width.rows:
        found.append(_promise(intervals))
        found.append(
            f"Here {count(now.width.rows)} predictions have an interval, {number(now.width.mean)} wide on average."
            f"{_against(now)}"
        )
    if now.image_effect.rows:
        found.append(
            f"Images entered {count(now.image_effect.rows)} of the scores and moved them by"
            f" {number(now.image_effect.absolute)} on average, up and down together by"
            f" {number(now.image_effect.mean)}: the score minus what the same bundle says of the same listing without"
            " its images."
        )
    return tuple(found)


def _promise(intervals: Intervals) -> str:
    """What was seen in training, and that it was seen there and nowhere else."""
    told = "; ".join(f"{band.group}: {band.seen}" for band in intervals.bands[:MOST_BANDS])
    more = len(intervals.bands) - MOST_BANDS
    return (
        f"The intervals were made to hold {intervals.level:.0%} of the truths. Seen in training, on listings left out"
        f" of the fit: {told}{f'; and {more} more groups' if more > 0 else ''}. That is no promise for tonight: where"
        " features or scores drift, they may hold less. Labels that arrive later tell, with scorer evaluate."
    )


def _against(now: Distributions) -> str:
    """Their width beside the size of the predictions."""
    mean = now.scores.mean
    return "" if not mean else f" The mean prediction is {number(mean)}."
