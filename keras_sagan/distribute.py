"""Which tf.distribute strategy a run uses."""

STRATEGIES = ("auto", "default", "mirrored")


def make_strategy(name="auto"):
    """Returns a `tf.distribute.Strategy`.

    Args:
        name: "default" is one device; "mirrored" is all devices of this machine (GPUs, else
            CPUs); "auto" is "mirrored" where there is more than one GPU.
    """
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()
