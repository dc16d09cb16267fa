"""Images that show the same although their bytes differ: scaled, recompressed, a little brighter, cropped or marked.

Candidates share most of a 64-bit hash of gradients; what decides is the correlation of 16 x 16 grey values.
"""

from collections.abc import Iterator
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from scorer.training.images import Pixels
from scorer.training.split import Rows, group_rows

Hashes = npt.NDArray[np.uint64]
Greys = npt.NDArray[np.uint8]
Pairs = npt.NDArray[np.int64]

MOST_BITS = 5
"""Bits of 64 in which the hashes of two pictures of the same may differ.

Of 1,600 photographs of 400 houses, more than 99 % kept within it when they were halved, recompressed at quality 40 or
marked with a name, or lost 2 % of their sides, 97 % when they were brightened, 64 % when they lost 5 %. Of their 1.3
million pairs 14 are within it, all of the same picture; the next ones, of different pictures, begin at 9 bits.
"""

LEAST_CORRELATION = 0.9
"""Of the grey values. The 14 pairs reached 0.998; pairs within 12 bits that show different things stayed below 0.69."""

FLAT = 4.0
"""Standard deviation of the grey values, of 255, below which an image shows nothing to be known again by.

The flattest of the 1,600 photographs has 12. An empty placeholder must not tie all the listings together that have it.
"""

SIDE = 16
BLOCKS = 3
"""Bytes of the hash that two near ones have in common: 5 bits spoil 5 of 8 bytes at most."""

NEIGHBOURS = 50
"""Most hashes in a bucket that each is compared with: what fills one beyond that is one motif many times over."""

CHUNK = 4096


def find_lookalikes(pixels: Pixels, slots: Rows) -> dict[int, int]:
    """Which of the images look the same.

    Takes 8 s for a million hashes on one core, besides reading the pixels once (20 microseconds each at 64 pixels).

    Args:
        pixels: uint8 [slots, S, S, 3], sRGB.
        slots: int64 [n], which of them to compare; distinct.

    Returns:
        Slot -> the first slot of its cluster, for the slots that look like another one, directly or by a chain.
    """
    hashes, greys = describe(pixels, slots)
    shown = np.flatnonzero(greys.std(axis=1) >= FLAT)
    near = shown[near_pairs(hashes[shown])]
    alike = near[_correlation(greys, near) >= LEAST_CORRELATION]
    there, places = np.unique(alike, return_inverse=True)
    keys: list[list[int]] = [[] for _ in there]
    for number, (one, other) in enumerate(places.reshape(-1, 2)):
        keys[one].append(number)
        keys[other].append(number)
    return {int(slots[there[own]]): int(slots[there[first]]) for own, first in enumerate(group_rows(keys))}


def describe(pixels: Pixels, slots: Rows) -> tuple[Hashes, Greys]:
    """The hash and the grey values of some images: uint64 [n] and uint8 [n, 256]."""
    greys = np.empty((len(slots), SIDE * SIDE), np.uint8)
    gradients = np.empty((len(slots), 64), np.bool_)
    for place, slot in enumerate(slots):
        grey = cv2.cvtColor(pixels[slot], cv2.COLOR_RGB2GRAY).astype(np.float32)
        greys[place] = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
        steps = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
        gradients[place] = (steps[:, 1:] > steps[:, :-1]).ravel()
    return np.packbits(gradients, axis=1).view(np.uint64).ravel(), greys


def near_pairs(hashes: Hashes) -> Pairs:
    """Pairs of hashes that differ in at most `MOST_BITS` bits.

    Two such hashes have three whole bytes in common, so it suffices to compare those that agree in some three of the
    eight: 56 sorted lists instead of all pairs. Equal hashes are paired with the first of them alone.

    Args:
        hashes: uint64 [n].

    Returns:
        int64 [pairs, 2], positions, each pair once, the lower one first.
    """
    distinct, first, place = np.unique(hashes, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[place] != np.arange(len(hashes)))
    equal = np.stack([first[place[repeated]], repeated], axis=1)
    octets = distinct.view(np.uint8).reshape(-1, 8).astype(np.uint32)
    found = [pairs for blocks in combinations(range(8), BLOCKS) for pairs in _in_buckets(distinct, octets, blocks)]
    near = np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 2), np.int64)
    return np.concatenate([equal, np.sort(first[near], axis=1)]).astype(np.int64)


def _in_buckets(hashes: Hashes, octets: npt.NDArray[np.uint32], blocks: tuple[int, ...]) -> Iterator[Pairs]:
    """Near pairs among the hashes that agree in these bytes, by their distance in the sorted list."""
    keys = np.zeros(len(hashes), np.uint32)
    for block in blocks:
        keys = keys << np.uint32(8) | octets[:, block]
    order = np.argsort(keys)
    keys = keys[order]
    at = np.arange(len(keys))
    for step in range(1, NEIGHBOURS + 1):
        at = at[: np.searchsorted(at, len(keys) - step)]
        at = at[keys[at] == keys[at + step]]
        if not len(at):
            return
        one, other = order[at], order[at + step]
        near = np.bitwise_count(hashes[one] ^ hashes[other]) <= MOST_BITS
        if near.any():
            yield np.sort(np.stack([one[near], other[near]], axis=1), axis=1)


def _correlation(greys: Greys, pairs: Pairs) -> npt.NDArray[np.float64]:
    """Of the grey values of each pair: float64 [pairs], -1 to 1."""
    found = np.empty(len(pairs), np.float64)
    for start in range(0, len(pairs), CHUNK):
        one, other = (_normal(greys[pairs[start : start + CHUNK, side]]) for side in (0, 1))
        found[start : start + CHUNK] = (one * other).sum(axis=1)
    return found


def _normal(greys: Greys) -> npt.NDArray[np.float64]:
    centred = greys - greys.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True), np.float64)
