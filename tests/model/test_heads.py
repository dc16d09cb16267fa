import hypothesis
import keras
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from scorer.model.fused import Recipe, build_head
from scorer.model.fusions import VECTOR_FUSIONS
from scorer.model.heads import images_head, late_head, numbers_head, selecting_head
from scorer.model.linear import LinearScore
from scorer.model.members import build_members, some_members

WIDTH, EMBEDDING, ROWS, IMAGES = 5, 6, 7, 4
OUTPUTS = ("prediction", "rent")
SHARES = np.array([[0, 0], [0.1, 0.2], [0.3, 0.2]], np.float32)


@pytest.fixture(scope="module")
def members() -> keras.Model:
    model = build_members(WIDTH, (4, 3), members=3, outputs=2, seed=1)
    model.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in model.get_weights()])
    return model


def score(beside: int = 0) -> LinearScore:
    random = np.random.default_rng(2)
    return LinearScore(random.normal(size=(EMBEDDING + beside, 2)), random.normal(size=2))


def given(seed: int = 0) -> dict[str, npt.NDArray[np.generic]]:
    """Listings with 0, 1, 2, ... of four places for images taken; NaN stands in the others."""
    random = np.random.default_rng(seed)
    mask = np.arange(IMAGES)[None] < (np.arange(ROWS) % (IMAGES + 1))[:, None]
    embeddings = np.where(mask[..., None], random.normal(size=(ROWS, IMAGES, EMBEDDING)), np.nan)
    features = random.normal(size=(ROWS, WIDTH)).astype(np.float32)
    return {"features": features, "embeddings": embeddings.astype(np.float32), "mask": mask}


def means(inputs: dict[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.float64]:
    """Of the images that are there, zeros without any: float64 [ROWS, EMBEDDING]."""
    embeddings, mask = inputs["embeddings"], inputs["mask"]
    return np.stack(
        [
            one[there].mean(axis=0) if there.any() else np.zeros(EMBEDDING)
            for one, there in zip(embeddings, mask, strict=True)
        ]
    )


def scores(head: keras.Model, inputs: dict[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.float32]:
    found = head(inputs)
    return np.stack([np.asarray(found[name]) for name in OUTPUTS], axis=1)


def test_a_numbers_head_is_the_mean_of_its_nets_whatever_the_images(members: keras.Model) -> None:
    head, inputs = numbers_head(WIDTH, EMBEDDING, members, OUTPUTS), given()
    expected = np.asarray(members(inputs["features"])).mean(axis=1)
    np.testing.assert_allclose(scores(head, inputs), expected, rtol=1e-5, atol=1e-6)


def test_nets_that_are_taken_out_of_many_give_what_they_gave_among_them(members: keras.Model) -> None:
    few = some_members(members, np.array([2, 0]), WIDTH, (4, 3))
    features = given()["features"]
    np.testing.assert_allclose(few(features), np.asarray(members(features))[:, [2, 0]], rtol=1e-5, atol=1e-6)


def test_nets_side_by_side_begin_with_weights_of_their_own_of_the_usual_size() -> None:
    kernel = build_members(64, (32,), members=4, outputs=1, seed=0).get_weights()[0]
    assert kernel.shape == (4, 64, 32)
    assert np.abs(kernel).max() == pytest.approx((6 / 96) ** 0.5, rel=0.02)
    assert len({net.tobytes() for net in kernel}) == 4


def test_an_images_head_is_linear_in_the_mean_of_the_images_that_are_there_and_without_any_says_what_is_usual() -> None:
    inputs, usual = given(), np.array([-7.0, 11.0])
    found = scores(images_head(WIDTH, EMBEDDING, score(), usual, OUTPUTS), inputs)
    there = np.asarray(inputs["mask"].any(axis=1))
    assert 0 < there.sum() < len(there)
    np.testing.assert_allclose(found[there], score()(means(inputs))[there], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[~there], np.broadcast_to(usual, found[~there].shape))


def test_the_late_gate_goes_its_share_of_the_way_to_what_images_and_numbers_say_together(members: keras.Model) -> None:
    inputs, opinion = given(), score(beside=2)
    numbers = scores(numbers_head(WIDTH, EMBEDDING, members, OUTPUTS), inputs)
    second = opinion(np.concatenate([means(inputs), numbers], axis=1))
    share = SHARES[np.minimum(inputs["mask"].sum(axis=1), 2)]
    found = scores(late_head(WIDTH, EMBEDDING, members, opinion, SHARES, OUTPUTS), inputs)
    np.testing.assert_allclose(found, numbers + share * (second - numbers), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def late_and_numbers(members: keras.Model) -> tuple[keras.Model, keras.Model]:
    late = late_head(WIDTH, EMBEDDING, members, score(beside=2), SHARES, OUTPUTS)
    return late, numbers_head(WIDTH, EMBEDDING, members, OUTPUTS)


@settings(deadline=None, max_examples=25)
@hypothesis.given(seed=st.integers(0, 2**32 - 1), size=st.floats(1e-3, 1e6))
def test_without_an_image_the_late_gate_gives_the_numbers_score_to_the_last_bit(
    late_and_numbers: tuple[keras.Model, keras.Model], seed: int, size: float
) -> None:
    inputs = {**given(seed), "mask": np.zeros((ROWS, IMAGES), np.bool_)}
    inputs["features"] = np.asarray(inputs["features"], np.float32) * np.float32(size)
    late, numbers = late_and_numbers
    np.testing.assert_array_equal(scores(late, inputs), scores(numbers, inputs))


@pytest.mark.parametrize("fusion", VECTOR_FUSIONS)
def test_where_there_is_no_image_the_numbers_alone_have_the_word(members: keras.Model, fusion: str) -> None:
    inputs = given()
    one = some_members(members, np.arange(3), WIDTH, (4, 3))
    recipe = Recipe("convolutions", (4,), EMBEDDING, "dense", (8, 6), (8,))
    heads = [build_head(WIDTH, EMBEDDING, recipe, fusion) for _ in range(2)]
    first = ("prediction",)
    alone = np.asarray(numbers_head(WIDTH, EMBEDDING, one, OUTPUTS)(inputs)["prediction"])
    each = np.mean([np.asarray(head(inputs)["prediction"]) for head in heads], axis=0)
    found = np.asarray(selecting_head(WIDTH, EMBEDDING, one, heads, first)(inputs)["prediction"])
    none = ~inputs["mask"].any(axis=1)
    np.testing.assert_array_equal(found[none], alone[none])
    np.testing.assert_allclose(found[~none], each[~none], rtol=1e-5, atol=1e-6)
    assert np.isfinite(found).all()
