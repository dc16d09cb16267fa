import hashlib
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import BundleError
from scorer.model.backbones import lite0
from scorer.model.backbones.tensors import MAGIC, parse_tensors, read_tensors


class _Named:
    """Pickles as a name of PyTorch's, which is not installed here."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self) -> None:
        """Only so that it may stand where pickle wants a function."""


class _Writer(pickle._Pickler):  # the one in Python, whose steps can be overridden
    """Writes as torch.save did before version 1.6."""

    def persistent_id(self, value: Any) -> Any:
        return value[1:] if isinstance(value, tuple) and value and value[0] == "persistent" else None

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, _Named):
            self.write(  # type: ignore[attr-defined]  # of the pickler in Python
                pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode()
            )
        else:
            super().save(value, save_persistent_id)  # type: ignore[misc]  # of the pickler in Python


class _Call:
    def __init__(self, function: _Named, *given: Any) -> None:
        self.function, self.given = function, given

    def __reduce__(self) -> Any:
        return self.function, self.given


def checkpoint(path: Path, tensors: dict[str, Any], storages: dict[str, np.ndarray]) -> bytes:
    with path.open("wb") as file:
        for value in (MAGIC, 1001, {"little_endian": True}):
            pickle.dump(value, file, 2)
        _Writer(file, 2).dump(tensors)
        pickle.dump(sorted(storages), file, 2)
        for key in sorted(storages):
            file.write(struct.pack("<q", len(storages[key])) + storages[key].tobytes())
    return path.read_bytes()


def tensor(shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, values: int = 6) -> _Call:
    storage = ("persistent", "storage", _Named("torch", "FloatStorage"), "0", "cpu", values, None)
    rebuild = _Named("torch._utils", "_rebuild_tensor_v2")
    return _Call(rebuild, storage, offset, shape, strides, False, OrderedDict())


SIX = {"0": np.arange(6, dtype=np.float32)}


def test_tensors_come_back_as_arrays_whatever_their_strides(tmp_path: Path) -> None:
    data = checkpoint(tmp_path / "a.pth", {"rows": tensor((2, 3), (3, 1)), "columns": tensor((3, 2), (1, 3))}, SIX)
    found = parse_tensors(data, "a.pth")
    assert found["rows"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["columns"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    "one",
    [
        tensor((2, 3), (3, 2)),
        tensor((7,), (1,)),
        tensor((2,), (1,), offset=5),
        tensor((2,), (-1,)),
        tensor((2,), (1, 1)),
    ],
    ids=["strides", "size", "offset", "negative", "ranks"],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path: Path, one: Any) -> None:
    with pytest.raises(BundleError, match=r"a\.pth is no file of tensors"):
        parse_tensors(checkpoint(tmp_path / "a.pth", {"x": one}, SIX), "a.pth")


def test_a_file_that_names_anything_else_is_refused_and_nothing_of_it_runs(tmp_path: Path) -> None:
    attack = _Call(_Named("os", "system"), f"touch {tmp_path}/ran")
    data = checkpoint(tmp_path / "a.pth", {"x": attack}, SIX)
    with pytest.raises(BundleError, match=r"it names (os|posix)\.system"):
        parse_tensors(data, "a.pth")
    assert not (tmp_path / "ran").exists()


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_damage_is_refused_in_words_or_leaves_arrays(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    whole = checkpoint(tmp_path_factory.mktemp("x") / "a.pth", {"rows": tensor((2, 3), (3, 1))}, SIX)
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :]
    damaged = damaged[: data.draw(st.integers(1, len(damaged)))]
    try:
        found = parse_tensors(damaged, "a.pth")
    except BundleError:
        return
    assert all(isinstance(values, np.ndarray) for values in found.values())


def test_another_file_than_expected_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"its SHA-256 is another\. Nothing was trained"):
        read_tensors(tmp_path / "a.pth", hashlib.sha256(b"expected").hexdigest())


def test_the_package_carries_the_weights_that_this_one_was_written_for() -> None:
    tensors = lite0.checkpoint()
    assert len(tensors) == 296
    assert tensors["_fc.weight"].shape == (1000, 1280)
    assert all(np.isfinite(values).all() for values in tensors.values())
