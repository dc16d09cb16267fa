"""A net on several devices; here two halves of the CPU, since GPUs are rare where tests run."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from scorer.training.devices import evenly, strategy
from tests.training.listings import rows_with_images, write_listings

LISTINGS = 60


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("market")
    write_listings(folder, rows_with_images(folder, LISTINGS))
    command = [sys.executable, "-m", "tests.training.replicas", str(folder)]
    done = subprocess.run(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    trained: dict[str, Any] = json.loads(done.stdout)
    return trained


def test_two_devices_learn_what_one_learns_from_the_same_batches(found: dict[str, Any]) -> None:
    one, two = found["one"], found["two"]
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert len(one["curves"]["fused"][0]) == 4
    for name in ("numbers only", "fused"):
        np.testing.assert_allclose(two["curves"][name], one["curves"][name], rtol=1e-4)
    for name, errors in one["metrics"]["test"].items():
        assert two["metrics"]["test"][name]["mape"] == pytest.approx(errors["mape"], rel=1e-3), name


def test_a_training_on_two_devices_that_was_killed_goes_on_and_ends_with_the_same_bundle(found: dict[str, Any]) -> None:
    assert found["killed"]["kills"] == 1
    assert found["killed"]["curves"]["fused"] == found["two"]["curves"]["fused"]
    assert found["killed"]["digest"] == found["two"]["digest"]


def test_what_is_left_to_chance_works_on_two_devices_too(found: dict[str, Any]) -> None:
    assert found["chance"]["replicas"] == 2
    training, validation = np.array(found["chance"]["curves"]["images only"])
    assert training[-1] < training[0]
    assert np.isfinite(validation).all()


@pytest.mark.parametrize(("rows", "replicas", "wanted"), [(32, 1, 32), (32, 3, 30), (7, 2, 6), (1, 2, 2)])
def test_rows_are_divided_into_equal_parts(rows: int, replicas: int, wanted: int) -> None:
    assert evenly(rows, replicas) == wanted


def test_without_several_gpus_nothing_is_copied() -> None:
    assert strategy().num_replicas_in_sync == 1
