"""Bounds and closed lists hold exactly, for every type of number and every value that fits it."""

import math
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.column_rules import Bound, Known, above, below, unknown
from scorer.errors import ContractError

INTEGERS = {
    kind: st.integers(low, high) | st.sampled_from([low, high, low + 1, high - 1])
    for bits in (8, 16, 32, 64)
    for kind, low, high in (
        (f"int{bits}", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
        (f"uint{bits}", 0, 2**bits - 1),
    )
}


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    """Every value of the type."""
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda steps: Decimal(f"{steps}E-{scale}"))


DECIMALS = {pa.decimal128(*size): decimals(*size) for size in ((38, 0), (12, 2))}
FLOATS = {pa.float64(): st.floats(), pa.float32(): st.floats(width=32), pa.float16(): st.floats(width=16)}
BOUNDS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
NEAR = st.sampled_from([0.01, 0, 0.5, -0.5, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 1e18, -1.0])


@st.composite
def columns(draw: Callable[..., Any]) -> tuple[pa.Array, list[Any]]:
    """A column of some type of number, and its values."""
    kinds = {**{pa.type_for_alias(name): drawn for name, drawn in INTEGERS.items()}, **DECIMALS, **FLOATS}
    kind = draw(st.sampled_from(list(kinds)))
    values = draw(st.lists(st.none() | kinds[kind], max_size=6))
    return pa.array(values, kind), values


def exactly(number: Any) -> Any:
    """A number to compare with; of what is no whole number and no decimal the double itself."""
    if isinstance(number, float):
        return number if math.isinf(number) else Fraction(number)
    return Fraction(number)


@given(columns(), BOUNDS | NEAR, st.booleans())
def test_what_lies_beyond_a_bound_is_found_in_every_type_of_number(
    column: tuple[pa.Array, list[Any]], bound: float, exclusive: bool
) -> None:
    array, values = column
    floating = pa.types.is_floating(array.type)
    # Decimals and whole numbers are held against what was written, doubles against the double.
    limit = Fraction(float(bound)) if floating else Fraction(str(bound))

    def broken(value: Any, under: bool) -> bool:
        if value is None or value != value:
            return False
        number = exactly(value)
        return bool((number < limit if under else number > limit) or (exclusive and number == limit))

    assert below(array, Bound(bound, exclusive)).to_pylist() == [broken(value, True) for value in values]
    assert above(array, Bound(bound, exclusive)).to_pylist() == [broken(value, False) for value in values]


@given(columns(), st.data())
def test_a_closed_list_of_a_columns_own_numbers_refuses_none_of_them(
    column: tuple[pa.Array, list[Any]], data: st.DataObject
) -> None:
    array, values = column
    there = [value for value in values if value is not None and math.isfinite(value)]
    known = data.draw(st.lists(st.sampled_from(there), max_size=3)) if there else []
    written = [int(value) if isinstance(value, Decimal) and value == int(value) else value for value in known]
    listed = [value for value in written if not isinstance(value, Decimal)]
    mask = unknown(array, listed, "a").to_pylist()
    assert mask == [value is not None and value not in listed for value in values]


@pytest.mark.parametrize(
    ("kind", "values", "known", "mask"),
    [
        (pa.bool_(), [True, False, None], [True], [False, True, False]),
        (pa.float64(), [1.0, 2.5, 3.0], [1, 2.5], [False, False, True]),
        (pa.float32(), [0.1, 0.2], [0.1], [False, True]),
        (pa.int8(), [1, 2, 3], [1.0, 2.5, 1000], [False, True, True]),
        (pa.decimal128(5, 2), [Decimal("0.10"), Decimal("0.20")], [0.1, 0.001], [False, True]),
        (pa.decimal32(5, 2), [Decimal("0.10"), Decimal("0.20")], [0.1], [False, True]),
        (pa.string(), ["Porto", "Rome"], ["Porto"], [False, True]),
        (pa.date32(), [date(2026, 11, 24), date(2026, 11, 25)], [date(2026, 11, 24)], [False, True]),
        (pa.date32(), [date(2026, 11, 24), date(2026, 11, 25)], ["2026-11-24"], [False, True]),
    ],
    ids=str,
)
def test_a_closed_list_is_read_in_the_columns_own_type(
    kind: pa.DataType, values: list[Any], known: list[Known], mask: list[bool]
) -> None:
    assert unknown(pa.array(values, kind), known, "a").to_pylist() == mask


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (pa.string(), [True]),
        (pa.string(), [1]),
        (pa.bool_(), ["true"]),
        (pa.int64(), [True]),
        (pa.int64(), ["1"]),
        (pa.float64(), [10**400]),
        (pa.date32(), ["soon"]),
        (pa.date32(), [5]),
        (pa.list_(pa.string()), ["a"]),
    ],
    ids=str,
)
def test_a_closed_list_that_does_not_fit_the_column_is_refused_before_there_is_a_row(
    kind: pa.DataType, known: list[Known]
) -> None:
    with pytest.raises(ContractError, match=r"Column 'a' is .*, but the contract allows it only"):
        unknown(pa.nulls(0, kind), known, "a")
