"""A refused row can always be told, whatever stands in it."""

import json
from typing import Any

import pyarrow as pa
import pytest

from scorer.output.plain import as_plain


def moments(kind: pa.DataType, value: int) -> pa.Array:
    return pa.array([value], pa.int32() if kind == pa.date32() else pa.int64()).view(kind)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pa.timestamp("ns"), 1, "1970-01-01 00:00:00.000000001"),
        (pa.timestamp("us", "UTC"), 0, "1970-01-01 00:00:00.000000Z"),
        (pa.timestamp("s", "No/Where"), 253_402_300_800, "10000-01-01 00:00:00Z"),
        (pa.timestamp("s"), 2**63 - 1, "<value out of range: 9223372036854775807>"),
        (pa.date32(), 2_932_897, "10000-01-01"),
        (pa.date64(), 86_400_000 * 2_932_897, "10000-01-01"),
        (pa.time64("ns"), 5, "00:00:00.000000005"),
        (pa.duration("ns"), 5, "5"),
    ],
    ids=str,
)
def test_every_moment_has_a_text_also_within_lists_and_structs(kind: pa.DataType, value: int, text: str) -> None:
    array = moments(kind, value)
    assert as_plain(array[0]) == text
    assert as_plain(pa.ListArray.from_arrays([0, 1], array)[0]) == [text]
    assert as_plain(pa.StructArray.from_arrays([array], names=["a"])[0]) == {"a": text}
    assert as_plain(pa.FixedSizeListArray.from_arrays(array, 1)[0]) == [text]


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (pa.array([None], pa.timestamp("ns")), None),
        (pa.array([[1, None]]), [1, None]),
        (pa.array([{"a": True, "b": 1.5}]), {"a": True, "b": 1.5}),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), [{"key": "a", "value": 1}]),
        (pa.array(["Porto"]).dictionary_encode(), "Porto"),
        (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
        (pa.array([b"\xff"]).cast(pa.binary()).view(pa.string()), "\ufffd"),
    ],
    ids=str,
)
def test_other_values_stay_what_they_are_as_far_as_json_has_them(array: pa.Array, value: Any) -> None:
    found = as_plain(array[0])
    assert found == value
    assert json.loads(json.dumps(found)) == value
