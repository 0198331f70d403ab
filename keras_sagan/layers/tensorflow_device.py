"""What TensorFlow runs on."""

import functools

import tensorflow as tf


@functools.cache
def on_cpu():
    """Whether TensorFlow has no GPU."""
    return not tf.config.list_physical_devices("GPU")
