from typing import Any

import keras
import numpy as np
import pytest

from scorer.model.recipe import Recipe
from scorer.model.stages import stages, train_last
from scorer.model.towers import build_tower


def tower(name: str, **changes: Any) -> keras.Model:
    return build_tower(32, "0..1", Recipe(name, (4, 8), 0 if name != "convolutions" else 5, "dense", (), (), **changes))


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("lite0", ["stem", *(f"stage{place}" for place in range(1, 8)), "top"]),
        ("convolutions", ["convolution_0", "convolution_1", "embedding"]),
        ("efficientnet_v2_b0", ["block5", "block6", "top_conv"]),
        ("mobilenet_v3_small", ["block9", "block10", "conv_1"]),
    ],
)
def test_a_towers_stages_follow_from_the_names_of_its_layers(name: str, last: list[str]) -> None:
    found = [stage for stage, layers in stages(tower(name)) if any("bn" not in layer.name for layer in layers)]
    assert found[-len(last) :] == last


def test_only_the_last_stages_are_trained() -> None:
    net = tower("lite0", trained_stages=2)
    assert {variable.path.split("/")[0].split("_")[0] for variable in net.trainable_variables} == {"stage7", "top"}


def test_a_tower_that_is_frozen_has_nothing_to_train() -> None:
    assert not tower("lite0", trained_stages=0).trainable_variables


def test_normalisation_keeps_its_statistics() -> None:
    net = tower("mobilenet_v3_small")
    train_last(net, 3)
    before = [weight.numpy() for weight in net.non_trainable_variables]
    net(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8), training=True)
    for old, weight in zip(before, net.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(old, weight.numpy())
