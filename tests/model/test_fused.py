from dataclasses import dataclass, replace

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import SettingsError
from scorer.model.fused import FusedModel, ImageDropout, PerImage, Recipe, build_fused, build_images_only, on_embeddings
from scorer.model.fusions import VECTOR_FUSIONS

SIZE, WIDTH, EMBEDDING = 12, 5, 6
TINY = Recipe("convolutions", (4, 8), EMBEDDING, "dense", (8, 6), (8,))
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Listings:
    """features float32 [n, F], images uint8 [n, K, S, S, 3], mask bool [n, K]."""

    features: npt.NDArray[np.float32]
    images: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]


def listings(rows: int = 6, images: int = 4, seed: int = 0) -> Listings:
    random = np.random.default_rng(seed)
    return Listings(
        random.normal(size=(rows, WIDTH)).astype(np.float32),
        random.integers(0, 256, (rows, images, SIZE, SIZE, 3), np.uint8),
        random.random((rows, images)) < 0.6,
    )


@pytest.fixture(scope="module", params=VECTOR_FUSIONS)
def fused(request: pytest.FixtureRequest) -> FusedModel:
    keras.utils.set_random_seed(3)
    return build_fused(WIDTH, SIZE, "0..1", TINY, request.param)


def whole(fused: FusedModel, given: Listings) -> npt.NDArray[np.float32]:
    inputs = {"features": given.features, "images": given.images, "mask": given.mask}
    prediction: npt.NDArray[np.float32] = fused.whole.predict(inputs, verbose=0)["prediction"]
    return prediction


def by_parts(fused: FusedModel, given: Listings, absent: float = 0.0) -> npt.NDArray[np.float32]:
    """Tower, then head; `absent` stands where there is no image."""
    rows, images = given.mask.shape
    embeddings = fused.image_tower.predict(given.images.reshape(-1, SIZE, SIZE, 3), verbose=0)
    embeddings = np.where(given.mask[..., None], embeddings.reshape(rows, images, -1), np.float32(absent))
    inputs = {"features": given.features, "embeddings": embeddings, "mask": given.mask}
    prediction: npt.NDArray[np.float32] = fused.head.predict(inputs, verbose=0)["prediction"]
    return prediction


def test_tower_and_head_score_as_the_whole_model_does(fused: FusedModel) -> None:
    scores = whole(fused, listings())
    assert scores.shape == (6,)
    np.testing.assert_allclose(by_parts(fused, listings()), scores, atol=TOLERANCE)


def test_images_change_the_score(fused: FusedModel) -> None:
    given = replace(listings(), mask=np.ones((6, 4), np.bool_))
    other = replace(given, images=255 - given.images)
    assert np.abs(whole(fused, given) - whole(fused, other)).min() > 100 * TOLERANCE


@settings(deadline=None, max_examples=10)
@given(order=st.permutations(range(4)), seed=st.integers(0, 9))
def test_the_order_of_a_listings_images_does_not_matter(fused: FusedModel, order: list[int], seed: int) -> None:
    given = listings(seed=seed)
    other = replace(given, images=given.images[:, order], mask=given.mask[:, order])
    np.testing.assert_allclose(whole(fused, other), whole(fused, given), atol=TOLERANCE)


@pytest.mark.parametrize("padding", [1, 7])
def test_padding_does_not_matter_so_more_images_may_come_than_in_training(fused: FusedModel, padding: int) -> None:
    given = listings()
    padded = Listings(
        given.features,
        np.pad(given.images, [(0, 0), (0, padding), (0, 0), (0, 0), (0, 0)], constant_values=99),
        np.pad(given.mask, [(0, 0), (0, padding)]),
    )
    np.testing.assert_allclose(whole(fused, padded), whole(fused, given), atol=TOLERANCE)
    np.testing.assert_allclose(by_parts(fused, padded), whole(fused, given), atol=TOLERANCE)


def test_what_stands_where_no_image_is_has_no_influence_even_if_it_is_nan(fused: FusedModel) -> None:
    np.testing.assert_array_equal(by_parts(fused, listings(), absent=np.nan), by_parts(fused, listings()))


def test_listings_without_any_image_get_finite_scores_alone_and_among_others(fused: FusedModel) -> None:
    given = listings()
    alone = whole(fused, replace(given, mask=np.zeros((6, 4), np.bool_)))
    assert np.isfinite(alone).all()
    among = whole(fused, replace(given, mask=given.mask & (np.arange(6) > 0)[:, None]))
    assert among[0] == pytest.approx(alone[0], abs=TOLERANCE)


