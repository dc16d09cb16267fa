"""Few files instead of many, within a limit of bytes: what was asked for most recently stays."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from scorer.model.embeddings.block import ROWS_PER_BLOCK, Block
from scorer.model.embeddings.index import Index
from scorer.objectstore import ObjectStore, join

MOST_FILES = 12
"""Each costs every start a request and a mapping; one more comes with every night."""

GROWTH = 3
"""A file joins a merge that is at least a third of its size: each embedding is written a few times, not nightly."""

KEEP_SHARE = 0.8
"""Of the limit, when it was exceeded: so that not every night must merge."""


def chosen(sizes: Sequence[int], limit: int) -> list[int]:
    """Which files to merge, by their sizes in bytes; all of them when together they exceed the limit."""
    if sizes and sum(sizes) > limit:
        return list(range(len(sizes)))
    if len(sizes) <= MOST_FILES:
        return []
    ascending = sorted(range(len(sizes)), key=lambda number: sizes[number])
    found, total = ascending[:2], sum(sizes[number] for number in ascending[:2])
    for number in ascending[2:]:
        if len(found) > len(sizes) - MOST_FILES // 2 and sizes[number] > GROWTH * total:
            break
        found.append(number)
        total += sizes[number]
    return found


def merged(blocks: Sequence[Block], asked: npt.NDArray[np.uint64], today: int, limit: int | None) -> Iterator[Block]:
    """The rows of these blocks as they lie, one block after the other, each key once.

    Of several with one key the one that was used last stays, if it is sound.

    Args:
        blocks: of the files that will be replaced.
        asked: uint64 [n, 2], keys that were wanted today.
        today: days since 1970.
        limit: bytes that must not be exceeded; beyond it those go that were used longest ago.

    Yields:
        Blocks of up to `ROWS_PER_BLOCK`. Memory: some 50 bytes a row, and one such block.
    """
    lengths = [len(block) for block in blocks]
    source = np.repeat(np.arange(len(blocks), dtype=np.int32), lengths)
    row = np.concatenate([np.arange(length, dtype=np.int64) for length in lengths] or [np.zeros(0, np.int64)])
    high, low = (np.concatenate([getattr(block, half) for block in blocks]) for half in ("high", "low"))
    used = np.concatenate([block.used for block in blocks])
    starts = np.cumsum([0, *lengths])
    where, at = Index.of(blocks).look_up(asked)
    used[starts[where[where >= 0]] + at[where >= 0]] = today
    order = np.lexsort((-used.astype(np.int64), low, high))
    high, low = high[order], low[order]
    order = order[np.concatenate([[True], (high[1:] != high[:-1]) | (low[1:] != low[:-1])])] if len(order) else order
    order.sort()  # as they lie, which is as they came
    if limit is not None:
        per_row = blocks[0].values.shape[1] * blocks[0].values.itemsize + 28
        room = int(KEEP_SHARE * limit / per_row)
        if len(order) > room:
            latest = np.argsort(-used[order].astype(np.int64), kind="stable")[: max(room, 0)]
            order = order[np.sort(latest)]
    for start in range(0, len(order), ROWS_PER_BLOCK):
        part = order[start : start + ROWS_PER_BLOCK]
        yield _gathered(blocks, source[part], row[part], used[part])


def drop_unused_towers(uri: str, own: str, keep_days: int, store: ObjectStore) -> None:
    """Remove the embeddings of image towers that no run has used for so many days, by the store's own clock."""
    towers: dict[str, list[str]] = {}
    last: dict[str, datetime] = {}
    for info in store.list_all(uri):
        tower, _, name = info.uri.removeprefix(f"{uri}/").partition("/")
        if len(tower) == 32 and (name == "used" or name.endswith(".arrow")):
            towers.setdefault(tower, []).append(info.uri)
            last[tower] = max(info.modified, last.get(tower, info.modified))
    if own in last:
        for tower, uris in towers.items():
            if last[own] - last[tower] > timedelta(days=keep_days):
                store.delete(sorted(uris, key=lambda found: found == join(uri, tower, "used")))


def _gathered(
    blocks: Sequence[Block], source: npt.NDArray[np.int32], row: npt.NDArray[np.int64], used: npt.NDArray[np.uint32]
) -> Block:
    """Rows of several blocks; those that are damaged are left behind."""
    values = np.empty((len(source), blocks[0].values.shape[1]), blocks[0].values.dtype)
    high, low, check = (np.empty(len(source), np.uint64) for _ in range(3))
    out = Block(high, low, check, used, values)
    for number in np.unique(source):
        places = np.flatnonzero(source == number)
        some = blocks[number].take(row[places])
        out.high[places], out.low[places], out.check[places] = some.high, some.low, some.check
        out.values[places] = some.values
    return out.take(np.flatnonzero(out.sound()))
