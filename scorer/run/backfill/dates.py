"""Which partitions lie between two dates, and which dates have none."""

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from scorer.errors import NothingToDo, SettingsError
from scorer.intake.partitions import find_keys
from scorer.objectstore import ObjectStore, join
from scorer.tables import is_table

MOST_DAYS = 3660
"""Longer ranges are not searched day by day, nor for gaps."""

_LIKE_A_DATE = re.compile(r"\d{4}-\d{1,2}(-\d{1,2})?")

_YEAR_OR_SO = re.compile(r"\d{4}(-\d{2}){0,2}")

LISTS = 16
"""Days asked for at a time."""


@dataclass(frozen=True)
class Range:
    """Values of one partition key, from the lowest to the highest, both inclusive.

    The ends are days, months, or anything else that sorts as text does; a month, or a year, holds all of its days.
    """

    key: str
    low: str
    high: str

    @classmethod
    def of(cls, first: str, last: str) -> "Range":
        """From `2026-11-01` or `day=2026-11-01`. Raises SettingsError where nothing can lie between."""
        key, low = _key_and_value(first)
        other, high = _key_and_value(last)
        if "=" in last and other != key:
            raise SettingsError(f"--from {first} and --to {last} name two different keys. Nothing was done.")
        for option, value in (("--from", low), ("--to", high)):
            if _LIKE_A_DATE.fullmatch(value) and _kind(value) == "other":
                raise SettingsError(
                    f"{option} {value} is no date; expected one like 2026-11-01, or a month like 2026-11. As a text it"
                    " would stand between other nights than you mean. Nothing was done."
                )
        if _kind(low) != _kind(high):
            raise SettingsError(
                f"--from {first} and --to {last} are not of one kind: give two days, two months, or two other values."
                " Nothing was done."
            )
        if low > high:
            raise SettingsError(f"--from {first} is behind --to {last}. Nothing was done.")
        return cls(key, low, high)

    def holds(self, partition: str) -> bool:
        """Whether a partition lies between. Raises SettingsError where that cannot be told."""
        value = dict(_key_and_value(step) for step in partition.split("/")).get(self.key, "")
        kind = _kind(self.low)
        if kind != "other" and _LIKE_A_DATE.fullmatch(value) and _kind(value) not in ("day", kind):
            raise SettingsError(
                f"The partition {partition} has no {kind} as its {self.key}, so that it cannot be told whether it lies"
                f" between {self.low} and {self.high}. Nothing was done. Give --from and --to in the form of the"
                " partitions, or score it by `scorer score --partition`."
            )
        return self.low <= value and (value <= self.high or self._ends_within(value))

    def _ends_within(self, value: str) -> bool:
        """Whether it is a part of the last month, or year: `2026-11-30` of `2026-11`."""
        return bool(_YEAR_OR_SO.fullmatch(self.high)) and value.startswith(f"{self.high}-")


def partitions_within(wanted: Range, listings: str, store: ObjectStore) -> tuple[list[str], list[str]]:
    """Keys of the partitions within a range, and of the days without one; both in order.

    Raises:
        NothingToDo: no partition lies within.
    """
    within = _probed(wanted, listings, store)
    if not within:
        within = [key for key in find_keys(listings, store) if wanted.holds(key)]
    if not within:
        raise NothingToDo(
            f"No partition of {listings} has {wanted.key} from {wanted.low} to {wanted.high}. Nothing was done."
        )
    return within, sorted(set(_expected(wanted, within)) - set(within))


def spans(days: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    """Consecutive days of the same other keys together, as first, last and number of days."""
    held: list[str] = []
    for day in days:
        if held and _after(held[-1]) != day:
            yield held[0], held[-1], len(held)
            held = []
        held.append(day)
    if held:
        yield held[0], held[-1], len(held)


def _probed(wanted: Range, listings: str, store: ObjectStore) -> list[str]:
    """The partitions of each day, asked for day by day; empty where the day is not the first step below the listings.

    Images often lie below the listings, too: a listing of everything would take minutes for millions of them. A table
    names its partitions by itself.
    """
    if is_table(listings):
        return []

    def below(day: str) -> list[str]:
        step = f"{wanted.key}={day}"
        found = find_keys(join(listings, step), store)
        return [step if key.endswith(step) else f"{step}/{key}" for key in found]

    with ThreadPoolExecutor(LISTS) as readers:
        return sorted(key for keys in readers.map(below, _days(wanted)) for key in keys)


def _days(wanted: Range) -> list[str]:
    """Every day of the range; none where values are no days, or too many."""
    low, high = _day(wanted.low), _day(wanted.high)
    if low is None or high is None:
        return []
    number = (high - low).days + 1
    return [(low + timedelta(days=day)).isoformat() for day in range(number if number <= MOST_DAYS else 0)]


def _expected(wanted: Range, within: Iterable[str]) -> Iterator[str]:
    """Every day of the range, for each combination of the other keys that occurs; nothing where values are no days."""
    days = _days(wanted)
    for pattern in sorted({_with_day(key, wanted.key, "*") for key in within}):
        yield from (pattern.replace(f"{wanted.key}=*", f"{wanted.key}={day}") for day in days)


def _with_day(partition: str, key: str, value: str) -> str:
    steps = [f"{key}={value}" if step.partition("=")[0] == key else step for step in partition.split("/")]
    return "/".join(steps)


def _after(partition: str) -> str | None:
    """The key of the day after; None where no step is a day."""
    for step in partition.split("/"):
        key, _, value = step.partition("=")
        if (day := _day(value)) is not None:
            return _with_day(partition, key, (day + timedelta(days=1)).isoformat())
    return None


def _day(value: str) -> date | None:
    """`2026-11-01`; None for any other form, also those of ISO that sort in another way."""
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return None
    return day if day.isoformat() == value else None


def _kind(value: str) -> Literal["day", "month", "other"]:
    if _day(value) is not None:
        return "day"
    return "month" if _day(f"{value}-01") is not None else "other"


def _key_and_value(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    return (key, value) if separator else ("ds", text)
