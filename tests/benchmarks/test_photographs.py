"""The benchmarks' images."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import photographs


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_generated_photographs_are_of_the_promised_size_and_all_different() -> None:
    files = list(photographs.generated(4))

    assert len(set(files)) == 4
    assert {pixels(data).shape for data in files} == {(480, 720, 3)}
    assert 55_000 < np.median([len(data) for data in files]) < 85_000


def test_files_repeat_pixels_but_never_bytes() -> None:
    files = list(photographs.generated(2, width=64, height=48))

    many = [photographs.distinct(files, number) for number in range(6)]

    assert len(set(many)) == 6
    assert all(np.array_equal(pixels(data), pixels(files[number % 2])) for number, data in enumerate(many))


def test_a_folder_takes_the_place_of_the_generated_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = next(photographs.generated(1, width=64, height=48))
    (tmp_path / "own.JPG").write_bytes(own)
    (tmp_path / "notes.txt").write_text("not an image")
    monkeypatch.setenv("BENCH_IMAGES", str(tmp_path))

    assert photographs.originals(9) == [own]


def test_a_folder_without_images_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_IMAGES", str(tmp_path))

    with pytest.raises(SystemExit, match=str(tmp_path)):
        photographs.originals(1)
