"""What TensorFlow runs on."""

import functools
import os
import pathlib
import platform

import tensorflow as tf


def has_only_cpus():
    """Whether nothing but CPUs can run what is being built.

    A GPU counts even where `tf.config.set_visible_devices` hides it. So do TPUs, which are known
    from the strategy before they are listed, and every Apple machine, on which the CPU
    implementations were never measured.
    """
    kinds = {device.device_type for device in tf.config.list_physical_devices()}
    on_tpu = isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy)
    return kinds == {"CPU"} and not on_tpu and platform.system() != "Darwin"


@functools.cache
def emulates_bfloat16():
    """Whether products of bfloat16 are made without instructions for it (known on Linux alone).

    Either the CPU has none, or TensorFlow is told to do without oneDNN, which has the products:
    its own are summed in bfloat16.
    """
    processor = pathlib.Path("/proc/cpuinfo")
    if not processor.exists():
        return False
    told = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower() in ("0", "false")
    return "bf16" not in processor.read_text() or (told and platform.machine() == "x86_64")


# Of TensorFlow's own list of what makes it take oneDNN (tensorflow/core/util/util.cc).
_FOR_ONEDNN = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}


def leaves_onednn_off():
    """Whether TensorFlow does without oneDNN on this x86 CPU, unasked (known on Linux alone)."""
    asked = "TF_ENABLE_ONEDNN_OPTS" in os.environ
    processor = pathlib.Path("/proc/cpuinfo")
    if asked or platform.machine() != "x86_64" or not processor.exists():
        return False
    return _FOR_ONEDNN.isdisjoint(processor.read_text().split())
