"""The figures of a card, measured on test listings that neither fitting nor stopping has seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scorer.model.preprocessing import Matrix, Preprocessing, kind_of, plain
from scorer.pages.words import number
from scorer.training.card.content import Change, Point, Segment
from scorer.training.evaluate import Floats, bootstrap
from scorer.training.split import Rows
from scorer.training.weighting import weighted_mean
from scorer.training.yardstick import Yardstick

Images = npt.NDArray[np.int32]
Predict = Callable[[Matrix, Images], Floats]
"""float32 [m, F] and int32 [m, K] slots, -1 where there is no image -> predictions in the target's unit [m]."""

MOST_ROWS = 2000
"""Test listings that features and images are spoilt for: their means are steady by then."""

MOST_FEATURES = 40
MOST_COLUMNS = 6
MOST_VALUES = 8
LEAST_ROWS = 10
"""Listings below which a segment's error is chance: it goes into the others."""

BINS = 10


@dataclass(frozen=True)
class Tested:
    """Test listings and what the model says of them.

    Attributes:
        table: their rows.
        actual: float64 [m].
        predicted: float64 [m].
        groups: int64 [m].
        features: float32 [m, F].
        images: int32 [m, K].
        weights: float64 [m], what each listing counts.
        yardstick: the main error.
        seed: of the resampling.
    """

    table: pa.Table
    actual: Floats
    predicted: Floats
    groups: Rows
    features: Matrix
    images: Images
    weights: Floats
    yardstick: Yardstick
    seed: int

    def errors(self, predicted: Floats) -> Floats:
        """The main error of each listing, float64 [m]."""
        return self.yardstick.errors(self.actual, predicted)

    def mean(self, values: Floats) -> float:
        """Of values float64 [m]."""
        return weighted_mean(values, self.weights)

    def interval(self, values: Floats) -> tuple[float, float]:
        """The 95 % interval of that mean."""
        low, high, _ = bootstrap(values, self.groups, self.seed, self.weights)
        return low, high

    def some(self, most: int) -> "Tested":
        """These, or as many of them drawn at random."""
        if len(self.actual) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(self.seed).choice(len(self.actual), most, replace=False)))

    def take(self, rows: Rows) -> "Tested":
        """Some of these."""
        return replace(
            self,
            table=self.table.take(pa.array(rows)),
            actual=self.actual[rows],
            predicted=self.predicted[rows],
            groups=self.groups[rows],
            features=self.features[rows],
            images=self.images[rows],
            weights=self.weights[rows],
        )


def feature_changes(tested: Tested, preprocessing: Preprocessing, predict: Predict) -> tuple[Change, ...]:
    """What the error rises by when a feature is dealt out anew among the listings, the largest rise first."""
    tested, random = tested.some(MOST_ROWS), np.random.default_rng(tested.seed)
    found, start = list[Change](), 0
    for feature in preprocessing.features:
        columns = slice(start, start + feature.width)
        start += feature.width
        if len(found) == MOST_FEATURES:
            break
        spoilt = tested.features.copy()
        spoilt[:, columns] = spoilt[random.permutation(len(spoilt)), columns]
        found.append(_change(feature.name, tested, predict(spoilt, tested.images)))
    return tuple(sorted(found, key=lambda change: (-change.rise, change.what)))


def image_changes(tested: Tested, predict: Predict) -> tuple[Change, ...]:
    """What the error rises by with fewer images, or with another listing's, for the listings that have any."""
    rows = np.flatnonzero((tested.images >= 0).any(axis=1))
    tested = tested.take(rows).some(MOST_ROWS)
    if not len(tested.actual):
        return ()
    most = int((tested.images >= 0).sum(axis=1).max())
    kept = sorted({most // 2, min(2, most - 1), 1, 0} & set(range(most)), reverse=True)
    found = [
        _change(f"at most {count} of {most} images" if count else "no image", tested, predict(tested.features, left))
        for count in kept
        for left in [first_images(tested.images, count)]
    ]
    dealt = np.random.default_rng(tested.seed).permutation(len(tested.images))
    swapped = _change("another listing's images", tested, predict(tested.features, tested.images[dealt]))
    return (*found, swapped)


def first_images(images: Images, count: int) -> Images:
    """int32 [m, K]: of each listing the first `count` usable images stay."""
    kept = images.copy()
    kept[np.cumsum(images >= 0, axis=1) > count] = -1
    return kept


def _change(what: str, tested: Tested, predicted: Floats) -> Change:
    errors = tested.errors(predicted)
    rises = errors - tested.errors(tested.predicted)
    return Change(what, tested.mean(errors), tested.mean(rises), *tested.interval(rises))


def segments(tested: Tested, features: Sequence[str], target: str) -> tuple[Segment, ...]:
    """Errors by the most frequent values of the categories, by size of the target, and by usable images."""
    quarters = np.searchsorted(np.quantile(tested.actual, [0.25, 0.5, 0.75]), tested.actual, side="right")
    counts = (tested.images >= 0).sum(axis=1)
    found = [*_by(tested, target, quarters, _quarter_names(tested.actual, quarters))]
    found += _by(tested, "images", counts, {int(count): f"{count:,} usable" for count in np.unique(counts)})
    categorical = [
        name for name in features if kind_of(tested.table.schema.field(name).type) in ("category", "boolean")
    ]
    for name in categorical[:MOST_COLUMNS]:
        found += _by(tested, name, *_levels(tested.table.column(name)))
    return tuple(found)


def _levels(column: pa.ChunkedArray) -> tuple[Rows, dict[int, str]]:
    """The place of each row's value among the frequent ones, and their names; -1 is every other."""
    text = plain(column.combine_chunks()).cast(pa.string()).fill_null("(missing)")
    counts = sorted(
        zip(*(part.to_pylist() for part in pc.value_counts(text).flatten()), strict=True),
        key=lambda pair: (-pair[1], pair[0]),
    )
    kept = [value for value, count in counts[:MOST_VALUES] if count >= LEAST_ROWS]
    places = pc.index_in(text, value_set=pa.array(kept, pa.string())).fill_null(-1)
    return np.asarray(places.to_numpy(zero_copy_only=False), np.int64), dict(enumerate(kept)) | {-1: "(all others)"}


def _by(tested: Tested, column: str, places: Rows, names: dict[int, str]) -> list[Segment]:
    found = []
    for place, name in names.items():
        rows = np.flatnonzero(places == place)
        if len(rows):
            part = tested.take(rows)
            errors, signed = part.errors(part.predicted), part.predicted - part.actual
            bias = 100 * signed / np.abs(part.actual) if part.yardstick.percent else signed
            found.append(Segment(column, name, len(rows), part.mean(errors), *part.interval(errors), part.mean(bias)))
    return found


def _quarter_names(actual: Floats, quarters: Rows) -> dict[int, str]:
    names = {}
    for quarter in range(4):
        inside = actual[quarters == quarter]
        if len(inside):
            names[quarter] = f"{number(float(inside.min()))} to {number(float(inside.max()))}"
    return names


def calibration(tested: Tested) -> tuple[Point, ...]:
    """Ten bins of equal size by prediction: mean prediction beside mean actual value."""
    order = np.argsort(tested.predicted, kind="stable")
    bins = np.array_split(order, min(BINS, max(1, len(order) // LEAST_ROWS)))
    parts = [tested.take(rows) for rows in bins if len(rows)]
    return tuple(Point(part.mean(part.predicted), part.mean(part.actual), len(part.actual)) for part in parts)
