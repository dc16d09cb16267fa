"""Feature columns to the float32 matrix that the number tower takes.

Training fits the figures below with scikit-learn (`scorer.training.features`); scoring applies them, as plain data,
with numpy and pyarrow alone. The two give the same numbers, which a property test holds them to.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.errors import BundleError, ContractError
from scorer.model.encodings import Logarithm, Prefix, one_hot, whole_numbers_as_text

Kind = Literal["number", "boolean", "category"]
Matrix = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LARGEST = float(np.finfo(np.float32).max)
"""Numbers beyond float32 count as missing, as NaN and infinity do: the network could not hold them."""


class Gaps(NamedTuple):
    """What a column could not say, per row: bool [n] each."""

    missing: Mask
    unseen: Mask | None = None


@dataclass(frozen=True)
class Feature(ABC):
    """One feature column: how its values become columns of the matrix."""

    name: str
    arrow_type: str
    """The type seen in training, as pyarrow writes it. Any type of the same kind is taken."""

    kind: ClassVar[Kind]

    @property
    @abstractmethod
    def width(self) -> int:
        """Columns of the matrix that this feature fills."""

    @abstractmethod
    def encode(self, column: pa.Array, out: Matrix) -> Gaps:
        """Fill `out`, float32 [n, width] of zeros, from one column of n values of an accepted type."""

    def accepts(self, found: pa.DataType) -> bool:
        """Same kind; or the type of a column that holds nothing but nulls, which is missing throughout."""
        return kind_of(found) == self.kind or pa.types.is_null(found)


@dataclass(frozen=True)
class NumberFeature(Feature):
    """(value - shift) / scale, and maybe the logarithm; a last column flags missing values where training had some."""

    fill: float
    shift: float
    scale: float
    flag_missing: bool
    logarithm: Logarithm | None = None
    least: float | None = None
    """Values below count as this one, where it is given: what training has not seen, the network would make up."""

    greatest: float | None = None
    """Values above count as this one."""

    kind: ClassVar[Kind] = "number"

    @property
    def width(self) -> int:
        """The value, and maybe its logarithm and the flag."""
        return 1 + (self.logarithm is not None) + self.flag_missing

    def encode(self, column: pa.Array, out: Matrix) -> Gaps:
        """From any type of number."""
        values = floats(column)
        missing = ~(np.abs(values) <= LARGEST)
        filled = np.clip(np.where(missing, self.fill, values), self.least, self.greatest)
        out[:, 0] = np.clip((filled - self.shift) / self.scale, -LARGEST, LARGEST)
        if self.logarithm is not None:
            out[:, 1] = np.clip(self.logarithm(filled), -LARGEST, LARGEST)
        if self.flag_missing:
            out[:, -1] = missing
        return Gaps(missing)


@dataclass(frozen=True)
class BooleanFeature(Feature):
    """0 or 1; missing values are filled first and, where training had some, flagged in a second column."""

    fill: bool
    flag_missing: bool

    kind: ClassVar[Kind] = "boolean"

    @property
    def width(self) -> int:
        """The value, and maybe the flag."""
        return 1 + self.flag_missing

    def encode(self, column: pa.Array, out: Matrix) -> Gaps:
        """From booleans."""
        column = plain(column).cast(pa.bool_())
        missing = _nulls(column)
        out[:, 0] = column.fill_null(self.fill).to_numpy(zero_copy_only=False)
        if self.flag_missing:
            out[:, 1] = missing
        return Gaps(missing)


@dataclass(frozen=True)
class CategoryFeature(Feature):
    """One column per known value, and maybe per known beginning; unseen and missing values are zero in all of them.

    Where training had missing values, one more column flags them. Whole numbers can be categories, as ZIP codes are.
    """

    values: tuple[str, ...]
    flag_missing: bool
    prefix: Prefix | None = None
    whole_numbers: bool = False

    kind: ClassVar[Kind] = "category"

    @property
    def width(self) -> int:
        """The known values and beginnings, and maybe the flag."""
        return len(self.values) + (len(self.prefix.values) if self.prefix else 0) + self.flag_missing

    def encode(self, column: pa.Array, out: Matrix) -> Gaps:
        """From strings of any type, or whole numbers."""
        text = as_text(column)
        missing = _nulls(text)
        known = one_hot(text, self.values, out)
        if self.prefix is not None:
            self.prefix.encode(text, out[:, len(self.values) :])
        if self.flag_missing:
            out[:, -1] = missing
        return Gaps(missing, unseen=~known & ~missing)

    def accepts(self, found: pa.DataType) -> bool:
        """Strings; and numbers, where training saw numbers."""
        return super().accepts(found) or (self.whole_numbers and kind_of(found) == "number")


FEATURES: dict[str, type[NumberFeature | BooleanFeature | CategoryFeature]] = {
    "number": NumberFeature,
    "boolean": BooleanFeature,
    "category": CategoryFeature,
}


@dataclass(frozen=True)
class Preprocessing:
    """The features in order. Frozen plain data; part of the bundle."""

    features: tuple[Feature, ...]

    @property
    def width(self) -> int:
        """F: columns of the matrix."""
        return sum(feature.width for feature in self.features)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that a batch must have."""
        return tuple(feature.name for feature in self.features)

    def check(self, schema: pa.Schema, where: str = "The listings") -> None:
        """Raise ContractError that names every column that is absent or of another kind, found and expected type."""
        problems = [_problem(feature, schema) for feature in self.features]
        if found := [problem for problem in problems if problem]:
            raise ContractError(
                f"{where} do not have the features that the model was trained on: {'; '.join(found)}."
                " Nothing was scored. Correct the listings, or use a bundle that was trained on columns like these."
            )

    def transform(self, batch: pa.RecordBatch) -> tuple[Matrix, dict[str, Mask]]:
        """The matrix of one batch, and which rows lack what.

        Args:
            batch: n rows; columns besides the features are ignored, their order does not matter.

        Returns:
            float32 [n, F], finite; and bool [n] for each of the reasons "feature_missing" and "category_unseen".

        Raises:
            ContractError: a column is absent or of another kind.
        """
        self.check(batch.schema)
        matrix = np.zeros((batch.num_rows, self.width), np.float32)
        missing = np.zeros(batch.num_rows, np.bool_)
        unseen = np.zeros(batch.num_rows, np.bool_)
        start = 0
        for feature in self.features:
            gaps = feature.encode(batch.column(feature.name), matrix[:, start : start + feature.width])
            missing |= gaps.missing
            if gaps.unseen is not None:
                unseen |= gaps.unseen
            start += feature.width
        return matrix, {"feature_missing": missing, "category_unseen": unseen}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"features": [{"kind": feature.kind, **asdict(feature)} for feature in self.features]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Read back what `to_dict` gave. Raises BundleError when it is something else."""
        try:
            return cls(tuple(_feature(entry) for entry in values["features"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"The bundle's preprocessing cannot be read: {error!r}. Nothing was scored.") from None


def kind_of(arrow_type: pa.DataType) -> Kind | None:
    """What a column of this type is to the model; None when no feature can be made of it (dates, lists, bytes)."""
    if pa.types.is_dictionary(arrow_type):
        return kind_of(arrow_type.value_type)
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type) or pa.types.is_decimal(arrow_type):
        return "number"
    if any(test(arrow_type) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)):
        return "category"
    return None


def plain(column: pa.Array) -> pa.Array:
    """The column without its dictionary, if it had one."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def as_text(column: pa.Array) -> pa.Array:
    """A column of strings of any type, or of whole numbers, as strings; what is no whole number becomes null."""
    if kind_of(column.type) == "number":
        return whole_numbers_as_text(floats(column))
    return plain(column).cast(pa.string())


