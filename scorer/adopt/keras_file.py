"""A .keras file, which is hostile input, as a model in memory.

Its zip is read here, member by member and with limits; its configuration is held to a vocabulary, its weights to plain
arrays; what passed is written into a new file, and that one is what Keras loads.
"""

import io
import json
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import h5py
import keras

from scorer.adopt import config
from scorer.errors import BundleError, NotFound
from scorer.model import strict_json
from scorer.objectstore import ObjectStore

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

MAX_FILE_BYTES = 2 << 30
MAX_CONFIG_BYTES = 64 << 20
MAX_METADATA_BYTES = 1 << 20
MAX_WEIGHT_BYTES = 2 << 30
"""All arrays together, as large as they say that they are."""

UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, OSError, RuntimeError, ValueError)
"""What zipfile raises for damaged files. NotImplementedError, for other compressions, is a RuntimeError."""

MAX_ARRAYS = 100_000

PLAIN_KINDS = "fiub"
"""Floats, integers, booleans, by numpy's letters. HDF5 knows no bfloat16; Keras marks such arrays by an attribute."""


def load_keras(uri: str, store: ObjectStore) -> Any:
    """The model in a .keras file, without optimizer and losses.

    Args:
        uri: of the file.
        store: where it is.

    Raises:
        BundleError: the file is damaged, too large, names what is not in the vocabulary, or is not of Keras 3. Nothing
            of it was run.
        NotFound: there is none.
    """
    if not uri.endswith(".keras"):
        raise BundleError(
            f"{uri} is no .keras file. No bundle was written. Save the model with model.save('model.keras'); .h5 files"
            " and SavedModels are loaded in your own program first."
        )
    try:
        data = store.get(uri, max_bytes=MAX_FILE_BYTES).data
    except NotFound:
        raise NotFound(f"There is no file {uri}. No bundle was written.") from None
    return _loaded(_clean(data, uri), uri)


def _clean(data: bytes, uri: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Configuration, metadata and weights, checked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in archive.infolist()):
                raise ValueError("a compression that Keras does not use")
            if strange := sorted(set(names) - {CONFIG, METADATA, WEIGHTS}):
                raise BundleError(
                    f"{uri} holds {strange[0]!r}, which models of numbers and pixels do not need. Nothing was loaded."
                )
            if sorted(names) != sorted({CONFIG, METADATA, WEIGHTS}):
                raise BundleError(
                    f"{uri} does not hold {CONFIG}, {METADATA} and {WEIGHTS} once each, as .keras files of Keras 3 do."
                    " Nothing was loaded."
                )
            described_by = _member(archive, METADATA, MAX_METADATA_BYTES, uri)
            metadata = strict_json.parse(described_by, f"{uri}/{METADATA}", MAX_METADATA_BYTES)
            described = _config(_member(archive, CONFIG, MAX_CONFIG_BYTES, uri), uri)
            weights = _member(archive, WEIGHTS, MAX_WEIGHT_BYTES, uri)
    except UNREADABLE as error:
        raise BundleError(f"{uri} is no .keras file ({error}). Nothing was loaded.") from None
    version = str(metadata.get("keras_version"))
    if not version.startswith("3."):
        raise BundleError(
            f"{uri} was saved by Keras {version[:20]}; files of Keras 3 are read. Nothing was loaded. Load it there and"
            " save it with Keras 3."
        )
    check_weights(weights, uri)
    return config.checked(described, uri), {"keras_version": version}, weights


def _member(archive: zipfile.ZipFile, name: str, most: int, uri: str) -> bytes:
    """The bytes of a member, however many the archive announces, up to a limit."""
    with archive.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise BundleError(f"{name} in {uri} has more than {most:,} bytes. Nothing was loaded.")
    return data


def _config(data: bytes, uri: str) -> dict[str, Any]:
    # Not strict_json: a configuration may hold an infinity, as the bound of a clip.
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{CONFIG} in {uri} is no JSON ({error}). Nothing was loaded.") from None
    if not isinstance(found, dict):
        raise BundleError(f"{CONFIG} in {uri} does not describe a model. Nothing was loaded.")
    return found


def check_weights(data: bytes, uri: str) -> None:
    """Raise BundleError unless an HDF5 file holds plain arrays, and all of them in itself."""
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            _Weights(uri).group(file, 0)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{WEIGHTS} in {uri} cannot be read ({error}). Nothing was loaded.") from None


class _Weights:
    """One pass over all groups and arrays of a file."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._bytes = 0
        self._seen = 0

    def group(self, group: Any, depth: int) -> None:
        for name in group:
            self._seen += 1
            # Hard links can form a circle: depth and number end it.
            if depth > 50 or self._seen > MAX_ARRAYS:
                raise self._refusal("more groups than any model")
            if group.get(name, getclass=True, getlink=True) is not h5py.HardLink:
                raise self._refusal(f"a link to somewhere else ({name!r})")
            found = group[name]
            if isinstance(found, h5py.Group):
                self.group(found, depth + 1)
            else:
                self._array(found, name)

    def _array(self, array: Any, name: str) -> None:
        if not isinstance(array, h5py.Dataset) or array.is_virtual or array.external:
            raise self._refusal(f"{name!r}, which is no array of its own")
        if array.dtype.kind not in PLAIN_KINDS and array.attrs.get("dtype") != "bfloat16":
            raise self._refusal(f"values of type {array.dtype} ({name!r})")
        self._bytes += int(array.nbytes)
        if self._bytes > MAX_WEIGHT_BYTES:
            raise self._refusal(f"arrays of more than {MAX_WEIGHT_BYTES:,} bytes")

    def _refusal(self, found: str) -> BundleError:
        return BundleError(f"{WEIGHTS} in {self._uri} holds {found}. Nothing was loaded and no bundle was written.")


def _loaded(parts: tuple[dict[str, Any], dict[str, Any], bytes], uri: str) -> Any:
    described, metadata, weights = parts
    with tempfile.TemporaryDirectory(prefix="scorer-keras-") as folder:
        clean = Path(folder) / "model.keras"
        with zipfile.ZipFile(clean, "w") as archive:
            archive.writestr(CONFIG, json.dumps(described))
            archive.writestr(METADATA, json.dumps(metadata))
            archive.writestr(WEIGHTS, weights)
        try:
            return keras.saving.load_model(clean, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises whatever its layers raise for a configuration that is not theirs
            reason = " ".join(str(error).split())[:300]
            raise BundleError(
                f"Keras {keras.__version__} cannot load {uri}, which was saved by Keras {metadata['keras_version']}:"
                f" {type(error).__name__}: {reason}. No bundle was written."
            ) from None
