"""Trains on one and on two devices, both of them this CPU, and prints what came out: `python -m ... FOLDER`.

Devices are divided before TensorFlow has looked at them, so it takes a process of its own.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from scorer.objectstore import ObjectStore
from scorer.training import procedure, state
from scorer.training.curves import Curve, Journal
from scorer.training.devices import strategy
from scorer.training.train import train
from tests.training.listings import job

PLAIN: dict[str, Any] = {"fusion": "concat", "augmentation": (), "image_dropout": 0.0}
"""Without chance: what is drawn differs with the number of rows that a device gets."""

WITH_CHANCE: dict[str, Any] = {"fusion": "late_gate", "augmentation": ("flip", "crop", "colour", "blur", "jpeg")}


class Killed(BaseException):
    """As if by a signal."""


def run(folder: Path, name: str, devices: str, killed_at: int | None = None, **settings: Any) -> dict[str, Any]:
    """One training; `killed_at`: it dies after this pass of the whole net and is started again."""
    kept: dict[str, Curve] = {}
    found = {"replicas": 0, "kills": 0}

    def built(kind: str) -> tf.distribute.Strategy:
        made = strategy(kind)
        found["replicas"] = made.num_replicas_in_sync
        return made

    def tell(self: Journal, what: str, curve: Curve) -> None:
        kept[what] = curve
        if what == "fused" and curve.passes == killed_at and not found["kills"]:
            found["kills"] += 1
            raise Killed

    wanted = job(folder, bundle=str(folder / name), state=str(folder / f"{name}.state"), **settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "SECONDS_BETWEEN", 0.0)
        patch.setattr(procedure, "strategy", partial(built, devices))
        patch.setattr(Journal, "tell", tell)
        try:
            report = train(wanted, ObjectStore(), lambda line: None)
        except Killed:
            report = train(wanted, ObjectStore(), lambda line: None)
    told = {what: [curve.training, curve.validation] for what, curve in kept.items()}
    return {**found, "curves": told, "metrics": report.metrics, "digest": report.digest}


def main(folder: Path) -> None:
    """The trainings that test_devices.py compares."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    quick: dict[str, Any] = {"epochs": 4, "patience": 9, "learning_rate": 3e-3, "batch_rows": 8, "interval": 0.5}
    found = {
        "one": run(folder, "one", "GPU", **PLAIN, **quick),
        "two": run(folder, "two", "CPU", **PLAIN, **quick),
        "killed": run(folder, "killed", "CPU", killed_at=2, **PLAIN, **quick),
        "chance": run(folder, "chance", "CPU", **WITH_CHANCE, **quick),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
