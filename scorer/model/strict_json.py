"""JSON of a bundle, read as if a stranger had written it: one meaning, plain numbers, bounded size."""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from scorer.errors import BundleError


def dump(value: Any) -> bytes:
    """Readable JSON, the same bytes for the same content; NaN and infinity become null. Raises BundleError."""
    try:
        text = json.dumps(_plain(value), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        return text.encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise BundleError(f"The bundle was not saved: it holds what is no plain JSON ({error}).") from None


def parse(data: bytes, what: str, max_bytes: int) -> dict[str, Any]:
    """The object that the bytes hold.

    Args:
        data: UTF-8.
        what: the file, for messages.
        max_bytes: refused beyond, before it is parsed.

    Raises:
        BundleError: too large, no JSON, nested too deep, a name twice, NaN or infinity, or not an object.
    """
    if len(data) > max_bytes:
        raise BundleError(f"{what} has {len(data):,} bytes, more than the limit of {max_bytes:,}. Nothing was scored.")
    try:
        value = json.loads(data, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
    # UnicodeDecodeError and JSONDecodeError are ValueErrors, as is a whole number of more than 4,300 digits.
    except (ValueError, RecursionError) as error:
        problem = "nested too deep" if isinstance(error, RecursionError) else error
        raise BundleError(f"{what} is no JSON that a bundle may hold: {problem}. Nothing was scored.") from None
    if not isinstance(value, dict):
        raise BundleError(f"{what} must hold an object with names, not a {type(value).__name__}. Nothing was scored.")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return values


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:50]} is too large for a number")
    return value
