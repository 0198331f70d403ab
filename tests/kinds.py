"""Generators and discriminators of all Keras kinds, for pictures of 2x2."""

import keras
import numpy as np
import pytest
from keras import layers, ops

CLASSES = 3


class Scaled(layers.Layer):
    """A layer that nobody registered."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape):
        self.bias = self.add_weight(shape=shape[-1:], name="bias")

    def call(self, inputs):
        return self.factor * inputs + self.bias


def body(units, shape):
    """The layers of either network, behind its inputs as one vector."""
    norm = [layers.BatchNormalization()] if units > 1 else []  # of the generator
    return [layers.Dense(units), Scaled(0.5), *norm, layers.Reshape(shape)]


class Own(keras.Model):
    """A network of a class of its own, with arguments and without a `get_config`."""

    def __init__(self, units, shape, classes=CLASSES):
        super().__init__()
        self.embedding = layers.Embedding(classes, 4) if classes else None
        self.body = body(units, shape)

    def run(self, x, label=None):
        x = ops.reshape(x, (ops.shape(x)[0], int(np.prod(x.shape[1:]))))
        if label is not None:
            x = ops.concatenate([x, self.embedding(label)], -1)
        for layer in self.body:
            x = layer(x)
        return x


class OfTensor(Own):
    def call(self, inputs):
        return self.run(inputs)


class OfList(Own):
    def call(self, inputs):
        x, label = inputs
        return self.run(x, label)


class OfDictionary(Own):
    def call(self, inputs):
        x = inputs["latent"] if "latent" in inputs else inputs["image"]
        return self.run(x, inputs["label"])


class OfTwo(Own):
    def call(self, x, label, training=None):
        return self.run(x, label)


def functional(structure):
    """Networks of graphs, whose inputs are what `structure` makes of an input and a label."""

    def of(shape, units, output, label):
        x = keras.Input(shape)
        flat = layers.Flatten()(x)
        if label is not None:
            flat = layers.Concatenate()([flat, layers.Flatten()(layers.Embedding(3, 4)(label))])
        for layer in body(units, output):
            flat = layer(flat)
        return keras.Model(structure(x, label), flat)

    return of


class OfGraph(keras.Model):
    """A functional model of a class of its own, which makes its graph of its arguments."""

    def __init__(self, shape, units, output):
        x = keras.Input(shape, name="latent" if len(shape) == 1 else "image")
        y = layers.Flatten()(x)
        for layer in body(units, output):
            y = layer(y)
        super().__init__({x.name: x}, y)


class DoublesItsGraph(OfGraph):
    def call(self, inputs, **kwargs):
        return 2 * super().call(inputs, **kwargs)


class OwnSequence(keras.Sequential):
    def __init__(self, units, output):
        super().__init__([layers.Flatten(), *body(units, output)])


def of_graphs(generator):
    return generator((4,), 12, (2, 2, 3)), OfGraph((2, 2, 3), 1, (1,))


def own_sequences():
    generator = OwnSequence(12, (2, 2, 3))
    generator.latent_dim = 4
    return generator, OwnSequence(1, (1,))


def graphs(structure, label=lambda: keras.Input((), dtype="int32")):
    of = functional(structure)
    generator = of((4,), 12, (2, 2, 3), label())
    generator.num_classes = CLASSES
    return generator, of((2, 2, 3), 1, (1,), label())


def sequential(build):
    generator = keras.Sequential(body(12, (2, 2, 3)))
    if build:
        generator(np.zeros((2, 4), "float32"))
    else:
        generator.latent_dim = 4
    return generator, keras.Sequential([layers.Flatten(), *body(1, (1,))])


def own(kind, build=None):
    generator, critic = kind(12, (2, 2, 3)), kind(1, (1,))
    if build is None:
        generator.latent_dim, generator.num_classes = 4, CLASSES
    else:
        generator.num_classes = CLASSES
        generator(*build(np.zeros((2, 4), "float32"), np.zeros(2, "int32")))
        critic(*build(np.zeros((2, 2, 2, 3), "float32"), np.zeros(2, "int32")))
    return generator, critic


def own_of_tensors():
    generator = OfTensor(12, (2, 2, 3), classes=None)
    generator.latent_dim = 4
    return generator, OfTensor(1, (1,), classes=None)


# How the networks are made, and how a generator is called on latents and labels.
KINDS = {
    "Sequential": (lambda: sequential(build=True), lambda x, label: [x]),
    "its own class, of two arguments": (lambda: own(OfTwo), lambda x, label: [x, label]),
    "a list": (lambda: graphs(lambda x, label: [x, label]), lambda x, label: [[x, label]]),
    "a list of label (batch, 1) and latent": (
        lambda: graphs(lambda x, label: [label, x], lambda: keras.Input((1,))),
        lambda x, label: [[label[:, None], x]],
    ),
    "a dictionary of other names": (
        lambda: graphs(lambda x, label: {"a": label, "z": x}),
        lambda x, label: [{"a": label, "z": x}],
    ),
    "one tensor": (
        lambda: tuple(
            functional(lambda x, _: x)(*shapes, None)
            for shapes in (((4,), 12, (2, 2, 3)), ((2, 2, 3), 1, (1,)))
        ),
        lambda x, label: [x],
    ),
    "Sequential, not built": (lambda: sequential(build=False), lambda x, label: [x]),
    "its own class, of one tensor": (own_of_tensors, lambda x, label: [x]),
    "its own class, of a list": (lambda: own(OfList), lambda x, label: [[x, label]]),
    "its own class, of a dictionary": (
        lambda: own(OfDictionary),
        lambda x, label: [{"latent": x, "label": label}],
    ),
    "its own class, of a graph": (lambda: of_graphs(OfGraph), lambda x, label: [{"latent": x}]),
    "its own class, of more than a graph": (
        lambda: of_graphs(DoublesItsGraph),
        lambda x, label: [{"latent": x}],
    ),
    "its own class, a Sequential": (own_sequences, lambda x, label: [x]),
    "its own class, of a list, built": (
        lambda: own(OfList, lambda x, label: [[x, label]]),
        lambda x, label: [[x, label]],
    ),
    "its own class, of two arguments, built": (
        lambda: own(OfTwo, lambda x, label: [x, label]),
        lambda x, label: [x, label],
    ),
}
PARAMETERS = [
    pytest.param(name, marks=[pytest.mark.slow] * (i >= 2)) for i, name in enumerate(KINDS)
]
