"""What TensorFlow runs on."""

import functools
import pathlib

import tensorflow as tf


@functools.cache
def on_cpu():
    """Whether TensorFlow has no GPU."""
    return not tf.config.list_physical_devices("GPU")


@functools.cache
def emulates_bfloat16():
    """Whether it runs on a CPU without instructions for bfloat16 (known on Linux alone)."""
    processor = pathlib.Path("/proc/cpuinfo")
    return on_cpu() and processor.exists() and "bf16" not in processor.read_text()
