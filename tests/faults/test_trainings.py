"""Two trainings of what `make kills` does at length: the real command line, SIGKILL, the same bundle in the end."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import Zygote
from tests.faults.trainings import Training, trainer


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("market")


@pytest.fixture(scope="module")
def children(market: Path) -> Iterator[Zygote]:
    with trainer(market) as children:
        yield children


def test_a_training_killed_while_embedding_fitting_and_writing_ends_with_the_undisturbed_bundle(
    market: Path, children: Zygote
) -> None:
    chance = random.Random(7)
    training = Training(market, children, "frozen")
    training.killed("read", chance.random())
    training.killed("embed", chance.uniform(0.3, 0.7))
    after_embedding = training.killed("fit", 0.7)
    after_fitting = training.killed("bundle", chance.uniform(0.2, 0.5))
    assert list(training.place.iterdir()), "a part of the bundle is written"
    assert training.visible() is None
    training.killed("clear", 0.3)
    training.finished()
    assert not training.broken
    assert training.kills == {"read": 1, "embed": 1, "fit": 1, "bundle": 1, "clear": 1}
    assert "epoch 1," in after_embedding
    assert "epoch 1," not in after_fitting, "a fit goes on from its last checkpoint"


def test_a_training_of_an_image_tower_killed_between_checkpoints_goes_on_and_ends_with_the_undisturbed_bundle(
    market: Path, children: Zygote
) -> None:
    training = Training(market, children, "trained")
    training.killed("fit", 0.8)
    after = training.finished()
    assert not training.broken
    assert training.kills == {"fit": 1}
    assert "fused: epoch 1," in training.calm.text()
    assert "fused: epoch 1," not in after
    assert "fused: epoch 7," in after
