"""What of a partition is known already: one pass over its rows and its images' identities, before any is fetched."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from scorer.intake.identities import Identities
from scorer.intake.rows import ImageTable

Mask = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]
IntArray = npt.NDArray[np.int32]


@dataclass
class UnitReuse:
    """What of one unit is known. Some 130 bytes a listing with four images.

    Attributes:
        carried: int64 [rows that are not refused], the row of the earlier predictions, -1: there is none.
        audited: bool, same length: computed all the same, and held against the carried one.
        images: identities of the unit's distinct images, as listed.
        known: bool [distinct images], whether the store has their embeddings.
        images_audited: bool, same length: computed all the same, and held against the store's.
        fetched: bool, same length: images that must be fetched.
    """

    carried: npt.NDArray[np.int64]
    audited: Mask
    images: Identities
    known: Mask
    images_audited: Mask
    fetched: Mask

    @property
    def computed(self) -> Mask:
        """Rows whose score is computed."""
        return np.asarray((self.carried < 0) | self.audited)


@dataclass
class Survey:
    """What is known of all units that are to be scored, and the sums.

    Attributes:
        units: by id.
        rows: rows in them that are not refused.
        rows_carried: of these, how many are unchanged.
        images: distinct images, per unit.
        images_known: of these, how many need not be fetched.
    """

    units: dict[str, UnitReuse] = field(default_factory=dict)
    rows: int = 0
    rows_carried: int = 0
    images: int = 0
    images_known: int = 0

    def add(self, unit_id: str, unit: UnitReuse) -> None:
        """One more unit."""
        self.units[unit_id] = unit
        self.rows += len(unit.carried)
        self.rows_carried += int((unit.carried >= 0).sum())
        self.images += len(unit.known)
        self.images_known += int((~unit.fetched).sum())

    @property
    def rows_computed(self) -> int:
        """Rows whose score is computed, those that are audited included."""
        return sum(int(unit.computed.sum()) for unit in self.units.values())

    @property
    def images_fetched(self) -> int:
        """Distinct images, per unit, that must be fetched."""
        return self.images - self.images_known

    def is_whole(self, unit_id: str) -> bool:
        """Whether nothing of the unit has to be computed."""
        return not self.units[unit_id].computed.any()


def needed(table: ImageTable, rows: Mask) -> Mask:
    """Which distinct images some rows use: bool [distinct images]."""
    found = np.zeros(len(table.uris), bool)
    index = table.index[rows]
    found[index[index >= 0]] = True
    return found


def all_known(table: ImageTable, known: Mask) -> Mask:
    """Rows all of whose images are known, one way or another: bool [rows]."""
    there = np.append(known, True)  # the place that -1 points to
    return np.asarray(there[table.index].all(axis=1))


def chosen(keys: Keys, share: float, seed: int) -> Mask:
    """A share of some keys: other ones for another seed, and the same for the same."""
    if not share:
        return np.zeros(len(keys), bool)
    with np.errstate(over="ignore"):
        mixed = (keys[:, 0] ^ np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) < share * 2.0**53)


def windows(units: Iterator[tuple[Any, int]], most: int) -> Iterator[list[Any]]:
    """Items together, up to so many images each."""
    held: list[Any] = []
    images = 0
    for item, number in units:
        held.append(item)
        images += number
        if images >= most:
            yield held
            held, images = [], 0
    if held:
        yield held


def split(found: Identities, lengths: Sequence[int]) -> Iterator[Identities]:
    """Identities of several units, unit by unit."""
    at = 0
    for length in lengths:
        yield Identities(found.keys[at : at + length], found.known[at : at + length])
        at += length
