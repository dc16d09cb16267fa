"""Which devices a net is trained on: all GPUs that there are."""

import tensorflow as tf


def strategy() -> tf.distribute.Strategy:
    """Every batch is divided among the GPUs, each with a copy of the weights; with one, or none, nothing is copied."""
    devices = tf.config.list_logical_devices("GPU")
    if len(devices) < 2:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy([device.name for device in devices])
