"""Further columns that a feature may fill: a number's logarithm, a category's parent. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Logarithm:
    """(log(value) - shift) / scale: areas and prices act by factors. Values below the floor count as the floor."""

    floor: float
    shift: float
    scale: float

    def __call__(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """float64 [n] to float64 [n]; the values are finite."""
        return (np.log(np.maximum(values, self.floor)) - self.shift) / self.scale

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> "Logarithm | None":
        """Read back what a bundle holds. Raises ValueError when it makes no sense."""
        if values is None:
            return None
        found = cls(**{name: float(value) for name, value in values.items()})
        if not (np.isfinite([found.floor, found.shift, found.scale]).all() and min(found.floor, found.scale) > 0):
            raise ValueError(f"a logarithm that makes no sense: {found}")
        return found


@dataclass(frozen=True)
class Prefix:
    """One column per known beginning of a category: the region of a ZIP code that training has not seen."""

    length: int
    values: tuple[str, ...]

    def encode(self, column: pa.Array, out: Matrix) -> None:
        """Fill `out`, float32 [n, known beginnings] of zeros, from strings [n]."""
        one_hot(pc.utf8_slice_codeunits(column, 0, self.length), self.values, out)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> "Prefix | None":
        """Read back what a bundle holds. Raises ValueError when it makes no sense."""
        if values is None:
            return None
        found = cls(int(values["length"]), tuple(str(value) for value in values["values"]))
        if found.length < 1:
            raise ValueError(f"a prefix that makes no sense: {found}")
        return found


def one_hot(column: pa.Array, values: tuple[str, ...], out: Matrix) -> npt.NDArray[np.bool_]:
    """Set the column of each value that is known; bool [n]: where there was one."""
    found = pc.index_in(column, value_set=pa.array(values, pa.string()))
    positions = found.fill_null(-1).to_numpy(zero_copy_only=False)
    (rows,) = np.nonzero(positions >= 0)
    out[rows, positions[rows]] = 1.0
    return np.asarray(positions >= 0)


def whole_numbers_as_text(values: npt.NDArray[np.float64]) -> pa.Array:
    """Strings [n] of float64 [n]: 94501.0 is "94501"; null where the number is not whole, or missing."""
    whole = (np.abs(values) < 2**53) & (np.floor(values) == values)
    text = np.where(whole, values, 0).astype(np.int64).astype(str)
    return pa.array(text.tolist(), pa.string(), mask=~whole)