def segment_text(column: pa.Array) -> pa.Array:
    """What a boolean, a text or a whole number is called where it chooses a band of intervals; of any numeric type."""
    return plain(column).cast(pa.string()) if kind_of(column.type) == "boolean" else as_text(column)


def floats(column: pa.Array) -> npt.NDArray[np.float64]:
    """A column of numbers as float64 [n]; null becomes NaN. Integers beyond 2^53 are rounded, as every float is."""
    values: npt.NDArray[np.float64] = plain(column).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _nulls(column: pa.Array) -> Mask:
    nulls: Mask = column.is_null().to_numpy(zero_copy_only=False)
    return nulls


def _problem(feature: Feature, schema: pa.Schema) -> str | None:
    index = schema.get_field_index(feature.name)
    if index < 0:
        return f"column {feature.name!r} ({feature.arrow_type}) is absent or there twice"
    found = schema.field(index).type
    if feature.accepts(found):
        return None
    return f"column {feature.name!r} is {found}, expected {feature.arrow_type} or another {feature.kind}"


def _feature(entry: Mapping[str, Any]) -> Feature:
    """One feature from JSON, every figure brought to its type: a bundle comes from a store, not from this process."""
    values = dict(entry)
    kind = FEATURES[values.pop("kind")]
    feature = kind(**{name: _TYPED[name](value) for name, value in values.items()})
    if isinstance(feature, NumberFeature):
        bounds = [bound for bound in (feature.least, feature.greatest) if bound is not None]
        finite = np.isfinite([feature.fill, feature.shift, feature.scale, *bounds]).all()
        if not (finite and feature.scale > 0 and bounds == sorted(bounds)):
            raise ValueError(f"feature {feature.name!r} holds a figure that makes no sense")
    return feature


def _strings(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


_TYPED: dict[str, Any] = {
    "name": str,
    "arrow_type": str,
    "shift": float,
    "scale": float,
    "fill": lambda value: value if isinstance(value, bool) else float(value),  # boolean or number, as its feature is
    "flag_missing": bool,
    "least": lambda value: None if value is None else float(value),
    "greatest": lambda value: None if value is None else float(value),
    "values": _strings,
    "logarithm": Logarithm.from_dict,
    "prefix": Prefix.from_dict,
    "whole_numbers": bool,
}
