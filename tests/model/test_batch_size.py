"""The batch size is the fastest that fits, and of those that are about as fast the smallest."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tensorflow as tf

from scorer.model import batch_size
from scorer.model.batch_size import CANDIDATES, CANDIDATES_ON_GPU, fastest_batch
from scorer.model.bundle import save_bundle
from scorer.model.predictor import Predictor
from scorer.objectstore import ObjectStore
from tests.model.bundles import content

GIB = 2**30


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    bundle = save_bundle(content(), str(tmp_path_factory.mktemp("bundle")), ObjectStore())
    return Predictor(bundle, batch_images=32, batch_rows=4, verify=False)


def timed(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> list[int]:
    """Let each size take so long an image; the sizes that were tried."""
    tried: list[int] = []

    def measure(predictor: Predictor, size: int, callers: int) -> float:
        tried.append(size)
        return seconds(size)

    monkeypatch.setattr(batch_size, "_seconds_per_image", measure)
    return tried


def test_the_fastest_wins(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, {16: 5.0, 32: 4.0, 64: 3.0, 128: 2.0, 256: 5.0}.__getitem__)
    assert fastest_batch(predictor) == predictor.batch_images == 128


def test_of_sizes_about_as_fast_the_smallest_wins(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, {16: 1.0, 32: 0.99, 64: 0.98, 128: 0.97, 256: 0.96}.__getitem__)
    assert fastest_batch(predictor) == 16


def test_a_size_that_was_halved_for_want_of_memory_is_out(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faster_and_faster(size: int) -> float:
        if size == 128:
            predictor.batch_images = 64
        return 1 / size

    tried = timed(monkeypatch, faster_and_faster)
    assert fastest_batch(predictor) == 64
    assert tried == [16, 32, 64, 128]


def test_a_size_that_would_take_too_much_of_the_memory_is_not_even_tried(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = iter([size * GIB for size in (1.0, 1.5, 1.5, 2, 2, 3, 3, 4, 4)])
    monkeypatch.setattr(batch_size, "_resident", lambda: next(held))
    monkeypatch.setattr("scorer.machine.memory", lambda: 8 * GIB)  # of which 4.8 may be taken
    tried = timed(monkeypatch, lambda size: 1 / size)
    assert fastest_batch(predictor) == 64
    assert tried == [16, 32, 64]


def test_the_first_batch_does_not_wait_for_sizes_that_take_long_to_measure(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("scorer.model.batch_size.time.monotonic", lambda: clock[0])

    def slow(size: int) -> float:
        clock[0] += size / 100
        return 1 / size

    tried = timed(monkeypatch, slow)
    assert fastest_batch(predictor) == 64
    assert tried == [16, 32, 64]


def test_gpus_are_offered_larger_ones(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Predictor, "devices", ("/device:GPU:0",))
    tried = timed(monkeypatch, lambda size: 1 / size)
    fastest_batch(predictor)
    assert tried == list(CANDIDATES_ON_GPU)


def test_it_is_measured_with_the_real_model_on_as_many_threads_as_the_run_has(predictor: Predictor) -> None:
    assert fastest_batch(predictor) in CANDIDATES


def test_a_model_that_was_not_cut_is_measured_as_a_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its image tower only passes pixels on, in no time at all."""
    bundle = save_bundle(content(), str(tmp_path), ObjectStore())
    document = bundle.document.model_copy(update={"not_reusable": "it sees numbers early"})
    whole = Predictor(replace(bundle, document=document), batch_images=32, batch_rows=1024, verify=False)
    tried, known, images = set(), whole._head, bundle.max_images

    def small(features: tf.Tensor, **rest: tf.Tensor) -> dict[str, tf.Tensor]:
        tried.add(len(features) * images)
        if len(features) * images > 64:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")
        return known(features=features, **rest)

    monkeypatch.setattr(batch_size, "WORTH", 1e9)  # the larger the better
    monkeypatch.setattr(batch_size, "SECONDS", 1e9)
    monkeypatch.setattr(whole, "_head", small)
    assert fastest_batch(whole) == 64
    assert {16, 32, 64, 128} <= tried
