"""Program of test_augmentation.py: four steps on one virtual device, then on two. Prints JSON."""

import json

import keras
import numpy as np
from gans import tiny_gan
from keras import ops

from keras_sagan.adversarial.augmentation import Augmentation
from keras_sagan.adversarial.regularizers import LeCam, R1Penalty
from keras_sagan.running.devices import choose_devices

if keras.config.backend() == "tensorflow":  # for JAX the test sets a flag
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

rng = np.random.default_rng(0)
# On JAX devices share a batch equally; on TensorFlow they need not, as of the last 3 images.
IMAGES = rng.uniform(-1, 1, (28 if keras.config.backend() == "jax" else 27, 8, 8, 3))
LABELS = np.arange(len(IMAGES)) % 3


def fit(devices):
    """What a training on so many devices leaves."""
    chosen = choose_devices("mirrored" if devices > 1 else "default")
    assert chosen.count == devices
    with chosen.making():
        lecam = LeCam(decay=0.5)
        gan = tiny_gan(
            generator_optimizer=keras.optimizers.SGD(1e-3),
            discriminator_optimizer=keras.optimizers.SGD(1e-3),
            augmentation=Augmentation(target=-0.3, adapt_images=40),
            regularizers=[R1Penalty(0.1, every=2), lecam],
        )
    options = {"batch_size": 8, "epochs": 4, "steps_per_epoch": 1, "shuffle": False, "verbose": 0}
    with chosen.training():
        history = gan.fit(IMAGES, LABELS, **options).history
    return {
        "probabilities": history["augmentation_probability"],
        "history": [history[f"{network}_loss"] for network in ("discriminator", "generator")],
        "averages": ops.convert_to_numpy(lecam.averages).tolist(),
        "weights": [float(np.abs(w).sum()) for w in gan.generator.get_weights()],
    }


print(json.dumps([fit(devices) for devices in (1, 2)]))
