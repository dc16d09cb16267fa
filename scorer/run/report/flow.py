"""What became of rows and images, as bands whose widths add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BAR = 160.0
"""Height of all bands together, in pixels; a band is as high as its share."""

THINNEST = 1.5
"""Pixels of a band that would not be seen otherwise."""

SLOT = 54.0
"""Pixels that a band's label needs: a number and its outcome, which wrap on a phone, and the reasons."""

GAP = 10.0
"""Pixels between two bands on their right side."""

MOST_SPLITS = 6
"""Bands that one outcome is split into; the smaller ones are put together."""

LEFT, RIGHT = 1.5, 98.5
"""Where bands begin and end, in percent of the picture's width; the rest are the bars that they come from and go to."""


Why = tuple[str, ...]
"""Reasons that occurred together, as the contract names them."""


@dataclass(frozen=True)
class Leaf:
    """Where some of the items ended.

    Attributes:
        outcome: scored, degraded, failed, quarantined: names the colour.
        count: items.
        why: empty where there is nothing to explain.
    """

    outcome: str
    count: int
    why: Why = ()


@dataclass(frozen=True)
class Band:
    """A leaf, drawn. Pixels from the top; `slot` is the height of its label."""

    leaf: Leaf
    left: float
    right: float
    height: float
    slot: float

    @property
    def path(self) -> str:
        """Of an SVG path, x in percent and y in pixels."""
        low_left, low_right, middle = self.left + self.height, self.right + self.height, (LEFT + RIGHT) / 2
        down = f"M{LEFT} {self.left:.2f}C{middle} {self.left:.2f} {middle} {self.right:.2f} {RIGHT} {self.right:.2f}"
        return f"{down}V{low_right:.2f}C{middle} {low_right:.2f} {middle} {low_left:.2f} {LEFT} {low_left:.2f}Z"


@dataclass(frozen=True)
class Flow:
    """All items of one kind on their way from the left to where they ended.

    Attributes:
        name: identifies it within a page.
        total: items that came in; the leaves' counts add up to it.
        bands: largest outcome first, none empty.
    """

    name: str
    total: int
    bands: tuple[Band, ...]

    @property
    def top(self) -> float:
        """Where the bar on the left begins, in pixels."""
        return min((band.left for band in self.bands), default=0.0)

    @property
    def bar(self) -> float:
        """Height of the bar on the left, in pixels."""
        return sum(band.height for band in self.bands)

    @property
    def height(self) -> float:
        """Of the picture, in pixels."""
        return sum(band.slot for band in self.bands)


def flow(name: str, total: int, leaves: Sequence[Leaf]) -> Flow:
    """Lay the bands out.

    Raises:
        ValueError: items would be lost or appear from nowhere; no such picture is drawn.
    """
    kept = [leaf for leaf in leaves if leaf.count]
    if sum(leaf.count for leaf in kept) != total or any(leaf.count < 0 for leaf in kept):
        raise ValueError(f"{name}: {total:,} came in, but {[leaf.count for leaf in kept]} came out")
    heights = [max(THINNEST, BAR * leaf.count / total) for leaf in kept]
    slots = [max(SLOT, height + GAP) for height in heights]
    left = (sum(slots) - sum(heights)) / 2
    bands, at = [], 0.0
    for leaf, height, slot in zip(kept, heights, slots, strict=True):
        bands.append(Band(leaf, left, at + (slot - height) / 2, height, slot))
        left += height
        at += slot
    return Flow(name, total, tuple(bands))


def split(outcome: str, total: int, by_reason: Mapping[Why, int]) -> list[Leaf]:
    """The leaves of one outcome by reason, the rarest put together; one leaf where the reasons do not add up to it."""
    if sum(by_reason.values()) != total or not total:
        return [Leaf(outcome, total)]
    order = sorted(by_reason, key=lambda why: (-by_reason[why], why))
    shown, rest = order[:MOST_SPLITS], order[MOST_SPLITS:]
    if len(rest) == 1:
        shown, rest = order, []
    leaves = [Leaf(outcome, by_reason[why], why) for why in shown]
    if rest:
        leaves.append(Leaf(outcome, sum(by_reason[why] for why in rest), ("other reasons",)))
    return leaves
