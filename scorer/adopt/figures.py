"""The figures of a fitted scaler, read as data: from plain JSON or from a .skops file, never from a pickle.

A .skops file is a zip of one JSON tree and arrays. Its own reader builds the objects that the tree names; all that is
wanted here are a few arrays of a few known scalers, so that is all that is read.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scorer.errors import BundleError, NotFound
from scorer.model import strict_json
from scorer.objectstore import ObjectStore

MAX_BYTES = 16 << 20
Floats = npt.NDArray[np.float64]

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What damaged zips, trees of another shape and damaged arrays raise."""

PICKLES = (".pkl", ".pickle", ".joblib", ".sav", ".dill")


@dataclass(frozen=True)
class Figures:
    """value -> (value - shift) / scale, for each column.

    Attributes:
        shift: float64 [n].
        scale: float64 [n], none of them zero.
        middle: float64 [n]: a middling value of each, for listings that lack it.
        names: of the columns, where the scaler knows them.
    """

    shift: Floats
    scale: Floats
    middle: Floats
    names: tuple[str, ...] = ()


def read_figures(uri: str, store: ObjectStore) -> Figures:
    """The figures of a scaler.

    Args:
        uri: of a .skops or .json file.
        store: where it is.

    Raises:
        BundleError: it is neither, or no scaler that is known; says what to do.
        NotFound: there is none.
    """
    if uri.endswith(PICKLES):
        raise BundleError(
            f"{uri} is a pickle: opening it would run whatever code is in it. It was not read; no bundle was written."
            " Where the scaler was fitted, write its figures down instead: skops.io.dump(scaler, 'scaler.skops'), or"
            " json.dump({'mean': scaler.mean_.tolist(), 'scale': scaler.scale_.tolist()}, open('scaler.json', 'w'))."
        )
    reader = next((reader for ending, reader in READERS.items() if uri.endswith(ending)), None)
    if reader is None:
        raise BundleError(f"{uri} is neither .json nor .skops. It was not read and no bundle was written.")
    try:
        data = store.get(uri, max_bytes=MAX_BYTES).data
    except NotFound:
        raise NotFound(f"There is no file {uri}. No bundle was written.") from None
    return reader(data, uri)


def _from_json(data: bytes, uri: str) -> Figures:
    values = strict_json.parse(data, uri, MAX_BYTES)
    names = tuple(str(name) for name in values.pop("names", ()))
    match sorted(values):
        case ["mean", "scale"]:
            return _checked(uri, values["mean"], values["scale"], values["mean"], names)
        case ["max", "min"]:
            low, high = _array(values["min"], uri), _array(values["max"], uri)
            span = high - low
            return _checked(uri, low, np.where(span == 0, 1.0, span), (low + high) / 2, names)
        case found:
            raise BundleError(
                f"{uri} holds {', '.join(found) or 'nothing'}; a scaler is 'mean' and 'scale', or 'min' and 'max',"
                " lists with a figure for each column, and maybe 'names'. No bundle was written."
            )


def _from_skops(data: bytes, uri: str) -> Figures:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            tree = json.loads(_member(archive, "schema.json"))
            kind, fields = f"{tree['__module__'].partition('.')[0]}.{tree['__class__']}", tree["content"]["content"]
            if kind not in SCALERS:
                raise BundleError(
                    f"{uri} holds a {kind}; known: {', '.join(SCALERS)}. No bundle was written. Write its figures as"
                    " JSON (see docs/your-own-model.md)."
                )
            scaler = {name: _plain(node, archive) for name, node in fields.items() if name in FIELDS}
            names = tuple(str(name) for name in scaler.get("feature_names_in_", ()))
            shift, scale, middle = SCALERS[kind](scaler, uri)
    except UNREADABLE as error:
        raise BundleError(f"{uri} is no .skops file that can be read ({error!r}). No bundle was written.") from None
    return _checked(uri, shift, scale, middle, names)


def _plain(node: Mapping[str, Any], archive: zipfile.ZipFile) -> Any:
    """A value of the tree: arrays, texts and numbers, lists of them."""
    match node["__loader__"]:
        case "JsonNode":
            return json.loads(node["content"])
        case "NdArrayNode" if node["type"] == "numpy":
            return np.load(io.BytesIO(_member(archive, str(node["file"]))), allow_pickle=False)
        case "NdArrayNode" | "ListNode" | "TupleNode":
            return [_plain(inner, archive) for inner in node["content"]]
        case other:
            raise ValueError(f"an unexpected {other}")


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{name} has more than {MAX_BYTES:,} bytes")
    return data


Triple = tuple[Any, Any, Any]


def _standard(scaler: Mapping[str, Any], uri: str) -> Triple:
    """Either half may be switched off; then its figures are absent."""
    mean, scale = scaler.get("mean_"), scaler.get("scale_")
    known = mean if mean is not None else scale
    if known is None:
        raise BundleError(f"{uri} holds a StandardScaler that does nothing or was not fitted. No bundle was written.")
    middle = np.zeros(np.shape(known)) if mean is None else mean
    shift = middle if scaler.get("with_mean", True) else np.zeros(np.shape(known))
    return shift, np.ones(np.shape(known)) if scale is None else scale, middle


def _minmax(scaler: Mapping[str, Any], uri: str) -> Triple:
    """X * scale_ + min_, turned around."""
    if scaler.get("clip"):
        raise BundleError(
            f"{uri} holds a MinMaxScaler with clip=True, which bundles do not know. No bundle was written. Fit one"
            " without, or clip within the model."
        )
    factor = _array(scaler["scale_"], uri)
    return -_array(scaler["min_"], uri) / factor, 1 / factor, (scaler["data_min_"] + scaler["data_max_"]) / 2


def _robust(scaler: Mapping[str, Any], uri: str) -> Triple:
    centre, scale = scaler.get("center_"), scaler.get("scale_")
    known: Any = scale if centre is None else centre
    shape = np.shape(known)
    centre = np.zeros(shape) if centre is None else centre
    return centre, np.ones(shape) if scale is None else scale, centre


def _max_abs(scaler: Mapping[str, Any], uri: str) -> Triple:
    zeros = np.zeros(np.shape(scaler["scale_"]))
    return zeros, scaler["scale_"], zeros


SCALERS: dict[str, Callable[[Mapping[str, Any], str], Triple]] = {
    "sklearn.StandardScaler": _standard,
    "sklearn.MinMaxScaler": _minmax,
    "sklearn.RobustScaler": _robust,
    "sklearn.MaxAbsScaler": _max_abs,
}
"""Shift, scale and middle from the fitted attributes."""

FIELDS = frozenset(
    {"mean_", "scale_", "min_", "data_min_", "data_max_", "center_", "clip", "with_mean", "feature_names_in_"}
)

READERS: dict[str, Callable[[bytes, str], Figures]] = {".json": _from_json, ".skops": _from_skops}


def _checked(uri: str, shift: Any, scale: Any, middle: Any, names: tuple[str, ...]) -> Figures:
    found = Figures(_array(shift, uri), _array(scale, uri), _array(middle, uri), names)
    lengths = {len(found.shift), len(found.scale), len(found.middle)} | ({len(names)} if names else set())
    sound = all(np.isfinite(values).all() for values in (found.shift, found.scale, found.middle))
    if len(lengths) != 1 or not sound or not (found.scale > 0).all():
        raise BundleError(
            f"{uri} does not hold one finite figure for each column, scales above zero. No bundle was written."
        )
    return found


def _array(values: Any, uri: str) -> Floats:
    try:
        return np.asarray(values, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise BundleError(f"{uri} holds something else than numbers. No bundle was written.") from None
