"""What a contract says of one column, held against values in the column's own type.

No value is converted to be compared: a whole number beyond 2^53 is no double, and Arrow refuses a batch that holds one.
Bounds and closed lists are converted instead.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pyarrow.compute as pc

from scorer.errors import ContractError

Known = str | bool | int | float | date
"""One of the values that a closed list may name, as YAML reads it."""


@dataclass(frozen=True)
class Bound:
    """The least or the greatest that a number may be; finite."""

    value: int | float
    exclusive: bool = False

    def __str__(self) -> str:
        """`5`, or `0.1`."""
        return f"{self.value:.17g}" if self._is_whole else str(self.value)

    @property
    def _is_whole(self) -> bool:
        return isinstance(self.value, float) and self.value.is_integer() and abs(self.value) < 1e16

    @property
    def exactly(self) -> Fraction:
        """As it was written: 0.1 is a tenth, not the nearest double."""
        return Fraction(str(self.value))


def plain(values: pa.Array) -> pa.Array:
    """The column without its dictionary, if it had one."""
    return pc.cast(values, values.type.value_type) if pa.types.is_dictionary(values.type) else values


def below(values: pa.Array, bound: Bound) -> pa.Array:
    """Mask of the numbers that are less than a bound, or equal to one that is exclusive. Null and NaN are not."""
    steps = _steps(values.type)
    if steps is None:
        compare = pc.less_equal if bound.exclusive else pc.less
        return pc.fill_null(compare(_wide(values), float(bound.value)), False)
    scaled = bound.exactly * 10 ** steps[0]
    least = math.floor(scaled) + 1 if bound.exclusive else math.ceil(scaled)
    return _beyond(values, least, steps, under=True)


def above(values: pa.Array, bound: Bound) -> pa.Array:
    """Mask of the numbers that are greater than a bound, or equal to one that is exclusive. Null and NaN are not."""
    steps = _steps(values.type)
    if steps is None:
        compare = pc.greater_equal if bound.exclusive else pc.greater
        return pc.fill_null(compare(_wide(values), float(bound.value)), False)
    scaled = bound.exactly * 10 ** steps[0]
    greatest = math.ceil(scaled) - 1 if bound.exclusive else math.floor(scaled)
    return _beyond(values, greatest, steps, under=False)


def unknown(values: pa.Array, known: Sequence[Known], name: str) -> pa.Array:
    """Mask of the values that a closed list does not name. Null is none of them.

    Raises:
        ContractError: the list names values of another type than the column's, or the type cannot be compared.
    """
    kind = values.type
    try:
        listed = pa.concat_arrays([pa.array([], kind), *(_listed(value, kind) for value in known)])
        return pc.and_(pc.is_valid(values), pc.invert(pc.is_in(_wide(values), value_set=_wide(listed))))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise ContractError(
            f"Column {name!r} is {kind}, but the contract allows it only {', '.join(map(repr, known))}: these are of"
            " another type, or such columns cannot be compared. Texts are written in quotes. Nothing was scored."
        ) from None


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this type can lie within a range of numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type have a length in characters."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _steps(kind: pa.DataType) -> tuple[int, int, int] | None:
    """Decimals, and the lowest and the highest number of steps of 10^-decimals; None for floating-point numbers."""
    if pa.types.is_decimal(kind):
        most = 10**kind.precision - 1
        return kind.scale, -most, most
    if pa.types.is_integer(kind):
        bits = kind.bit_width
        return (0, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if _is_signed(kind) else (0, 0, 2**bits - 1)
    return None


def _beyond(values: pa.Array, limit: int, steps: tuple[int, int, int], under: bool) -> pa.Array:
    decimals, lowest, highest = steps
    if not lowest <= limit <= highest:  # no value of this type is beyond it, or every one
        every = (limit > highest) if under else (limit < lowest)
        return pc.is_valid(values) if every else pc.and_(pc.is_valid(values), False)
    number = Decimal(f"{limit}E{-decimals}") if pa.types.is_decimal(values.type) else limit
    compare = pc.less if under else pc.greater
    return pc.fill_null(compare(values, pa.scalar(number, values.type)), False)


def _listed(value: Known, kind: pa.DataType) -> pa.Array:
    """A listed value as an array of a column's type: of those that equal it, if any does."""
    if pa.types.is_temporal(kind) and isinstance(value, str | date):
        return pc.cast(pa.array([str(value)]), kind)
    if (is_text(kind) and isinstance(value, str)) or (pa.types.is_boolean(kind) and isinstance(value, bool)):
        return pa.array([value], kind)
    if not is_number(kind) or isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    steps = _steps(kind)
    if steps is None:
        return pa.array([float(value)] if value else [0.0, -0.0], kind)  # two zeros to a look-up
    scaled = Fraction(str(value)) * 10 ** steps[0]
    if scaled.denominator != 1 or not steps[1] <= scaled <= steps[2]:
        return pa.array([], kind)
    number = Decimal(f"{scaled.numerator}E{-steps[0]}") if pa.types.is_decimal(kind) else scaled.numerator
    return pa.array([number], kind)


def _wide(values: pa.Array) -> pa.Array:
    """Arrow compares no half floats, and looks up no small decimals."""
    kind = values.type
    if pa.types.is_float16(kind):
        return pc.cast(values, pa.float32())
    if pa.types.is_decimal(kind) and kind.bit_width < 128:
        return pc.cast(values, pa.decimal128(kind.precision, kind.scale))
    return values


def _is_signed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_signed_integer(kind))
