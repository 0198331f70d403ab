"""A small GAN, and pictures to train it on."""

import itertools

import keras
import numpy as np

import keras_sagan
from keras_sagan import models

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, size=(64, 32, 32, 3)).astype("uint8")
LABELS = RNG.integers(0, 3, size=64).astype("int32")


def make_gan(num_classes=3, loss="hinge", compile=True, seed=0, **options):
    keras.utils.set_random_seed(1)
    shared = {"image_size": 32, "num_classes": num_classes, "width": 8, "attention": (8,)}
    gan = keras_sagan.GAN(
        models.DCGANGenerator(latent_dim=16, **shared),
        models.DCGANDiscriminator(**shared),
        seed=seed,
    )
    if compile:
        gan.compile(loss=loss, **options)
    return gan


def small_gan(**options):
    """A GAN of three classes whose networks have a layer or two, for pictures of 2x2."""
    keras.utils.set_random_seed(0)
    latent, image = keras.Input((4,), name="latent"), keras.Input((2, 2, 3), name="image")
    label = keras.Input((), dtype="int32", name="label")

    def of(x, units):
        embedded = keras.layers.Embedding(3, 4)(label)
        x = keras.layers.Concatenate()([keras.layers.Flatten()(x), embedded])
        return keras.layers.Dense(units)(x)

    pixels = keras.layers.BatchNormalization()(of(latent, 12))
    generator = keras.Model(
        {"latent": latent, "label": label}, keras.layers.Reshape((2, 2, 3))(pixels)
    )
    generator.num_classes = 3
    critic = keras.Model({"image": image, "label": label}, of(image, 1))
    gan = keras_sagan.GAN(generator, critic, seed=7)
    gan.compile(**options)
    return gan


def dataset(batch=8, labels=True, first=0):
    """Endless batches, from one on."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS) if labels else IMAGES)
        return data.repeat().batch(batch, drop_remainder=True).skip(first)
    arrays = (IMAGES, LABELS) if labels else (IMAGES,)
    rows = (np.arange(i * batch, (i + 1) * batch) % len(IMAGES) for i in itertools.count(first))
    return (tuple(array[i] for array in arrays) for i in rows)


def weights_of(model):
    return [np.array(w) for w in model.get_weights()]


def one_step(gan, labels=True):
    gan.fit(dataset(labels=labels), steps_per_epoch=1, verbose=0)


def tiny_gan(**options):
    """One of dense layers for pictures of 8x8 in three classes, made and traced in no time."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    label = keras.Input((), dtype="int32", name="label")
    latent = keras.Input((4,), name="latent")
    x = layers.Add()([latent, layers.Embedding(3, 4)(label)])
    image = layers.Reshape((8, 8, 3))(layers.Dense(8 * 8 * 3, activation="tanh")(x))
    generator = keras.Model({"latent": latent, "label": label}, image)
    generator.num_classes = 3
    image = keras.Input((8, 8, 3), name="image")
    logits = layers.Dense(1)(layers.Flatten()(image))
    logits = layers.Add()([logits, layers.Embedding(3, 1)(label)])
    gan = keras_sagan.GAN(generator, keras.Model({"image": image, "label": label}, logits))
    gan.compile(**options)
    return gan
