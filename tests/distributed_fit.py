"""Program of test_distribute.py: a few steps on one or two logical devices; prints JSON."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_sagan
from keras_sagan.distribute import make_strategy
from keras_sagan.layers import SpectralNorm
from keras_sagan.models import ResNetDiscriminator, ResNetGenerator

devices, loss = int(sys.argv[1]), sys.argv[2]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
keras.utils.set_random_seed(1)
strategy = make_strategy("mirrored" if devices > 1 else "default")
assert strategy.num_replicas_in_sync == devices
with strategy.scope():
    shared = {"image_size": 32, "num_classes": 3, "width": 4, "attention": (16,)}
    gan = keras_sagan.GAN(
        ResNetGenerator(latent_dim=8, synchronized=devices > 1, **shared),
        ResNetDiscriminator(**shared),
    )
    sgd = keras.optimizers.SGD(1e-2, use_ema=True, ema_momentum=0.5)
    gan.compile(sgd, keras.optimizers.SGD(1e-2), loss=loss)
rng = np.random.default_rng(0)
images = rng.integers(0, 256, size=(40, 32, 32, 3)).astype("uint8")
labels = rng.integers(0, 3, size=40).astype("int32")
data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
history = gan.fit(data.repeat(), epochs=5, steps_per_epoch=1, verbose=0, shuffle=False).history

copies = [
    [np.asarray(value) for value in strategy.experimental_local_results(layer.u.value)]
    for model in (gan.generator, gan.discriminator)
    for layer in model._flatten_layers()
    if isinstance(layer, SpectralNorm)
]
print(
    json.dumps(
        {
            "history": {name: history[name] for name in history if "second" not in name},
            "vectors": len(copies),
            "copies": sorted({len(values) for values in copies}),
            "u_is_equal": all((v == values[0]).all() for values in copies for v in values),
            "sample": gan.sample(range(4)).mean(axis=(1, 2, 3)).tolist(),
            "images_seen": gan.images_seen,
        }
    )
)
