"""Which columns are features, and the figures of their preprocessing, fitted by scikit-learn on the training split."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from scorer.errors import ContractError, SettingsError
from scorer.intake.rows import ID, IMAGES
from scorer.model.preprocessing import (
    LARGEST,
    BooleanFeature,
    CategoryFeature,
    Feature,
    Mask,
    Matrix,
    NumberFeature,
    Preprocessing,
    floats,
    kind_of,
    plain,
)
from scorer.settings import TrainJob
from scorer.training.examples import column_of

Scaler = Literal["standard", "minmax"]

LEAST_SEEN = 2
"""A category seen once teaches nothing that holds for the next listing; its row teaches what "unseen" means instead."""


def select_features(
    table: pa.Table, partitions: Sequence[str], job: TrainJob, progress: Callable[[str], None]
) -> tuple[str, ...]:
    """The columns that `features` names, else all of a usable kind but id, target, images, group and exclusions.

    Args:
        table: the training split.
        partitions: keys of the partitions; their Hive columns are no features, even if the files hold them too.
        job: which columns it names, as target, as group, to take or to leave out.
        progress: told which columns are left out, and why.

    Raises:
        ContractError: a column that `features` names can be no feature.
        SettingsError: a column that is named does not exist, is the target, or no column is left.
    """
    taken = {ID, IMAGES, job.target}
    for name in (*job.features, *job.exclude):
        column_of(table, name, "features, exclude")
    if job.features:
        for name in job.features:
            _insist(table, name, taken)
        return job.features
    partition_steps = {step.partition("=")[0] for key in partitions for step in key.split("/")}
    left = [name for name in table.column_names if name not in taken | {job.group, *job.exclude} | partition_steps]
    reasons = {name: reason for name in left if (reason := _useless(table.column(name)))}
    for name, reason in reasons.items():
        progress(f"Column {name!r} is no feature: {reason}.")
    features = tuple(name for name in left if name not in reasons)
    if not features:
        raise SettingsError(f"No column of {', '.join(table.column_names)} can be a feature. Nothing was trained.")
    return features


def fit_preprocessing(table: pa.Table, names: tuple[str, ...], scaler: Scaler, max_categories: int) -> Preprocessing:
    """Fit each feature on its column.

    Args:
        table: the training split; at least one row.
        names: the features in order.
        scaler: of the numbers.
        max_categories: most frequent values kept per category column.
    """
    return Preprocessing(tuple(_fit(name, table.column(name), scaler, max_categories) for name in names))


def transform_table(preprocessing: Preprocessing, table: pa.Table) -> tuple[Matrix, dict[str, Mask]]:
    """A whole table, of at least one row, at once; see `Preprocessing.transform`."""
    (batch,) = table.select(preprocessing.names).combine_chunks().to_batches()
    return preprocessing.transform(batch)


def _fit(name: str, column: pa.ChunkedArray, scaler: Scaler, max_categories: int) -> Feature:
    arrow_type, values = str(column.type), column.combine_chunks()
    match kind_of(column.type):
        case "number":
            return _fit_number(name, arrow_type, floats(values), scaler)
        case "boolean":
            seen = Counter(plain(values).drop_null().to_pylist())
            return BooleanFeature(name, arrow_type, fill=seen[True] > seen[False], flag_missing=values.null_count > 0)
        case _:
            kept = _frequent(values, max_categories)
            return CategoryFeature(name, arrow_type, values=kept, flag_missing=values.null_count > 0)


def _fit_number(name: str, arrow_type: str, values: np.ndarray, scaler: Scaler) -> NumberFeature:
    missing = ~(np.abs(values) <= LARGEST)
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
    )


def _frequent(values: pa.Array, most: int) -> tuple[str, ...]:
    """Values seen at least `LEAST_SEEN` times, the most frequent first; equally frequent ones by name."""
    counts = Counter(plain(values).cast(pa.string()).drop_null().to_pylist())
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    return tuple(value for value in ordered[:most] if counts[value] >= LEAST_SEEN)


def _insist(table: pa.Table, name: str, taken: set[str]) -> None:
    if name in taken:
        raise SettingsError(f"features: {name!r} is the id, the images or the target, so it cannot be a feature.")
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
