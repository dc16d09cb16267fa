"""Quantities over many runs, each drawn as a row of columns, one column a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scorer.output.tally import Tally
from scorer.pages.plots import Box, ceiling
from scorer.pages.words import count, duration, moment, number, share
from scorer.run.report.journal import Entry

OUTCOMES = ("scored", "degraded", "failed", "quarantined")

MOST_FEATURES = 12
"""Features whose drift is drawn: those that moved most in any run."""


@dataclass(frozen=True)
class Column:
    """One run's boxes in a plot, the name of each one's colour beside it; `told` says in words what they show."""

    boxes: tuple[tuple[str, Box], ...]
    told: str


@dataclass(frozen=True)
class Strip:
    """A quantity over the runs, drawn as one column a run.

    Attributes:
        name: identifies it within the page.
        title: what is drawn.
        top: what the upper end stands for, in words.
        middle: the middle of what there is, in words.
        ends: what the first and the last column stand for.
        bottom: what the lower end stands for, in words.
    """

    name: str
    title: str
    top: str
    middle: str
    columns: tuple[Column, ...]
    ends: tuple[str, str]
    bottom: str = "0"


def counts_of(entry: Entry) -> Tally:
    """Of a run; nothing for one that ended before it had counted."""
    return entry.counts or Tally()


def volumes(entries: Sequence[Entry]) -> Strip:
    """Rows of each run, stacked by what became of them."""
    totals = [counts_of(entry).rows_in for entry in entries]
    top = ceiling(max(totals, default=0))
    columns = []
    for at, entry in enumerate(entries):
        counts, low, boxes = counts_of(entry), 100.0, []
        for outcome in OUTCOMES:
            height = 100 * getattr(counts, outcome) / top
            low -= height
            boxes.append((f"fill-{outcome}", _box(at, len(entries), low, height)))
        said = ", ".join(f"{getattr(counts, outcome):,} {outcome}" for outcome in OUTCOMES)
        columns.append(Column(_marked(entry, at, len(entries), tuple(boxes)), f"{_when(entry)}: {said}"))
    return Strip("volumes", "Listings by run", count(top), count(_middle(totals)), tuple(columns), _ends(entries))


def rates(entries: Sequence[Entry]) -> list[Strip]:
    """One figure a run, for each kind of figure that any run has."""
    kinds: list[tuple[str, str, Callable[[Entry], float | None], Callable[[float], str]]] = [
        ("degraded", "Share of listings degraded", _degraded, lambda value: share(value)),
        ("seconds", "Time", lambda entry: entry.seconds, duration),
        ("cost", "Cost", lambda entry: entry.cost, lambda value: f"{value:,.2f} {entries[-1].currency}".strip()),
        ("pace", "Images a second", lambda entry: entry.images_per_s or None, count),
        ("cpu", "CPU milliseconds an image", lambda entry: entry.cpu_ms_per_image or None, number),
        ("mean", "Mean score", lambda entry: entry.score_mean, number),
        ("shift", "Scores against the training (PSI)", _score_shift, number),
    ]
    return [
        _strip(name, title, entries, [value(entry) for entry in entries], words)
        for name, title, value, words in kinds
        if any(value(entry) is not None for entry in entries)
    ]


def _degraded(entry: Entry) -> float | None:
    counts = entry.counts
    return counts.degraded / counts.predicted if counts and counts.predicted else None


def _score_shift(entry: Entry) -> float | None:
    return entry.score_shift.psi if entry.score_shift else None


def _strip(
    name: str,
    title: str,
    entries: Sequence[Entry],
    values: Sequence[float | None],
    words: Callable[[float], str],
    floor: float = 0.0,
) -> Strip:
    """One column a run. `floor` is a value that the plot reaches at least, so that small ones look small."""
    there = [value for value in values if value is not None]
    least, most = min([0.0, *there]), max([floor, *there])
    bottom = -ceiling(-least) if least < 0 else 0.0
    top = ceiling(most) if most > 0 or not bottom else 0.0
    scale = 100 / (top - bottom)
    columns = []
    for at, (entry, value) in enumerate(zip(entries, values, strict=True)):
        upper, height = max(value or 0.0, 0.0), abs(value or 0.0)  # a column hangs from zero, or stands on it
        boxes = (("bar-now", _box(at, len(entries), scale * (top - upper), scale * height)),)
        told = "none" if value is None else words(value)
        columns.append(Column(_marked(entry, at, len(entries), boxes), f"{_when(entry)}: {told}"))
    ends, middle = _ends(entries), words(_middle(there))
    return Strip(name, title, words(top), middle, tuple(columns), ends, words(bottom) if bottom else "0")


def drift(entries: Sequence[Entry]) -> tuple[Strip, ...]:
    """The PSI of the features that moved most, over the runs."""
    worst = {name: 0.0 for entry in entries for name in entry.drift}
    for entry in entries:
        for name, moved in entry.drift.items():
            worst[name] = max(worst[name], moved.psi)
    order = sorted(worst, key=lambda name: (-worst[name], name))[:MOST_FEATURES]

    def of(entry: Entry, name: str) -> float | None:
        return entry.drift[name].psi if name in entry.drift else None

    return tuple(
        _strip(f"drift-{at}", name, entries, [of(entry, name) for entry in entries], number, floor=0.25)
        for at, name in enumerate(order)
    )


def _box(at: int, columns: int, y: float, height: float) -> Box:
    width = 100 / columns
    return Box(width * (at + 0.09), y, width * 0.82, height)


def _marked(entry: Entry, at: int, columns: int, boxes: tuple[tuple[str, Box], ...]) -> tuple[tuple[str, Box], ...]:
    """A run that was not published has a mark below its column."""
    if entry.outcome == "published":
        return boxes
    return (*boxes, ("fill-refused", _box(at, columns, 96.0, 4.0)))


def _middle(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0.0


def _ends(entries: Sequence[Entry]) -> tuple[str, str]:
    return f"{entries[0].ended:%d %b}", f"{entries[-1].ended:%d %b}"


def _when(entry: Entry) -> str:
    return f"{entry.partition or 'run'}, {moment(entry.ended)}"
