"""Program of test_devices.py: a few steps and sheets on one virtual device, then on two.

Prints JSON.
"""

import json
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_sagan
from keras_sagan.layers import SpectralNorm
from keras_sagan.models import FAMILIES
from keras_sagan.running.callbacks import SampleSheets
from keras_sagan.running.devices import choose_devices

ON_TENSORFLOW = keras.config.backend() == "tensorflow"
if ON_TENSORFLOW:  # for JAX the test sets a flag
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def copies(gan, variable):
    """Its values on all devices."""
    if ON_TENSORFLOW:
        values = gan.distribute_strategy.experimental_local_results(variable.value)
    else:
        values = [shard.data for shard in variable.value.addressable_shards]
    return [np.asarray(value) for value in values]


def fit(family, loss, count, devices):
    """What a test asks of a training on as many devices."""
    keras.utils.set_random_seed(1)
    chosen = choose_devices("mirrored" if devices > 1 else "default")
    assert chosen.count == devices
    with chosen.making():
        generator, discriminator = FAMILIES[family]
        shared = {"image_size": 32, "num_classes": 3, "width": 4, "attention": (8,)}
        synchronized = ON_TENSORFLOW and devices > 1
        gan = keras_sagan.GAN(
            generator(latent_dim=8, synchronized=synchronized, **shared), discriminator(**shared)
        )
        # Small enough that rounding, which differs with the devices, does not grow.
        gan.compile(keras.optimizers.SGD(1e-4), keras.optimizers.SGD(1e-4), loss=loss, ema=0.5)
    with chosen.training():
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, size=(count, 32, 32, 3)).astype("uint8")
        labels = rng.integers(0, 3, size=count).astype("int32")
        options = {"batch_size": 8, "verbose": 0, "shuffle": False}
        history = gan.fit(images, labels, epochs=5, steps_per_epoch=1, **options).history
        sample = gan.sample(range(3))  # no multiple of the devices
        with tempfile.TemporaryDirectory() as folder:
            sheets = SampleSheets(gan, Path(folder), Path(folder), rows=3, columns=1)(5)
            assert len(sheets) == 2 and all(path.exists() for path in sheets)

    vectors = [
        copies(gan, layer.u)
        for model in (gan.generator, gan.discriminator)
        for layer in model._flatten_layers()
        if isinstance(layer, SpectralNorm)
    ]
    return {
        "history": {name: history[name] for name in history if "second" not in name},
        "vectors": len(vectors),
        "copies": sorted({len(values) for values in vectors}),
        "u_is_equal": all((v == values[0]).all() for values in vectors for v in values),
        "sample": sample.mean(axis=(1, 2, 3)).tolist(),
        "images_seen": gan.images_seen,
    }


family, loss, count = sys.argv[1:]
print(json.dumps([fit(family, loss, int(count), devices) for devices in (1, 2)]))
