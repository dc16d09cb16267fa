"""One value of a table as Python's own, whatever it is: what is refused for a strange value must be able to tell it."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def as_plain(value: pa.Scalar) -> Any:
    """A value for JSON and for people.

    `as_py` raises for moments beyond Python's years, for nanoseconds without pandas, for a zone that this machine does
    not know, and for text that is no UTF-8; here moments are text in ISO form (UTC where they have a zone), and what is
    no UTF-8 is replaced.

    Args:
        value: of any type, also nested.

    Returns:
        None, text, numbers, booleans, bytes; of these lists and, by field, dictionaries.
    """
    kind = value.type
    if not value.is_valid:
        return None
    if isinstance(value, pa.DictionaryScalar | pa.ExtensionScalar):
        return as_plain(value.value)
    if isinstance(value, pa.StructScalar):
        return {kind.field(at).name: as_plain(value[at]) for at in range(kind.num_fields)}
    if pa.types.is_map(kind) or _is_list(kind):
        return [as_plain(element) for element in value.values]
    if pa.types.is_temporal(kind):
        return _moment(value)
    if isinstance(value, pa.StringScalar | pa.LargeStringScalar | pa.StringViewScalar):
        return value.as_buffer().to_pybytes().decode(errors="replace")
    return value.as_py()


def _moment(value: pa.Scalar) -> str:
    """Beyond the years that Arrow writes it is `<value out of range: NUMBER>`."""
    kind = value.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:  # to UTC: needs no list of time zones
        return f"{_moment(value.cast(pa.timestamp(kind.unit)))}Z"
    return str(pc.cast(value, pa.string()).as_py())


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )
