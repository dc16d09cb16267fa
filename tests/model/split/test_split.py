import functools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given as each
from hypothesis import settings
from hypothesis import strategies as st
from keras import layers, ops

from scorer.errors import BundleError, SettingsError
from scorer.model import graphs
from scorer.model.freezing import freeze
from scorer.model.split import Split, Wiring, rules, split
from scorer.model.split.proof import TOLERANCE, Listings, listings, scores
from tests.model.split import architectures
from tests.model.split.architectures import ARCHITECTURES, SIZE, head, numbers, photo, photos, tower


@functools.cache
def made(name: str) -> tuple[Any, Split]:
    keras.utils.set_random_seed(11)
    architecture = ARCHITECTURES[name]
    model = architecture.build()
    return model, split(model, architecture.wiring)


def by_halves(found: Split, rows: Listings, width: int) -> dict[str, Any]:
    """The scores of the frozen halves, with the images in a batch of their own as in a run."""
    size, places = found.wired.size, found.wired.places
    tower_graph = graphs.load_graph(frozen_tower(found), "the tower")
    head_graph = graphs.load_graph(frozen_head(found), "the head")
    flat = rows.images.reshape(-1, size, size, 3)
    seen = tower_graph(pixels=tf.constant(flat))["embedding"].numpy().reshape(-1, places, found.embedding_size)
    embeddings = np.zeros((len(seen), width, found.embedding_size), np.float32)
    mask = np.zeros((len(seen), width), bool)
    kept = min(width, places)
    mask[:, :kept] = rows.mask[:, :kept]
    embeddings[mask] = seen[:, :kept][mask[:, :kept]]
    outputs = head_graph(
        features=tf.constant(rows.features), embeddings=tf.constant(embeddings), mask=tf.constant(mask)
    )
    return {name: values.numpy() for name, values in outputs.items()}


def frozen_tower(found: Split) -> bytes:
    size = found.wired.size
    return freeze(found.tower, {"pixels": tf.TensorSpec([None, size, size, 3], tf.uint8)}, ["embedding"])


def frozen_head(found: Split) -> bytes:
    signature = {
        "features": tf.TensorSpec([None, found.wired.width], tf.float32),
        "embeddings": tf.TensorSpec([None, None, found.embedding_size], tf.float32),
        "mask": tf.TensorSpec([None, None], tf.bool),
    }
    return freeze(found.head, signature)


def assert_close(found: dict[str, Any], expected: Any) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=TOLERANCE * np.abs(values).max(), err_msg=name)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_cut_is_found_where_one_images_part_ends(name: str) -> None:
    expected = ARCHITECTURES[name]
    found = made(name)[1]
    if expected.embedding is None:
        assert found.not_reusable is not None
        assert expected.says in found.not_reusable
        assert found.embedding_size == found.wired.size**2
    else:
        assert found.not_reusable is None
        assert found.embedding_size == expected.embedding


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_frozen_halves_score_as_the_models_own_predict_does(name: str) -> None:
    model, found = made(name)
    rows = listings(found.wired, seed=50, rows=7)
    given = found.wired.numbers(tf.constant(rows.features), tf.constant(rows.mask))
    blanked = np.where(rows.mask[..., None, None, None], rows.images, 0).astype(np.uint8)
    given |= found.wired.pictures(tf.constant(blanked))
    inputs = keras.tree.pack_sequence_as(model.input, [given[index].numpy() for index in range(len(given))])
    predicted = keras.tree.flatten(model.predict(inputs, verbose=0, batch_size=3))
    expected = {key: value.numpy() for key, value in found.columns.split(predicted).items()}
    width = 1 << max(0, found.wired.places - 1).bit_length()  # as the predictor pads
    assert_close(by_halves(found, rows, width), expected)


def test_at_least_two_thirds_of_the_listed_architectures_have_towers_that_can_be_reused() -> None:
    assert sum(made(name)[1].not_reusable is None for name in ARCHITECTURES) >= len(ARCHITECTURES) * 2 / 3


def test_images_that_share_a_tower_share_its_embedding() -> None:
    found = made("shared_tower_over_inputs")[1]
    assert found.wired.places == 4
    assert found.cut_after == ("tower",)


def test_scores_do_not_depend_on_what_stands_where_no_image_is() -> None:
    found = made("shared_tower_over_inputs")[1]
    features, mask = tf.zeros([2, 5]), tf.constant([[True, False, False, True]] * 2)
    kept = np.ones((2, 4, found.embedding_size), np.float32)
    other = kept.copy()
    other[:, 1:3] = np.nan
    assert_close(
        {key: value.numpy() for key, value in found.head(features, tf.constant(other), mask).items()},
        {key: value.numpy() for key, value in found.head(features, tf.constant(kept), mask).items()},
    )


def test_an_absent_image_counts_as_the_blank_one_that_the_wiring_names() -> None:
    model = architectures.time_distributed()
    found = split(model, Wiring(blank=200))
    rows = listings(found.wired, seed=3)
    blanked = np.where(rows.mask[..., None, None, None], rows.images, 200).astype(np.float32)
    expected = model.predict([blanked, rows.features], verbose=0)[:, 0]
    assert_close(by_halves(found, rows, 4), {"prediction": expected})


def test_a_wrong_rule_is_found_out_by_the_proof_and_the_whole_model_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    # As if a running sum over the images of a listing kept them apart.
    monkeypatch.setitem(rules.OPERATIONS, "Cumsum", rules.as_it_is)
    images, given = photos(), numbers()
    running = ops.cumsum(layers.TimeDistributed(tower())(images), axis=1)
    model = keras.Model([images, given], head(layers.Flatten()(running), given))
    found = split(model)
    assert found.not_reusable is not None
    assert "output 'prediction' of a random listing was" in found.not_reusable
    rows = listings(found.wired, seed=9)
    assert_close(by_halves(found, rows, 4), scores(found.whole, rows))


