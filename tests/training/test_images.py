import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scorer.errors import InputChanged, StoreUnreachable
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.objectstore import Blob, ObjectStore
from scorer.settings import ImageLimits, ImageSources
from scorer.training import images
from scorer.training.images import Source, cache_images
from tests.training.listings import write_image

SPEC = PixelSpec(size=8)
LIMITS = ImageLimits()


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    with Fetcher(ObjectStore(), LIMITS, 8) as fetcher:
        yield Source(fetcher, ImagePlaces.of(str(tmp_path), ImageSources()), LIMITS, threads=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images 0.png to 9.png of ten levels, a copy of the first, one that is none, and a place for decoded ones."""
    for number in range(10):
        write_image(tmp_path / f"{number}.png", 20 * number, np.random.default_rng(number))
    (tmp_path / "copy.jpg").write_bytes((tmp_path / "0.png").read_bytes())
    (tmp_path / "page.png").write_bytes(b"<html>gone</html>")
    (tmp_path / "again.png").write_bytes(b"<html>gone</html>")
    return tmp_path


def test_every_image_is_decoded_as_scoring_decodes_it(folder: Path, source: Source) -> None:
    uris = [f"{number}.png" for number in range(10)]
    cache = cache_images(uris, SPEC, source, folder)
    for uri in uris:
        expected = decode_image((folder / uri).read_bytes(), SPEC, LIMITS)
        np.testing.assert_array_equal(cache.pixels[cache.slots[uri]], expected)


def test_the_same_bytes_under_two_names_are_decoded_once_and_share_a_slot(
    folder: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, lock = [], threading.Lock()

    def counting(data: bytes, *rest: object) -> object:
        with lock:
            decoded.append(hashlib.sha256(data).hexdigest())
        return decode_image(data, *rest)  # type: ignore[arg-type] # passed on as it came

    monkeypatch.setattr(images, "decode_image", counting)
    cache = cache_images(["0.png", "copy.jpg", "1.png"], SPEC, source, folder)
    assert len(decoded) == 2
    assert cache.slots["0.png"] == cache.slots["copy.jpg"] != cache.slots["1.png"]
    assert cache.digests["0.png"] == cache.digests["copy.jpg"]


def test_images_that_cannot_be_used_are_counted_by_reason_and_harm_no_other(folder: Path, source: Source) -> None:
    uris = ["page.png", "absent.png", "3.png", "../3.png", "again.png", "https://example.org/3.png"]
    cache = cache_images(uris, SPEC, source, folder)
    assert list(cache.slots) == ["3.png"]
    assert cache.faults == {"image_unsupported": 2, "image_not_found": 1, "image_forbidden": 2}


def test_no_image_at_all_is_no_error_here(folder: Path, source: Source) -> None:
    assert not cache_images([], SPEC, source, folder).slots


def test_the_file_of_an_image_is_given_back_only_while_it_is_the_one_that_was_decoded(
    folder: Path, source: Source
) -> None:
    cache = cache_images(["0.png", "1.png"], SPEC, source, folder)
    assert cache.bytes_of("1.png", source) == (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes((folder / "2.png").read_bytes())
    with pytest.raises(InputChanged, match=r"1\.png was replaced"):
        cache.bytes_of("1.png", source)
    (folder / "1.png").unlink()
    with pytest.raises(InputChanged, match=r"1\.png went .*image_not_found"):
        cache.bytes_of("1.png", source)


class Failing(ObjectStore):
    """A store that does not answer once it is out."""

    out = False

    def get(self, uri: str, *given: Any, **named: Any) -> Blob:
        if self.out:
            raise StoreUnreachable(f"{uri}: 503.")
        return super().get(uri, *given, **named)


def test_a_store_that_does_not_answer_says_nothing_of_what_became_of_an_image(folder: Path, tmp_path: Path) -> None:
    store, places = Failing(), ImagePlaces.of(str(tmp_path), ImageSources())
    with Fetcher(store, LIMITS, 1) as fetcher:
        source = Source(fetcher, places, LIMITS, threads=1)
        cache = cache_images(["0.png"], SPEC, source, folder)
        store.out = True
        with pytest.raises(StoreUnreachable, match=r"0\.png could not be fetched .*503.* when the store answers"):
            cache.bytes_of("0.png", source)


def test_that_no_image_can_be_used_is_not_kept_and_so_is_found_out_again(folder: Path, source: Source) -> None:
    kept = folder / "kept"
    kept.mkdir()
    assert not cache_images(["late.png", "page.png"], SPEC, source, folder, kept).slots
    write_image(folder / "late.png", 20, np.random.default_rng(0))
    assert list(cache_images(["late.png", "page.png"], SPEC, source, folder, kept).slots) == ["late.png"]
    (folder / "late.png").unlink()
    assert list(cache_images(["late.png", "page.png"], SPEC, source, folder, kept).slots) == ["late.png"], "decoded"
