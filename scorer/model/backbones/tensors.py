"""The tensors of a PyTorch checkpoint as numpy arrays, without PyTorch, and without running what the file says.

A checkpoint is a pickle, and a pickle is a program. This one may name two functions and two types, and gets stand-ins
for them that hold shapes; every other name ends the reading. The file's digest is compared before that.
"""

import hashlib
import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from scorer.errors import BundleError

MAGIC = 0x1950A86A20F9469CFC6C
"""Opens a checkpoint of PyTorch before 1.6: four pickles, a list of storages, then their bytes."""

MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class _Storage:
    key: str
    kind: np.dtype[Any]
    values: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy, after its last value was found to lie within the storage."""
        if min((self.offset, *self.shape, *self.strides)) < 0 or len(self.shape) != len(self.strides):
            raise ValueError("a tensor of a negative size")
        last = self.offset + sum((side - 1) * step for side, step in zip(self.shape, self.strides, strict=True))
        if math.prod(self.shape) and last >= len(values):
            raise ValueError("a tensor that reaches beyond its storage")
        steps = tuple(step * values.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps).copy()


def _rebuild(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


class _OnlyTensors(pickle.Unpickler):
    """Admits what a dictionary of tensors needs, and nothing else."""

    ADMITTED: ClassVar[Mapping[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch", "LongStorage"): np.dtype("<i8"),
    }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in. Raises UnpicklingError for a name that is not admitted."""
        if (module, name) not in self.ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return self.ADMITTED[module, name]

    def persistent_load(self, reference: Any) -> _Storage:
        """A storage, whose bytes follow after the pickles."""
        _, kind, key, _, values, _ = reference
        return _Storage(str(key), np.dtype(kind), int(values))


def read_tensors(path: Path, sha256: str) -> dict[str, npt.NDArray[Any]]:
    """Every tensor of a checkpoint by its name.

    Args:
        path: the file.
        sha256: hexadecimal digest that it must have.

    Raises:
        BundleError: it is another file, or holds something else than tensors; nothing of it was used.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(
            f"{path} is not the file of weights that this package was written for: its SHA-256 is another."
            " Nothing was trained. Install the package that it comes from again."
        )
    return parse_tensors(data, str(path))


def parse_tensors(data: bytes, what: str) -> dict[str, npt.NDArray[Any]]:
    """The same from bytes, whatever they are. Raises BundleError when they hold something else than tensors."""
    stream = io.BytesIO(data)
    try:
        if _unpickled(stream) != MAGIC:
            raise ValueError("it does not begin as such a file does")
        _unpickled(stream)  # the version of the format
        _unpickled(stream)  # sizes of C types where it was written
        tensors = _unpickled(stream)
        keys = _unpickled(stream)
        kinds = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
        storages = {key: _values(stream, kinds[key]) for key in keys}
        return {str(name): tensor.array(storages[tensor.storage.key]) for name, tensor in tensors.items()}
    except Exception as error:  # whatever damaged bytes make of unpickling: nothing was run, and nothing comes out
        raise BundleError(f"{what} is no file of tensors: {error}. Nothing of it was used.") from None


def _unpickled(stream: io.BytesIO) -> Any:
    return _OnlyTensors(stream).load()


def _values(stream: io.BytesIO, storage: _Storage) -> npt.NDArray[Any]:
    (count,) = struct.unpack("<q", stream.read(8))
    if count != storage.values or not 0 <= count * storage.kind.itemsize <= MOST_BYTES:
        raise ValueError(f"storage {storage.key} has another size than announced")
    values = np.frombuffer(stream.read(count * storage.kind.itemsize), storage.kind)
    if len(values) != count:
        raise EOFError("it ends early")
    return values
