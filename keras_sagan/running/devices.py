"""Which devices a run uses."""

import contextlib
import dataclasses
import os
import pathlib
import platform
import shutil
import sys

from keras_sagan.errors import InputError

STRATEGIES = ("auto", "default", "mirrored")


@dataclasses.dataclass(frozen=True)
class Devices:
    """Devices that share each batch.

    Args:
        names: What each is called.
        making: Function that returns the scope in which to make, compile and load a `GAN`.
        training: Function that returns the scope in which to train it and to draw pictures. On
            TensorFlow it is none: `fit` knows the strategy, and others would run on all devices.
    """

    names: tuple
    making: object = contextlib.nullcontext
    training: object = contextlib.nullcontext

    @property
    def count(self):
        """How many they are."""
        return len(self.names)

    def __str__(self):
        return f"device{'s' * (self.count > 1)}: {', '.join(self.names)}"


def choose_devices(strategy="auto"):
    """Returns the `Devices` of this machine that training uses.

    They are those of a `tf.distribute.MirroredStrategy` on TensorFlow, and of a
    `keras.distribution.DataParallel` on JAX; on PyTorch there is one. Where TensorFlow does not see
    an NVIDIA GPU that the machine has, standard error says what to install. (JAX says so itself.)

    Args:
        strategy: "default" is one device; "mirrored" is all (GPUs, on JAX TPUs too; else CPUs);
            "auto" is "mirrored" where there is more than one GPU or TPU.

    Raises:
        InputError: "mirrored" on PyTorch.
    """
    import keras

    of_backend = {"tensorflow": _of_tensorflow, "jax": _of_jax, "torch": _of_torch}
    return of_backend[keras.config.backend()](strategy)


def _of_torch(strategy):
    import torch

    if strategy == "mirrored":
        raise InputError(
            "a run on PyTorch has one device: give --strategy default, or set "
            "KERAS_BACKEND=tensorflow or jax"
        )
    on_gpu = torch.cuda.is_available()
    return Devices((torch.cuda.get_device_name() if on_gpu else processor_name(),))


def _of_jax(strategy):
    import jax
    import keras

    # JAX lists CPUs only where there is nothing else.
    kinds = [device.device_kind for device in jax.devices()]
    names = tuple(processor_name() if kind == "cpu" else kind for kind in kinds)
    several = len(kinds) > 1 and kinds[0] != "cpu"
    if strategy == "mirrored" or (strategy == "auto" and several):
        devices = keras.distribution.list_devices()
        scope = keras.distribution.DataParallel(devices=devices).scope
        return Devices(names, scope, scope)
    return Devices(names[:1])


def _of_tensorflow(strategy):
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if not gpus and _has_nvidia_gpu():
        print(f"warning: {_INSTALL}", file=sys.stderr)
    details = [
        tf.config.experimental.get_device_details(each)
        for each in tf.config.list_physical_devices("GPU")
    ]
    devices = gpus or tf.config.list_logical_devices("CPU")
    names = tuple(each.get("device_name", "GPU") for each in details) if gpus else ()
    if len(names) != len(devices):  # CPUs, or a GPU that was made into several devices
        names = tuple(names[:1] or (processor_name(),)) * len(devices)
    if strategy == "mirrored" or (strategy == "auto" and len(gpus) > 1):
        mirrored = tf.distribute.MirroredStrategy([device.name for device in devices])
        return Devices(names, making=mirrored.scope)
    return Devices(names[:1])


_INSTALL = "TensorFlow does not see the NVIDIA GPU of this machine, and trains on the CPU: " + (
    "on Windows it needs WSL2"
    if platform.system() == "Windows"
    else "pip install 'tensorflow[and-cuda]' (in a clone, pip install '.[cuda]')"
)


def _has_nvidia_gpu():
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and shutil.which("nvidia-smi") is not None  # comes with the driver


def processor_name():
    """Returns the name of the CPU."""
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
