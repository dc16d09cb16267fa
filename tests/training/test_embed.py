from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest

from scorer.training import embed
from scorer.training.embed import embed_images
from scorer.training.images import ImageCache

SIZE, SLOTS = 8, 70


def cache() -> ImageCache:
    pixels = np.random.default_rng(0).integers(0, 256, (SLOTS, SIZE, SIZE, 3), np.uint8)
    return ImageCache(pixels, {str(slot): slot for slot in range(SLOTS) if slot != 5}, {}, Counter())


def tower(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    maps = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(pixels))
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(maps))


def test_every_image_that_can_be_used_is_embedded_as_keras_would(tmp_path: Path) -> None:
    found = embed_images(tower(), cache(), tmp_path, lambda line: None)
    expected = tower().predict(cache().pixels, verbose=0)
    expected[5] = 0
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    assert found.size == 4
    assert not list(tmp_path.iterdir()), "the file has no name that could be left behind"


class Killed(BaseException):
    """As if by a signal."""


def test_embeddings_that_were_cut_off_go_on_where_they_were_and_end_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = embed_images(tower(), cache(), tmp_path, lambda line: None).values.copy()
    monkeypatch.setattr(embed, "TOLD_EVERY", 32)

    def kill(line: str) -> None:
        if line.startswith("64"):
            raise Killed

    kept = tmp_path / "kept"
    kept.mkdir()
    with pytest.raises(Killed):
        embed_images(tower(), cache(), tmp_path, kill, kept)
    later = cache()
    later.pixels[0] = 0  # an image that is done already is not looked at again
    found = embed_images(tower(), later, tmp_path, lambda line: None, kept)
    np.testing.assert_array_equal(found.values, expected)


def test_embeddings_of_another_tower_are_not_taken(tmp_path: Path) -> None:
    embed_images(tower(0), cache(), tmp_path, lambda line: None, tmp_path)
    found = embed_images(tower(1), cache(), tmp_path, lambda line: None, tmp_path)
    np.testing.assert_allclose(found.values[0], tower(1).predict(cache().pixels[:1], verbose=0)[0], atol=1e-5)
