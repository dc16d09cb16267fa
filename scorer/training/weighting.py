"""What each listing counts, and figures in which some count more than others."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.errors import ContractError
from scorer.intake.rows import ID
from scorer.model.preprocessing import floats, kind_of

Floats = npt.NDArray[np.float64]


def read_weights(table: pa.Table, name: str) -> Floats:
    """The column's weights, divided by their mean: float64 [n].

    Raises:
        ContractError: it is no column of numbers, or one is missing, negative or infinite, or all are zero.
    """
    column = table.column(name)
    if kind_of(column.type) != "number":
        raise ContractError(f"weight: column {name!r} is {column.type}; expected a number. Nothing was trained.")
    values = floats(column.combine_chunks())
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        ids = [str(listing) for listing in table.column(ID).filter(pa.array(wrong)).to_pylist()]
        raise ContractError(
            f"weight: {name!r} is null, NaN, infinite or negative in {len(ids):,} rows (listing_id"
            f" {', '.join(ids[:5])}). Nothing was trained. Correct them; 0 leaves a row out of the fit."
        )
    if not values.any():
        raise ContractError(f"weight: {name!r} is 0 in every row, so there is nothing to learn. Nothing was trained.")
    weights: Floats = values / values.mean()
    return weights


def weighted_mean(values: Floats, weights: Floats) -> float:
    """Of values float64 [n]. Where all weights are 0, as among a few listings may be: as if they were alike."""
    return float(np.average(values, weights=weights if weights.any() else None))


def weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    """The least value with at least `share` of the weight at or below it; of equal weights numpy's own quantile."""
    if not weights.any() or np.all(weights == weights[0]):
        return float(np.quantile(values, share))
    return float(np.quantile(values, share, weights=weights, method="inverted_cdf"))
