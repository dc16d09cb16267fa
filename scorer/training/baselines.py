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

from scorer.model.preprocessing import as_text, floats, kind_of, plain
from scorer.model.target import TargetTransform
from scorer.training.crossval import Fits, Floats, Predicts
from scorer.training.features import Encodings, fit_preprocessing, transform_table
from scorer.training.split import Rows
from scorer.training.weighting import weighted_quantile

ALPHAS = tuple(np.logspace(-2, 3, 16))
"""Strengths that ridge may choose from, by leaving one row out."""

MOST_LEVELS = 254
"""Values of a category that scikit-learn's trees tell apart; rarer ones are one more."""

FEW_ROWS = 20_000

MOST_ROWS = 50_000
"""Listings that ridge learns from, drawn by lot: by then a few hundred columns are known, and a million listings would
take gigabytes at a time."""


@dataclass(frozen=True)
class Listings:
    """What the baselines learn from.

    Attributes:
        table: the listings, n rows.
        features: columns to use.
        target: float64 [n], in its own unit.
        kind: how the target is learned: identity or log.
        categories: columns of whole numbers that name something.
        weights: float64 [n], what each listing counts; None: all alike.
        quantile: what the predictions are to be; None: means or medians.
    """

    table: pa.Table
    features: tuple[str, ...]
    target: Floats
    kind: Literal["identity", "log"]
    categories: tuple[str, ...] = ()
    weights: Floats | None = None
    quantile: float | None = None

    def weight(self, rows: Rows) -> Floats:
        """What some of them count, float64 [m], not all 0."""
        return np.ones(len(rows)) if self.weights is None or not self.weights[rows].any() else self.weights[rows]

    def is_category(self, name: str) -> bool:
        """Whether the values of a column name something."""
        return kind_of(self.table.schema.field(name).type) == "category" or name in self.categories


@dataclass(frozen=True)
class _Fitted:
    """A function of row numbers, float64 [m] in the target's unit."""

    function: Callable[[Rows], Floats]

    def predict(self, rows: Rows) -> Floats:
        """Predictions for some rows."""
        return self.function(rows)


def constant(listings: Listings) -> Fits:
    """The median, which no constant beats in absolute error, or the quantile that is asked for."""

    def fit(rows: Rows, seed: int) -> Predicts:
        share = 0.5 if listings.quantile is None else listings.quantile
        value = weighted_quantile(listings.target[rows], listings.weight(rows), share)
        return _Fitted(lambda wanted: np.full(len(wanted), value))

    return fit


def ridge(listings: Listings) -> Fits:
    """Linear in the standardised numbers, their logarithms and one column per category, its strength chosen.

    For a quantile all of it is moved to where that lies among what it learned from.
    """

    def fit(rows: Rows, seed: int) -> Predicts:
        some = _some(rows, MOST_ROWS, seed)
        goal, inputs = TargetTransform.fit(listings.target[rows], listings.kind), _Inputs(listings, some)
        learned = goal.forward(listings.target[some])
        given, weights = inputs.matrix(some), listings.weight(some)
        model = RidgeCV(ALPHAS).fit(given, learned, sample_weight=weights)
        if listings.quantile is not None:
            model.intercept_ += weighted_quantile(learned - model.predict(given), weights, listings.quantile)
        # A line goes on for ever: of a listing unlike all others it could say what no number holds any more.
        low, high = 2 * learned.min() - learned.max(), 2 * learned.max() - learned.min()
        return _Fitted(lambda wanted: goal.inverse(np.clip(model.predict(inputs.matrix(wanted)), low, high)))

    return fit


def boosting(listings: Listings) -> Fits:
    """scikit-learn's histogram gradient boosting as it comes; categories as categories, gaps as gaps."""
    columns = [plain(listings.table.column(name).combine_chunks()) for name in listings.features]
    named = [listings.is_category(name) for name in listings.features]

    def fit(rows: Rows, seed: int) -> Predicts:
        levels = [_levels(column, rows) if named[at] else floats(column) for at, column in enumerate(columns)]
        telling = [at for at, values in enumerate(levels) if len(np.unique(values[rows][~np.isnan(values[rows])])) > 1]
        if not telling:
            return constant(listings)(rows, seed)
        inputs = np.stack([levels[at] for at in telling], axis=1)
        categorical = [named[at] for at in telling]
        transform = TargetTransform.fit(listings.target[rows], listings.kind)
        loss = {} if listings.quantile is None else {"loss": "quantile", "quantile": listings.quantile}
        model = HistGradientBoostingRegressor(
            categorical_features=categorical, early_stopping=False, random_state=seed, **loss
        )
        with _threads(len(rows)):
            model.fit(inputs[rows], transform.forward(listings.target[rows]), sample_weight=listings.weight(rows))
        return _Fitted(lambda wanted: transform.inverse(_predicted(model, inputs[wanted])))

    return fit


def _predicted(model: HistGradientBoostingRegressor, inputs: npt.NDArray[np.float64]) -> Floats:
    with _threads(len(inputs)):
        return np.asarray(model.predict(inputs), np.float64)


def _threads(rows: int) -> threadpool_limits:
    """One for few rows: on two busy cores the threads of 100 small trees took ten seconds to wait for each other."""
    return threadpool_limits(1 if rows < FEW_ROWS else None, user_api="openmp")


BASELINES: dict[str, Callable[[Listings], Fits]] = {
    "constant": constant,
    "ridge": ridge,
    "gradient boosting": boosting,
}


class _Inputs:
    """Ridge's columns: the matrix, and the logarithm of each number that is never negative: areas act by factors."""

    def __init__(self, listings: Listings, rows: Rows) -> None:
        self._listings, known = listings, listings.table.take(pa.array(rows))
        plainly = Encodings(categories=listings.categories)
        self._preprocessing = fit_preprocessing(known, listings.features, "standard", MOST_LEVELS, plainly)
        self._logs: dict[str, tuple[float, float, float]] = {}
        for name in listings.features:
            if kind_of(known.schema.field(name).type) == "number" and not listings.is_category(name):
                values = floats(known.column(name).combine_chunks())
                if len(found := values[np.isfinite(values)]) and found.min() >= 0:
                    logs = np.log1p(np.where(np.isfinite(values), values, np.median(found)))
                    self._logs[name] = float(np.median(found)), float(logs.mean()), float(logs.std()) or 1.0

    def matrix(self, rows: Rows) -> npt.NDArray[np.float64]:
        """float64 [len(rows), columns]."""
        if not len(rows):
            return np.empty((0, self._preprocessing.width + len(self._logs)))
        table = self._listings.table.take(pa.array(rows))
        columns = [transform_table(self._preprocessing, table)[0].astype(np.float64)]
        for name, (middle, mean, spread) in self._logs.items():
            values = floats(table.column(name).combine_chunks())
            logs = np.log1p(np.maximum(np.where(np.isfinite(values), values, middle), 0))
            columns.append(((logs - mean) / spread)[:, None])
        return np.concatenate(columns, axis=1)


def _some(rows: Rows, most: int, seed: int) -> Rows:
    return rows if len(rows) <= most else np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _levels(column: pa.Array, rows: Rows) -> npt.NDArray[np.float64]:
    """Categories as trees take them: numbered by how often the rows have them."""
    text = as_text(column)
    counts = pc.value_counts(text.take(pa.array(rows)).drop_null())
    order = np.argsort(-counts.field("counts").to_numpy(), kind="stable")[:MOST_LEVELS]
    kept = counts.field("values").take(pa.array(order))
    found = pc.index_in(text, value_set=kept).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(found < MOST_LEVELS, found, np.nan)
