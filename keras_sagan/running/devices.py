"""Which devices a run uses."""

import contextlib
import dataclasses

STRATEGIES = ("auto", "default", "mirrored")


@dataclasses.dataclass(frozen=True)
class Devices:
    """Devices that share each batch.

    Args:
        count: How many they are.
        scope: Function that returns the scope in which to make, compile and train a `GAN`.
    """

    count: int
    scope: object


def choose_devices(strategy="auto"):
    """Returns the `Devices` of this machine that training uses.

    They are those of a `tf.distribute.MirroredStrategy` on TensorFlow, and of a
    `keras.distribution.DataParallel` on JAX.

    Args:
        strategy: "default" is one device; "mirrored" is all (GPUs or TPUs, else CPUs); "auto" is
            "mirrored" where there is more than one GPU or TPU.
    """
    import keras

    if keras.config.backend() == "tensorflow":
        return _of_tensorflow(strategy)
    # JAX lists CPUs only where there is nothing else.
    devices = keras.distribution.list_devices()
    several = len(devices) > 1 and not devices[0].startswith("cpu")
    if strategy == "mirrored" or (strategy == "auto" and several):
        return Devices(len(devices), keras.distribution.DataParallel(devices=devices).scope)
    return Devices(1, contextlib.nullcontext)


def _of_tensorflow(strategy):
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if strategy == "mirrored" or (strategy == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        mirrored = tf.distribute.MirroredStrategy([device.name for device in devices])
        return Devices(mirrored.num_replicas_in_sync, mirrored.scope)
    return Devices(1, contextlib.nullcontext)