def test_a_model_that_does_not_come_apart_is_scored_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rules.STACK_LAYERS, "GlobalAveragePooling1D", rules.as_it_is)
    images, given = photos(), numbers()
    pooled = layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.TimeDistributed(tower())(images)))
    found = split(keras.Model([images, given], head(pooled, given)))
    assert found.not_reusable is not None
    rows = listings(found.wired, seed=9)
    assert_close(by_halves(found, rows, 4), scores(found.whole, rows))


def test_a_model_whose_rows_depend_on_each_other_is_refused() -> None:
    image, given = photo(), numbers()
    embedding = tower()(image)
    model = keras.Model([image, given], head(embedding - ops.mean(embedding, axis=0, keepdims=True), given))
    with pytest.raises(BundleError, match="another score when other listings share its batch"):
        split(model)


def test_numbers_of_categories_need_no_special_type() -> None:
    """Keras casts them by itself, and made-up listings must not go beyond the table."""
    image, given, city = photo(), numbers(2), keras.Input((1,), name="city")
    place = layers.Flatten()(layers.Embedding(2, 3)(city))
    found = split(keras.Model([image, given, city], head(tower()(image), given, place)))
    assert found.not_reusable is None
    assert found.wired.zero_or_one
    assert found.difference <= TOLERANCE


def test_a_model_that_takes_no_made_up_listing_is_refused() -> None:
    image, city = photo(), keras.Input((1,), name="city")
    place = layers.Flatten()(layers.Embedding(2, 3)(city + 7))
    with pytest.raises(BundleError, match=r"refuses made-up listings.* is not in \[0, 2\).*No bundle was written"):
        split(keras.Model([image, city], head(tower()(image), place)))


def test_a_model_of_code_is_refused() -> None:
    class Own(keras.Model):  # type: ignore[misc]  # Keras's classes come without types
        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(BundleError, match="Own, which is code of its own"):
        split(Own())


def test_a_model_without_images_is_refused() -> None:
    given = numbers()
    with pytest.raises(BundleError, match="no input that takes images"):
        split(keras.Model(given, head(given)))


def test_an_output_that_is_no_score_is_refused() -> None:
    image = photo()
    with pytest.raises(BundleError, match="a score, or a vector of scores"):
        split(keras.Model(image, layers.Conv2D(1, 3)(image)))


@pytest.mark.parametrize(
    ("wiring", "says"),
    [
        (Wiring(scale="0..2"), "Unknown scale '0..2'. Known: none, 0..1"),
        (Wiring(size=SIZE + 1), "24 and 25 pixels"),
        (Wiring(roles={"foto": "images"}), "no input 'foto'. It has: photo, features"),
        (Wiring(roles={"photo": "picture"}), "cannot be 'picture'. Known: features, images, mask"),
        (Wiring(roles={"features": "mask"}), "do not fit: 'features' for 5"),
    ],
)
def test_a_wiring_that_contradicts_the_model_is_refused(wiring: Wiring, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        split(architectures.flat_layers(), wiring)


def test_any_number_of_images_must_be_told_how_many() -> None:
    with pytest.raises(SettingsError, match="'photos' takes any number of images: say by max_images"):
        split(architectures.any_number_of_images())


def test_vectors_of_scores_become_columns_with_names() -> None:
    assert made("several_branches_and_outputs")[1].outputs == ("prediction", "looks", "quantiles_0", "quantiles_1")
    model = made("several_branches_and_outputs")[0]
    assert split(model, outputs=["a", "b", "low", "prediction"]).outputs == ("prediction", "a", "b", "low")
    with pytest.raises(SettingsError, match="hold 4 scores, the names are a, prediction"):
        split(model, outputs=["a", "prediction"])


UNARY: dict[str, Any] = {
    "Absolute": ops.absolute,
    "Softmax": lambda x: ops.softmax(x, axis=-1),
    "Normalize": lambda x: ops.normalize(x, axis=-1),
    "ExpandDims": lambda x: ops.squeeze(ops.expand_dims(x, axis=-1), axis=-1),
    "Transpose": lambda x: ops.transpose(x, tuple(range(len(x.shape)))),
    "Concatenate": lambda x: ops.concatenate([x, x], axis=-1),
    "Multiply": lambda x: x * 0.5,
    "Add": lambda x: x + x,
    "GetItem": lambda x: x[..., :4] if len(x.shape) == 2 else x[:, :, :4],
    "Reshape": lambda x: ops.reshape(x, (-1, *x.shape[1:])),
    "Flip": lambda x: ops.flip(x, axis=-1),
    "Clip": lambda x: ops.clip(x, -1.0, 1.0),
    "Minimum": lambda x: ops.minimum(x, 0.3),
}


@settings(max_examples=8, deadline=None)
@each(st.lists(st.sampled_from(sorted(UNARY)), min_size=1, max_size=3), st.booleans(), st.integers(0, 2**16))
def test_whatever_elementwise_operations_follow_a_tower_the_halves_add_up(
    names: list[str], stacked: bool, seed: int
) -> None:
    keras.utils.set_random_seed(seed)
    images, given = (photos() if stacked else photo()), numbers()
    values = layers.TimeDistributed(tower())(images) if stacked else tower()(images)
    for name in names:
        values = UNARY[name](values)
    pooled = ops.mean(values, axis=1) if stacked else values
    found = split(keras.Model([images, given], head(ops.tanh(pooled), given)))
    assert found.not_reusable is None
    assert found.difference <= TOLERANCE
