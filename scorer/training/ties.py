"""Which listings hang together, by what, and what a split that ignored it would have leaked."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scorer.errors import ContractError
from scorer.intake.rows import ID
from scorer.model.preprocessing import plain
from scorer.training.images import ImageCache
from scorer.training.lookalikes import find_lookalikes
from scorer.training.split import Rows, group_rows

Keys = list[list[Hashable]]
"""Per row, what it must not share with another side of a split."""

SAME_ID = "listing_id"
SAME_IMAGE = "image"
LOOKALIKE = "lookalike image"

WORDS: Mapping[str, str] = {
    SAME_ID: "have their listing_id in common with another row",
    SAME_IMAGE: "share an image file with another listing",
    LOOKALIKE: "have an image that looks like that of another file",
}

NUMBER = re.compile("[0-9]{1,18}")
"""A text that is a whole number, as the steps of partition keys are."""


@dataclass(frozen=True)
class Tie:
    """What one cause ties together.

    Attributes:
        cause: `SAME_ID`, `SAME_IMAGE`, `LOOKALIKE`, or the user's column.
        rows: listings that hang together with another one by this cause.
        groups: groups that they form.
        largest: listings in the largest of them.
        leaked: share of the test rows that a random split by row would have put apart from such a listing.
    """

    cause: str
    rows: int
    groups: int
    largest: int
    leaked: float


@dataclass(frozen=True)
class Ties:
    """How the listings hang together.

    Attributes:
        rows: listings.
        groups: groups that they form, lone ones included.
        causes: what each cause ties, those that tie nothing included.
        all: what all causes together tie.
    """

    rows: int
    groups: int
    causes: tuple[Tie, ...]
    all: Tie

    def to_plain(self) -> dict[str, Any]:
        """Plain JSON for the bundle."""
        return {
            "groups": self.groups,
            "causes": [asdict(tie) for tie in self.causes],
            "all": asdict(self.all),
        }

    @property
    def text(self) -> str:
        """What would have leaked, in a paragraph."""
        if not self.all.rows:
            return f"No two of {self.rows:,} listings share an id, image or group: a split by row would leak nothing."
        found = "; ".join(
            f"{tie.rows:,} {WORDS.get(tie.cause, f'share their {tie.cause!r}')}" for tie in self.causes if tie.rows
        )
        return (
            f"Of {self.rows:,} listings {found}. They stay on one side of the split ({self.all.groups:,} groups,"
            f" the largest of {self.all.largest:,}); by a random split {100 * self.all.leaked:.1f} % of the test"
            " listings would have had one of their group to learn from."
        )


NO_TIES = Ties(0, 0, (), Tie("all", 0, 0, 1, 0.0))
"""Of listings that were not looked at."""


def find_ties(
    table: pa.Table,
    given: npt.NDArray[np.int32],
    uris: Sequence[str],
    cache: ImageCache,
    *,
    group: str | None,
    lookalikes: bool,
    test_share: float,
) -> tuple[Rows, Ties]:
    """Group the listings.

    Args:
        table: the listings, n rows.
        given: int32 [n, K], which of `uris` each one names, -1 where it names fewer.
        uris: distinct, as written.
        cache: their bytes' digests and their pixels.
        group: a user's column whose equal values belong together; nulls do not.
        lookalikes: whether images that look the same tie their listings.
        test_share: of the random split that is compared with.

    Returns:
        int64 [n], equal for listings of one group, which stay on one side of any split; and what ties them.
    """
    keys = {SAME_ID: _values(table, ID), SAME_IMAGE: _files(given, uris, cache)}
    if lookalikes:
        keys[LOOKALIKE] = _looks(given, uris, cache)
    if group is not None:
        keys[group] = _values(table, group)
    return tie(keys, test_share)


def tie(keys: Mapping[str, Keys], test_share: float) -> tuple[Rows, Ties]:
    """Group n rows by several causes at once; see `find_ties`.

    Args:
        keys: cause -> per row, what it must not share with another side by this cause.
        test_share: of the random split that is compared with.
    """
    joined = [[(cause, key) for cause, own in keys.items() for key in own[row]] for row in range(_length(keys))]
    groups = group_rows(joined)
    causes = tuple(_tie(cause, group_rows(own), test_share) for cause, own in keys.items())
    return groups, Ties(len(groups), len(np.unique(groups)), causes, _tie("all", groups, test_share))


def moments(table: pa.Table, name: str) -> Rows:
    """When each listing was: int64 [n], ascending with the column's values, nulls and NaN before all others.

    Texts ascend as texts; where all of them are whole numbers, as these.

    Raises:
        ContractError: the column has no order of time.
    """
    column = plain(table.column(name).combine_chunks())
    kind = column.type
    if not (pa.types.is_temporal(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or _is_text(kind)):
        raise ContractError(
            f"time_column: {name!r} is {kind}; expected a date, a time, a number, or a text like 2026-11-24 that"
            " sorts by time. Nothing was trained."
        )
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)  # as a null, as everywhere
    if _is_text(kind) and all(map(NUMBER.fullmatch, column.unique().drop_null().to_pylist())):
        column = column.cast(pa.int64())  # month=9 is before month=10
    distinct = column.unique().drop_null()
    ordered = distinct.take(pc.sort_indices(distinct))
    return np.asarray(pc.index_in(column, ordered).fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _length(keys: Mapping[str, Keys]) -> int:
    return len(next(iter(keys.values())))


def _values(table: pa.Table, name: str) -> Keys:
    return [[] if value is None else [value] for value in table.column(name).to_pylist()]


def _files(given: npt.NDArray[np.int32], uris: Sequence[str], cache: ImageCache) -> Keys:
    """The images of each listing by their bytes; by their URI where no byte could be had."""
    names = [cache.digests.get(uri, uri) for uri in uris]
    return [list(dict.fromkeys(names[place] for place in row if place >= 0)) for row in given]


def _looks(given: npt.NDArray[np.int32], uris: Sequence[str], cache: ImageCache) -> Keys:
    """The images of each listing that look like one in another slot."""
    alike = find_lookalikes(cache.pixels, np.array(sorted(set(cache.slots.values())), np.int64))
    clusters = [alike.get(cache.slots.get(uri, -1)) for uri in uris]
    found = ((clusters[place] for place in row if place >= 0) for row in given)
    return [list(dict.fromkeys(cluster for cluster in row if cluster is not None)) for row in found]


def _tie(cause: str, groups: Rows, test_share: float) -> Tie:
    _, sizes = np.unique(groups, return_counts=True)
    tied = sizes[sizes > 1]
    return Tie(
        cause,
        rows=int(tied.sum()),
        groups=len(tied),
        largest=int(tied.max(initial=1)),
        leaked=_leaked(tied, len(groups), round(test_share * len(groups))),
    )


def _leaked(sizes: npt.NDArray[np.int64], rows: int, test: int) -> float:
    """Expected share of `test` rows, drawn at random, that have one of their group among the others."""
    if not test:
        return 0.0
    expected = 0.0
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        mates = np.arange(size - 1)
        alone = float(np.prod(np.maximum(test - 1 - mates, 0) / (rows - 1 - mates)))
        expected += count * size / rows * (1 - alone)
    return float(expected)
