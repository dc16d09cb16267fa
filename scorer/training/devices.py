"""Which devices a net is trained on: all GPUs that there are."""

from functools import cache

import tensorflow as tf


def strategy(kind: str = "GPU") -> tf.distribute.Strategy:
    """Every batch is divided among the GPUs, each with a copy of the weights; with one, or none, nothing is copied.

    Args:
        kind: of the devices, as TensorFlow names it.
    """
    devices = tf.config.list_logical_devices(kind)
    return _mirrored(tuple(device.name for device in devices)) if len(devices) > 1 else tf.distribute.get_strategy()


@cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # One in a process: each new one numbers its sums over devices from the same number on, and TensorFlow keeps the
    # shapes of those of the first, so that a net of another shape was refused.
    return tf.distribute.MirroredStrategy(devices)


def evenly(rows: int, replicas: int) -> int:
    """As many of the rows as give each replica the same number of them, at least one.

    Keras takes the mean over the replicas of each one's mean loss: of unequal parts the rows would count unequally.
    """
    return max(rows - rows % replicas, replicas)
