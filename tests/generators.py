"""Generators in the state that training leaves, without training, and what they must draw."""

import keras
import numpy as np

from keras_sagan import models
from keras_sagan.sampling import generator_inputs, to_uint8


def trained(family="resnet", num_classes=3, attention=(16,), **options):
    """A small generator whose pictures differ by seed and class, and whose maps are not flat.

    No weight is as it starts: batch statistics, gains, gammas and sigmas matter.
    """
    keras.utils.set_random_seed(0)
    options = {"image_size": 32, "latent_dim": 8, "width": 8, **options}
    generator = models.FAMILIES[family][0](num_classes=num_classes, attention=attention, **options)
    rng = np.random.default_rng(0)
    for variable in generator.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.3, variable.shape))
    for layer in generator._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the statistics of the one batch below
    generator(generator_inputs(generator, range(32)), training=True)
    return generator


def tiny(num_classes=None):
    """A generator that is converted in a second."""
    inputs = {"latent": keras.Input((8,), name="latent")}
    x = inputs["latent"]
    if num_classes is not None:
        inputs["label"] = keras.Input((), dtype="int32", name="label")
        x = keras.layers.Add()([x, keras.layers.Embedding(num_classes, 8)(inputs["label"])])
    x = keras.layers.Dense(12, activation="tanh")(x)
    return keras.Model(inputs, keras.layers.Reshape((2, 2, 3))(x))


def levels(images):
    """The grey levels of pictures, which may be floats in [-1, 1]."""
    return (images if images.dtype == np.uint8 else np.asarray(to_uint8(images))).astype(int)


def check_same_pictures(images, expected):
    """At most one grey level apart, at least 99.9 % of the values equal."""
    assert images.dtype == expected.dtype == np.uint8
    difference = np.abs(images.astype(int) - expected.astype(int))
    assert difference.max() <= 1 and (difference == 0).mean() >= 0.999
