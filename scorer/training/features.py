"""Which columns are features, and the figures of their preprocessing, fitted by scikit-learn on the training split."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from scorer.errors import ContractError, SettingsError
from scorer.intake.rows import ID, IMAGES
from scorer.model.encodings import Logarithm, Prefix
from scorer.model.preprocessing import (
    LARGEST,
    BooleanFeature,
    CategoryFeature,
    Feature,
    Mask,
    Matrix,
    NumberFeature,
    Preprocessing,
    as_text,
    floats,
    kind_of,
    plain,
)
from scorer.settings import TrainJob

Scaler = Literal["standard", "minmax"]

DIGITS = re.compile("[0-9]+")
SHORTEST_CODE = 4
"""Digits of a code at least whose beginning is taken for its region."""

LEAST_SEEN = 2
"""A category seen once teaches nothing that holds for the next listing; its row teaches what "unseen" means instead."""


def select_features(
    table: pa.Table, partitions: Sequence[str], job: TrainJob, progress: Callable[[str], None]
) -> tuple[str, ...]:
    """The columns that `features` names, else all of a usable kind that no other setting names or excludes.

    Args:
        table: the listings to learn from: what only a test listing holds is nothing that could be learned.
        partitions: keys of the partitions; their Hive columns are no features, even if the files hold them too.
        job: which columns it names, as target, as group, to take or to leave out.
        progress: told which columns are left out, and why.

    Raises:
        ContractError: a column that `features` names can be no feature.
        SettingsError: a column that is named is the target, or nothing is left to learn from.
    """
    taken = {ID, IMAGES, job.target, *job.further_targets}
    if job.features:
        for name in job.features:
            _insist(table, name, taken)
        useless = {name: _useless(table.column(name)) for name in job.features}
        if all(useless.values()):
            why = "; ".join(f"{name!r}: {reason}" for name, reason in useless.items())
            raise SettingsError(f"features: nothing can be learned from any of them ({why}). Nothing was trained.")
        return job.features
    partition_steps = {step.partition("=")[0] for key in partitions for step in key.split("/")}
    others = {job.group, job.time_column, job.weight, *job.exclude} | partition_steps
    left = [name for name in table.column_names if name not in taken | others]
    reasons = {name: reason for name in left if (reason := _useless(table.column(name)))}
    for name, reason in reasons.items():
        progress(f"Column {name!r} is no feature: {reason}.")
    features = tuple(name for name in left if name not in reasons)
    if not features:
        raise SettingsError(f"No column of {', '.join(table.column_names)} can be a feature. Nothing was trained.")
    return features


@dataclass(frozen=True)
class Encodings:
    """Further columns of the features, beside the plain ones.

    Attributes:
        logarithms: of numbers that are never negative.
        categories: columns of whole numbers that name something rather than count it.
        prefixes: column -> length of the beginnings of its values that are categories, too; 0 for none. Where a column
            of digits of one length is not named, all but its last two: the regions of ZIP codes.
        bounded: whether a number beyond what training has seen counts as the nearest that it has seen.
    """

    logarithms: bool = False
    categories: tuple[str, ...] = ()
    prefixes: Mapping[str, int] | None = None
    bounded: bool = False


PLAIN = Encodings()


def fit_preprocessing(
    table: pa.Table, names: tuple[str, ...], scaler: Scaler, max_categories: int, encodings: Encodings = PLAIN
) -> Preprocessing:
    """Fit each feature on its column.

    Args:
        table: the training split; at least one row.
        names: the features in order.
        scaler: of the numbers.
        max_categories: most frequent values kept per category column.
        encodings: further columns.
    """
    columns = ((name, table.column(name)) for name in names)
    return Preprocessing(tuple(_fit(name, column, scaler, max_categories, encodings) for name, column in columns))


def transform_table(preprocessing: Preprocessing, table: pa.Table) -> tuple[Matrix, dict[str, Mask]]:
    """A whole table, of at least one row, at once; see `Preprocessing.transform`."""
    (batch,) = table.select(preprocessing.names).combine_chunks().to_batches()
    return preprocessing.transform(batch)


def _fit(name: str, column: pa.ChunkedArray, scaler: Scaler, max_categories: int, encodings: Encodings) -> Feature:
    arrow_type, values = str(column.type), column.combine_chunks()
    match kind_of(column.type):
        case "number" if name not in encodings.categories:
            return _fit_number(name, arrow_type, floats(values), scaler, encodings)
        case "boolean":
            seen = Counter(plain(values).drop_null().to_pylist())
            return BooleanFeature(name, arrow_type, fill=seen[True] > seen[False], flag_missing=values.null_count > 0)
        case _:
            text = as_text(values)
            return CategoryFeature(
                name,
                arrow_type,
                values=_frequent(text, max_categories),
                flag_missing=text.null_count > 0,
                prefix=_fit_prefix(name, text, max_categories, encodings),
                whole_numbers=kind_of(column.type) == "number",
            )


def _fit_prefix(name: str, text: pa.Array, max_categories: int, encodings: Encodings) -> Prefix | None:
    """The beginnings that occur often enough, where there are to be some."""
    if encodings.prefixes is None:
        return None
    length = encodings.prefixes.get(name)
    if length is None:
        sizes = {len(value) if DIGITS.fullmatch(value) else 0 for value in text.drop_null().unique().to_pylist()}
        (size,) = sizes if len(sizes) == 1 else (0,)
        length = size - 2 if size >= SHORTEST_CODE else 0
    if length < 1:
        return None
    return Prefix(length, _frequent(pc.utf8_slice_codeunits(text, 0, length), max_categories))


def _fit_logarithm(filled: np.ndarray) -> Logarithm | None:
    """Of a number that is never negative and takes more than two values."""
    positive = filled[filled > 0]
    if not len(positive) or filled.min() < 0 or len(np.unique(filled)) < 3:
        return None
    floor = float(positive.min()) / (1 if filled.min() > 0 else 2)
    logs = np.log(np.maximum(filled, floor))
    return Logarithm(floor, float(logs.mean()), float(logs.std()) or 1.0)


def _fit_number(name: str, arrow_type: str, values: np.ndarray, scaler: Scaler, encodings: Encodings) -> NumberFeature:
    missing = ~(np.abs(values) <= LARGEST)
    seen = values[~missing] if encodings.bounded else values[:0]
    column = np.where(missing, np.nan, values)[:, None]
    imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(column)
    filled = imputer.transform(column)
    if scaler == "minmax":
        fitted = MinMaxScaler().fit(filled)
        shift, scale = fitted.data_min_[0], 1 / fitted.scale_[0]
    else:
        fitted = StandardScaler().fit(filled)
        shift, scale = fitted.mean_[0], fitted.scale_[0]
    return NumberFeature(
        name,
        arrow_type,
        fill=float(imputer.statistics_[0]),
        shift=float(shift),
        scale=float(scale),
        flag_missing=bool(missing.any()),
        logarithm=_fit_logarithm(filled[:, 0]) if encodings.logarithms else None,
        least=float(seen.min()) if len(seen) else None,
        greatest=float(seen.max()) if len(seen) else None,
    )


def _frequent(values: pa.Array, most: int) -> tuple[str, ...]:
    """Values seen at least `LEAST_SEEN` times, the most frequent first; equally frequent ones by name."""
    counts = Counter(as_text(values).drop_null().to_pylist())
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    return tuple(value for value in ordered[:most] if counts[value] >= LEAST_SEEN)


def _insist(table: pa.Table, name: str, taken: set[str]) -> None:
    if name in taken:
        raise SettingsError(f"features: {name!r} is the id, the images or a target, so it cannot be a feature.")
    if kind_of(table.column(name).type) is None:
        raise ContractError(
            f"features: column {name!r} is {table.column(name).type}; expected a number, a boolean or a string."
            " Nothing was trained."
        )


def _useless(column: pa.ChunkedArray) -> str | None:
    """Why no feature can be made of a column that nobody named, or None."""
    kind = kind_of(column.type)
    if kind is None:
        return f"{column.type} is neither number, boolean nor string"
    if column.null_count == len(column):
        return "it is null in every training row"
    if kind == "category" and not _frequent(column.combine_chunks(), 1):
        return "no value occurs twice, as in a name or a text"
    return None
