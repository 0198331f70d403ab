"""Layers and generators of other people: subclasses, unregistered layers, functions."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_sagan import layers as own


class Standardised(layers.Conv2D):
    """A convolution with weight standardisation (Qiao et al., arXiv:1903.10520)."""

    def call(self, inputs):
        kernel = ops.convert_to_tensor(self.kernel)
        mean = ops.mean(kernel, axis=(0, 1, 2), keepdims=True)
        kernel = (kernel - mean) / (ops.std(kernel, axis=(0, 1, 2), keepdims=True) + 1e-5)
        return ops.conv(inputs, kernel, padding="same") + self.bias


def halved(base):
    """A subclass of a layer that gives half of what it gives; not registered."""

    class Halved(base):
        def call(self, inputs, **kwargs):
            return 0.5 * super().call(inputs, **kwargs)

    return Halved


def generator_of(*between, size=(4, 6)):
    """A generator of pictures of a size, with layers (or functions of a map) in the middle."""
    height, width = size
    latent = keras.Input((8,), name="latent")
    x = layers.Dense(height * width * 8)(latent)
    x = layers.Reshape((height, width, 8))(x)
    for layer in between:
        x = layer(x)
    image = layers.Conv2D(3, 1, activation="tanh", name="image")(x)
    generator = keras.Model({"latent": latent}, image)
    rng = np.random.default_rng(0)
    for variable in generator.variables:
        if len(variable.shape) < 2:  # not as they start; a variance must stay positive
            variable.assign(rng.uniform(0.2, 1.0, variable.shape))
    return generator


def _nested():
    inner = keras.Input((None, None, 8))
    x = layers.BatchNormalization()(Standardised(8, 3, padding="same")(inner))
    return keras.Model(inner, x)


class OwnArguments(layers.Layer):
    """Tells the arguments of its constructor and nothing else."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, inputs):
        return self.factor * inputs

    def get_config(self):
        return {"factor": self.factor}


class OwnModel(keras.Model):
    """A functional model of a class of its own, which computes something else."""

    def __init__(self, filters, **kwargs):
        inner = keras.Input((None, None, 8))
        x = layers.Lambda(lambda x: 2 * x)(layers.Conv2D(filters, 1)(inner))
        super().__init__(inner, x, **kwargs)
        self.filters = filters

    def call(self, inputs, **kwargs):
        return 0.5 * super().call(inputs, **kwargs)

    def get_config(self):
        return {"filters": self.filters, "name": self.name}


class NotFunctional(keras.Model):
    """A model whose layers are not a graph."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(8, 1)

    def call(self, inputs):
        return self.conv(inputs)


def _within_and_around():
    """A layer of a nested model that is used once more after it."""
    conv, inner = halved(layers.Conv2D)(8, 3, padding="same"), keras.Input((None, None, 8))
    return [keras.Model(inner, conv(inner)), layers.ReLU(), conv]


class HalvedNorm(own.ConditionalBatchNorm):
    """By classes, and half of what they give."""

    def call(self, inputs, labels, training=False):
        return 0.5 * super().call(inputs, labels, training)


def _by_class(x):
    return HalvedNorm(3)(x, labels=ops.argmax(x[:, 0, 0, :3], axis=-1))


class TwoOutputs(layers.Layer):
    """Gives its input, and its input once more."""

    def call(self, inputs):
        return inputs, 2.0 * inputs


CASES = {  # the first three are among the quick tests
    "weight standardisation": lambda: [
        Standardised(8, 3, padding="same"),
        layers.BatchNormalization(),
    ],
    "an unknown class in spectral norm": lambda: [
        own.SpectralNorm(halved(layers.Conv2D)(8, 3, padding="same")),
        own.BatchNorm(),
    ],
    "an unknown wrapper of an unknown class": lambda: [
        halved(own.SpectralNorm)(halved(layers.Conv2D)(8, 3, padding="same")),
    ],
    "a Lambda in a wrapper": lambda: [
        layers.TimeDistributed(layers.Lambda(lambda x: ops.sin(3 * x))),
    ],
    "a Lambda": lambda: [layers.Lambda(lambda x: ops.sin(3 * x)), layers.BatchNormalization()],
    "a nested model": lambda: [_nested(), layers.ReLU()],
    "weight standardisation in spectral norm": lambda: [
        own.SpectralNorm(Standardised(8, 3, padding="same")),
        own.BatchNorm(),
    ],
    "a nested sequence": lambda: [
        keras.Sequential([layers.Lambda(lambda x: 2 * x), halved(layers.Dense)(8)]),
    ],
    "a nested model of its own class": lambda: [OwnModel(8)],
    "a nested model that is not functional": lambda: [NotFunctional()],
    "a layer within a nested model and around it": _within_and_around,
    "a layer that is used twice": lambda: (
        (conv := halved(own.Conv2D)(8, 3))
        and [
            conv,
            layers.ReLU(),
            conv,
            layers.BatchNormalization(),
        ]
    ),
    "a config of its own arguments": lambda: [OwnArguments(2.0)],
    "two outputs": lambda: [TwoOutputs(), lambda pair: layers.Add()(list(pair))],
    **{
        f"a subclass of {base.__module__.partition('.')[0]}'s {base.__name__}": lambda make=make: [
            make(),
            layers.BatchNormalization(),
        ]
        for base, make in {
            layers.Conv2D: lambda: halved(layers.Conv2D)(8, 3, padding="same"),
            own.Conv2D: lambda: halved(own.Conv2D)(8, 3),
            layers.Dense: lambda: halved(layers.Dense)(8),
            layers.Conv2DTranspose: lambda: halved(layers.Conv2DTranspose)(8, 4, 2, "same"),
            own.Conv2DTranspose: lambda: halved(own.Conv2DTranspose)(8, 4),
            own.UpsampleConv2D: lambda: halved(own.UpsampleConv2D)(8),
            layers.UpSampling2D: lambda: halved(layers.UpSampling2D)(),
            layers.BatchNormalization: lambda: halved(layers.BatchNormalization)(),
            own.SelfAttention2D: lambda: halved(own.SelfAttention2D)(),
        }.items()
    },
    "a subclass of BatchNorm after a convolution": lambda: [
        layers.Conv2D(8, 3, padding="same"),
        halved(own.BatchNorm)(),
    ],
    "a subclass of ConditionalBatchNorm": lambda: [_by_class],
    "a subclass of SpectralNorm": lambda: [
        halved(own.SpectralNorm)(layers.Conv2D(8, 3, padding="same")),
    ],
}
PARAMETERS = [
    pytest.param(name, marks=[pytest.mark.slow] * (i >= 3)) for i, name in enumerate(CASES)
]