def test_a_listings_score_does_not_depend_on_its_neighbours(fused: FusedModel) -> None:
    given = listings()
    first = Listings(given.features[:1], given.images[:1], given.mask[:1])
    assert whole(fused, first)[0] == pytest.approx(whole(fused, given)[0], abs=TOLERANCE)


def test_the_same_seed_gives_the_same_weights() -> None:
    def fresh() -> npt.NDArray[np.float32]:
        keras.utils.set_random_seed(11)
        return whole(build_fused(WIDTH, SIZE, "-1..1", TINY, "concat"), listings())

    np.testing.assert_array_equal(fresh(), fresh())


def test_a_head_that_is_trained_on_embeddings_is_the_same_head(fused: FusedModel) -> None:
    given = listings()
    embeddings = np.random.default_rng(1).normal(size=(6, 4, EMBEDDING)).astype(np.float32)
    inputs = {"features": given.features, "embeddings": embeddings, "mask": given.mask}
    trained = on_embeddings(fused.head, 0.5, seed=0)
    np.testing.assert_array_equal(
        trained.predict(inputs, verbose=0)["prediction"], fused.head.predict(inputs, verbose=0)["prediction"]
    )
    assert {id(weight) for weight in trained.trainable_weights} == {id(weight) for weight in fused.head.weights}


def test_an_image_tower_is_trained_alone_by_a_linear_score_of_the_mean_embedding() -> None:
    tower, images_only = build_images_only(SIZE, "0..1", TINY)
    given = listings()
    scores = images_only.predict({"images": given.images, "mask": given.mask}, verbose=0)["prediction"]
    kernel, bias = images_only.get_layer("output").get_weights()
    embeddings = tower.predict(given.images[0], verbose=0)[given.mask[0]]
    assert scores[0] == pytest.approx(float(embeddings.mean(axis=0) @ kernel[:, 0] + bias[0]), abs=1e-5)


@pytest.mark.parametrize(
    ("recipe", "fusion", "choices"),
    [
        (TINY, "gate", r"Unknown fusion 'gate'\. Known: .*concat"),
        (replace(TINY, image_tower="resnet"), "concat", r"Unknown image tower 'resnet'\. Known: .*convolutions"),
        (replace(TINY, number_tower="linear"), "concat", r"Unknown number tower 'linear'\. Known: .*dense"),
    ],
)
def test_an_unknown_part_is_answered_with_the_choices(recipe: Recipe, fusion: str, choices: str) -> None:
    with pytest.raises(SettingsError, match=choices):
        build_fused(WIDTH, SIZE, "0..1", recipe, fusion)


class Brighten(keras.layers.Layer):  # type: ignore[misc] # Keras's classes come without types
    """An augmentation that cannot be overlooked, and leaves the range of pixels."""

    def call(self, pixels: tf.Tensor, training: bool = False) -> tf.Tensor:
        return pixels + 100.4 if training else pixels


def mean_pixel_tower() -> keras.Model:
    pixels = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    values = keras.layers.Rescaling(1.0)(pixels)
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(values))


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_augmentation_works_in_training_only_and_the_tower_still_gets_whole_pixel_values(graph: bool) -> None:
    layer = PerImage(mean_pixel_tower(), [Brighten()])
    call = tf.function(layer) if graph else layer
    images = tf.constant([[np.full((SIZE, SIZE, 3), 10), np.full((SIZE, SIZE, 3), 240)]], tf.uint8)
    mask = tf.constant([[True, True]])
    assert call(images, mask, training=False).numpy()[0, :, 0].tolist() == [10, 240]
    assert call(images, mask, training=True).numpy()[0, :, 0].tolist() == [110, 255]


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_only_images_that_are_there_are_embedded_each_in_its_place(graph: bool) -> None:
    layer = PerImage(mean_pixel_tower())
    images = tf.reshape(tf.repeat(tf.range(1, 7), SIZE * SIZE * 3), [2, 3, SIZE, SIZE, 3])
    mask = tf.constant([[False, True, True], [True, False, False]])
    embedded = (tf.function(layer) if graph else layer)(tf.cast(images, tf.uint8), mask)
    assert embedded.numpy()[..., 0].tolist() == [[0, 2, 3], [4, 0, 0]]


def test_image_dropout_takes_all_images_of_its_share_of_listings_and_only_in_training() -> None:
    layer = ImageDropout(0.3, seed=1)
    mask = tf.ones([4000, 3], tf.bool)
    assert bool(tf.reduce_all(layer(mask, training=False)))
    kept = layer(mask, training=True).numpy()
    assert (kept.all(axis=1) | ~kept.any(axis=1)).all()
    assert 1 - kept.mean() == pytest.approx(0.3, abs=0.03)
