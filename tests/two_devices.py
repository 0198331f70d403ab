"""Runs a program of the repository on two logical CPUs: two_devices.py PROGRAM ARGUMENT ..."""

import runpy
import sys

from keras_sagan.cli.quiet import start_backend

start_backend()
import tensorflow as tf  # noqa: E402  only now, or it would say that it starts

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
