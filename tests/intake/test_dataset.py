"""The tf.data chain gives the bytes that the eager call gives, in order, and hands errors through as they are."""

import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from scorer.errors import StoreUnreachable, Terminal
from scorer.intake.batches import ImageBatch, Memory, Request
from scorer.intake.dataset import FINISHED_AHEAD, SPARE_CALLS, ImagePipeline
from scorer.intake.fetch import HOLD_BYTES, Fetcher, ImagePlaces
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.objectstore import Blob, ObjectStore, join
from scorer.settings import ImageLimits, ImageSources, Speed
from scorer.telemetry import Stages
from tests import images
from tests.conftest import Bucket

SPEC = PixelSpec(size=24)
SPEED = Speed(fetch_concurrency=4, decode_threads=3, buffered_batches=2)
GOOD = [sample.make() for sample in images.GOOD.values()]


@pytest.fixture(params=["local", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Local files are read by the decoding threads, remote ones fetched ahead: the same pixels."""
    if request.param == "local":
        return str(tmp_path)
    found: Bucket = request.getfixturevalue("bucket")
    return found.uri


def pipeline(root: str, fetcher: Fetcher) -> ImagePipeline:
    places = ImagePlaces.of(root, ImageSources())
    return ImagePipeline(fetcher, places, SPEC, ImageLimits(), SPEED, Stages(), 5, as_seen)


def as_seen(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """An image tower that shows what it was given. float32 holds every byte exactly."""
    return pixels.astype(np.float32)


def requests(names: list[str], size: int = 5) -> Iterator[Request]:
    for first in range(0, len(names), size):
        yield Request("owner", first, names[first : first + size], last=first + size >= len(names))


def test_the_chain_gives_exactly_the_pixels_of_the_eager_call_in_order(root: str) -> None:
    store = ObjectStore()
    for number, data in enumerate(GOOD):
        store.put(join(root, f"{number}.jpg"), data)
    names = [f"{number}.jpg" for number in range(len(GOOD))]
    with Fetcher(store, ImageLimits(), 4) as fetcher:
        for _ in range(2):  # a second run uses the first one's buffers
            found = [
                (batch.request.first, batch.embeddings, batch.faults)
                for batch in pipeline(root, fetcher).run(requests(names))
            ]
            assert [first for first, _, _ in found] == list(range(0, len(names), 5))
            assert all(not faults for _, _, faults in found)
            pixels = np.concatenate([part for _, part, _ in found if part is not None])
            assert len(pixels) == len(names)
            for number, data in enumerate(GOOD):
                assert np.array_equal(pixels[number], decode_image(data, SPEC, ImageLimits())), names[number]


def test_the_function_gives_the_same_bytes_in_a_graph() -> None:
    def decode(data: bytes) -> np.ndarray:
        return decode_image(data, SPEC, ImageLimits())

    chain = tf.data.Dataset.from_tensor_slices(GOOD[:8]).map(
        lambda data: tf.numpy_function(decode, [data], tf.uint8), num_parallel_calls=2
    )
    for data, pixels in zip(GOOD[:8], chain, strict=True):
        assert np.array_equal(pixels.numpy(), decode(data))


def test_a_fault_leaves_a_hole_and_its_neighbours_whole(root: str) -> None:
    store = ObjectStore()
    for number in range(5):
        store.put(join(root, f"{number}.jpg"), GOOD[0] if number != 2 else b"not an image")
    with Fetcher(store, ImageLimits(), 4) as fetcher:
        (batch,) = pipeline(root, fetcher).run(requests(["0.jpg", "none.jpg", "2.jpg", "http://x/y", "4.jpg"]))
        assert {position: fault.reason for position, fault in batch.faults.items()} == {
            1: "image_not_found",
            2: "image_unsupported",
            3: "image_forbidden",
        }
        assert batch.embeddings is not None
        assert not batch.embeddings[1:4].any()
        for position in (0, 4):
            assert np.array_equal(batch.embeddings[position], decode_image(GOOD[0], SPEC, ImageLimits()))


def test_where_no_image_can_be_used_the_model_is_not_asked(tmp_path: Path) -> None:
    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher:
        (batch,) = pipeline(str(tmp_path), fetcher).run(requests(["none.jpg", "nor this.jpg"]))
    assert batch.embeddings is None
    assert sorted(batch.faults) == [0, 1]


def test_an_error_of_the_model_comes_out_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(GOOD[0])

    def too_large(pixels: object) -> np.ndarray[Any, np.dtype[np.float32]]:
        raise Terminal("does not fit into memory")

    monkeypatch.setattr(f"{__name__}.as_seen", too_large)
    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher, pytest.raises(Terminal, match="does not fit"):
        list(pipeline(str(tmp_path), fetcher).run(requests(["a.jpg"] * 20)))


def test_an_empty_request_keeps_its_turn(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(GOOD[0])
    asked = [Request(1, 0, [], last=True), Request(2, 0, ["a.jpg"], last=True), Request(3, 0, [], last=True)]
    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher:
        owners = [batch.request.owner for batch in pipeline(str(tmp_path), fetcher).run(iter(asked))]
    assert owners == [1, 2, 3]


def test_an_error_of_whoever_asks_comes_out_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(GOOD[0])

    def asking() -> Iterator[Request]:
        yield Request("owner", 0, ["a.jpg"], last=False)
        raise StoreUnreachable("rows broke off")

    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher, pytest.raises(StoreUnreachable, match="rows broke off"):
        list(pipeline(str(tmp_path), fetcher).run(asking()))


def test_an_error_of_the_store_comes_out_before_the_batch_that_lacks_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(GOOD[0])

    def blob(self: Fetcher, uri: str) -> Blob:
        raise StoreUnreachable("the disk went away")

    monkeypatch.setattr(Fetcher, "blob", blob)
    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher:
        batches = pipeline(str(tmp_path), fetcher).run(requests(["a.jpg"] * 20))
        with pytest.raises(StoreUnreachable, match="the disk went away"):
            next(batches)


def test_what_is_fetched_and_decoded_ahead_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(GOOD[0])
    asked = 0

    def asking() -> Iterator[Request]:
        nonlocal asked
        for _ in range(200):
            asked += 1
            yield Request("owner", 0, ["a.jpg"], last=False)

    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher:
        batches = pipeline(str(tmp_path), fetcher).run(asking())
        next(batches)
        threading.Event().wait(0.5)  # whoever could run ahead without bound has done so by now
        under_way = SPEED.decode_threads + SPARE_CALLS + 2 * SPEED.buffered_batches
        assert asked <= under_way + FINISHED_AHEAD + 6
        batches.close()


def test_a_consumer_that_stops_early_ends_the_chain(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(GOOD[0])
    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher:
        batches = pipeline(str(tmp_path), fetcher).run(requests(["a.jpg"] * 500))
        next(batches)
        batches.close()
        assert len(list(pipeline(str(tmp_path), fetcher).run(requests(["a.jpg"] * 12)))) == 3


def test_asked_to_isolate_the_chain_loses_the_image_that_kills_its_decoder_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent / "traps")  # the processes know a format that kills its decoder
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(GOOD[number] if number != 2 else b"TRAP:crash")
    places = ImagePlaces.of(str(tmp_path), ImageSources())
    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher:
        chain = ImagePipeline(fetcher, places, SPEC, ImageLimits(), SPEED, Stages(), 5, as_seen)
        names = [f"{number}.jpg" for number in range(5)]
        (batch,) = chain.run(iter([Request("owner", 0, names, last=True, isolate=True)]))
        assert {position: str(fault) for position, fault in batch.faults.items()} == {
            2: "image_corrupt: its decoder crashed (SIGSEGV)"
        }
        assert batch.embeddings is not None
        for position in (0, 1, 3, 4):
            assert np.array_equal(batch.embeddings[position], decode_image(GOOD[position], SPEC, ImageLimits()))


@pytest.mark.parametrize("hold_bytes", [HOLD_BYTES, 0], ids=["small", "large, so decoded as they come"])
def test_what_is_known_by_its_bytes_is_not_decoded_and_shifts_nothing(
    root: str, monkeypatch: pytest.MonkeyPatch, hold_bytes: int
) -> None:
    """Faults, known and unknown images in one batch: each embedding in its place, each key that of its bytes."""
    monkeypatch.setattr("scorer.intake.fetch.HOLD_BYTES", hold_bytes)
    store = ObjectStore()
    files = {f"{number}.jpg": data for number, data in enumerate(GOOD[:4])} | {"bad.jpg": b"no image"}
    for name, data in files.items():
        store.put(join(root, name), data)
    names = ["0.jpg", "none.jpg", "1.jpg", "bad.jpg", "2.jpg", "3.jpg", "0.jpg", "3.jpg"]
    recalled = np.full((24, 24, 3), 7, np.float32).reshape(-1)
    known = {sha256(files["1.jpg"]).digest(), sha256(files["3.jpg"]).digest()}
    memory = Memory(lambda _, blob: sha256(blob.data).digest(), lambda key: recalled if key in known else None)

    def flat(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        return pixels.reshape(len(pixels), -1).astype(np.float32)

    def run(fetcher: Fetcher, memory: Memory | None) -> list[ImageBatch]:
        places = ImagePlaces.of(root, ImageSources())
        chain = ImagePipeline(fetcher, places, SPEC, ImageLimits(), SPEED, Stages(), 5, flat, memory=memory)
        return list(chain.run(requests(names)))

    with Fetcher(store, ImageLimits(), 4) as fetcher:
        plain, remembered = run(fetcher, None), run(fetcher, memory)
    for batch, other in zip(plain, remembered, strict=True):
        assert batch.embeddings is not None
        assert other.embeddings is not None
        assert {place: str(fault) for place, fault in batch.faults.items()} == {
            place: str(fault) for place, fault in other.faults.items()
        }
        for place, name in enumerate(batch.request.uris):
            if place in batch.faults:
                assert place not in other.keys
                continue
            assert other.keys[place] == sha256(files[name]).digest()
            assert (place in other.recalled) == (name in ("1.jpg", "3.jpg"))
            expected = recalled if place in other.recalled else batch.embeddings[place]
            assert (other.embeddings[place] == expected).all()
