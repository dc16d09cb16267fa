"""What any model has to beat, fitted on the same rows: a constant, ridge on one-hot columns, gradient boosting."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits

from scorer.model.preprocessing import Preprocessing, floats, kind_of, plain
from scorer.model.target import TargetTransform
from scorer.training.crossval import Fits, Floats, Predicts
from scorer.training.features import fit_preprocessing, transform_table
from scorer.training.split import Rows

ALPHAS = tuple(np.logspace(-2, 3, 16))
"""Strengths that ridge may choose from, by leaving one row out."""

MOST_LEVELS = 254
"""Values of a category that scikit-learn's trees tell apart; rarer ones are one more."""


FEW_ROWS = 20_000


@dataclass(frozen=True)
class Listings:
    """What the baselines learn from.

    Attributes:
        table: the listings, n rows.
        features: columns to use.
        target: float64 [n], in its own unit.
        kind: how the target is learned: identity or log.
    """

    table: pa.Table
    features: tuple[str, ...]
    target: Floats
    kind: Literal["identity", "log"]


@dataclass(frozen=True)
class _Fitted:
    """A function of row numbers, float64 [m] in the target's unit."""

    function: Callable[[Rows], Floats]

    def predict(self, rows: Rows) -> Floats:
        """Predictions for some rows."""
        return self.function(rows)


def constant(listings: Listings) -> Fits:
    """The median, which no constant beats in absolute error."""

    def fit(rows: Rows, seed: int) -> Predicts:
        value = float(np.median(listings.target[rows]))
        return _Fitted(lambda wanted: np.full(len(wanted), value))

    return fit


def ridge(listings: Listings) -> Fits:
    """Linear in the standardised numbers, their logarithms and one column per category, its strength chosen."""

    def fit(rows: Rows, seed: int) -> Predicts:
        known = listings.table.take(pa.array(rows))
        preprocessing = fit_preprocessing(known, listings.features, "standard", MOST_LEVELS)
        transform = TargetTransform.fit(listings.target[rows], listings.kind)
        inputs = _with_logs(listings, rows, preprocessing)
        model = RidgeCV(ALPHAS).fit(inputs[rows], transform.forward(listings.target[rows]))
        return _Fitted(lambda wanted: transform.inverse(model.predict(inputs[wanted])))

    return fit


def boosting(listings: Listings) -> Fits:
    """scikit-learn's histogram gradient boosting as it comes; categories as categories, gaps as gaps."""
    columns = [plain(listings.table.column(name).combine_chunks()) for name in listings.features]

    def fit(rows: Rows, seed: int) -> Predicts:
        levels = [_levels(column, rows) for column in columns]
        telling = [at for at, values in enumerate(levels) if len(np.unique(values[rows][~np.isnan(values[rows])])) > 1]
        if not telling:
            return constant(listings)(rows, seed)
        inputs = np.stack([levels[at] for at in telling], axis=1)
        categorical = [kind_of(columns[at].type) == "category" for at in telling]
        transform = TargetTransform.fit(listings.target[rows], listings.kind)
        model = HistGradientBoostingRegressor(categorical_features=categorical, early_stopping=False, random_state=seed)
        with _threads(len(rows)):
            model.fit(inputs[rows], transform.forward(listings.target[rows]))
        return _Fitted(lambda wanted: transform.inverse(_predicted(model, inputs[wanted])))

    return fit


def _predicted(model: HistGradientBoostingRegressor, inputs: npt.NDArray[np.float64]) -> Floats:
    with _threads(len(inputs)):
        return np.asarray(model.predict(inputs), np.float64)


def _threads(rows: int) -> threadpool_limits:
    """One for few rows: on two busy cores the threads of 100 small trees took ten seconds to wait for each other."""
    return threadpool_limits(1 if rows < FEW_ROWS else None, user_api="openmp")


BASELINES: dict[str, Callable[[Listings], Fits]] = {
    "constant (median)": constant,
    "ridge": ridge,
    "gradient boosting": boosting,
}


def _with_logs(listings: Listings, rows: Rows, preprocessing: Preprocessing) -> npt.NDArray[np.float64]:
    """The matrix, and the logarithm of each number that is never negative: areas and counts act by factors."""
    matrix, _ = transform_table(preprocessing, listings.table)
    columns = [matrix.astype(np.float64)]
    for name in listings.features:
        column = listings.table.column(name).combine_chunks()
        if kind_of(column.type) != "number":
            continue
        values = floats(column)
        known = values[rows][np.isfinite(values[rows])]
        if len(known) and known.min() >= 0:
            logs = np.log1p(np.maximum(np.where(np.isfinite(values), values, np.median(known)), 0))
            columns.append(((logs - logs[rows].mean()) / (logs[rows].std() or 1.0))[:, None])
    return np.concatenate(columns, axis=1)


def _levels(column: pa.Array, rows: Rows) -> npt.NDArray[np.float64]:
    """A column as trees take it: numbers as they are, categories numbered by how often the rows have them."""
    if kind_of(column.type) != "category":
        return floats(column)
    text = column.cast(pa.string())
    counts = pc.value_counts(text.take(pa.array(rows)).drop_null())
    order = np.argsort(-counts.field("counts").to_numpy(), kind="stable")[:MOST_LEVELS]
    kept = counts.field("values").take(pa.array(order))
    found = pc.index_in(text, value_set=kept).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(found < MOST_LEVELS, found, np.nan)
