"""Small SAGANs in Keras 2 with the real `tfa.layers.SpectralNormalization`, run in .venv-addons.

    PYTHONPATH=tests/importing .venv-addons/bin/python tests/addons/keras2.py train FOLDER
    PYTHONPATH=tests/importing .venv-addons/bin/python tests/addons/keras2.py record FOLDER

`train` takes a few steps, so that the kernels have moved since the wrapper last normalised them,
and writes for each network FOLDER/<network>.h5, the TensorFlow checkpoint FOLDER/<network> and
FOLDER/<network>.npz: what it computes then; and for each pair a checkpoint FOLDER/<shape>. `record`
writes tests/importing/fixtures/tfa_*.npz: what the networks compute when filled from names and
seeds, and how their files, which it leaves in FOLDER, are laid out.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import h5py
import numpy as np
import tensorflow as tf
from tensorflow_addons.layers import SpectralNormalization
from tfa_values import LATENT, inputs_of, thinned, values_of

layers = tf.keras.layers
STEPS, BATCH = 4, 4
FIXTURES = Path(__file__).parents[1] / "importing/fixtures"


class Attention(layers.Layer):
    """Self-attention of named 1x1 convolutions in the order of the roles.

    Args:
        roles: Name -> role; a role "output" adds the projection, values of half the channels and
            pooled keys and values.
        wrapped: Whether the convolutions are spectrally normalised.
    """

    def __init__(self, roles, wrapped=False):
        super().__init__()
        self.roles, self.wrapped = roles, wrapped
        self.projects = "output" in roles.values()

    def build(self, shape):
        channels = shape[-1]
        filters = {"query": channels // 8, "key": channels // 8, "output": channels}
        filters["value"] = channels // 2 if self.projects else channels
        for name, role in self.roles.items():
            setattr(self, name, self.convolution(name, channels, filters[role]))
        self.gamma = self.add_weight(
            name="gamma", shape=(), initializer=tf.keras.initializers.Constant(0.5)
        )

    def convolution(self, name, channels, filters):
        layer = layers.Conv2D(filters, 1, use_bias=not self.projects, name=name)
        return SpectralNormalization(layer, name=name) if self.wrapped else layer

    def call(self, x):
        height, width = x.shape[1:3]
        convs = {role: getattr(self, name) for name, role in self.roles.items()}
        query, key, value = (convs[role](x) for role in ("query", "key", "value"))
        if self.projects:
            key, value = (
                tf.nn.max_pool2d(key, 2, 2, "VALID"),
                tf.nn.max_pool2d(value, 2, 2, "VALID"),
            )
        query, key, value = (
            tf.reshape(y, (-1, y.shape[1] * y.shape[2], y.shape[3])) for y in (query, key, value)
        )
        self.map = tf.nn.softmax(tf.matmul(query, key, transpose_b=True))
        y = tf.reshape(tf.matmul(self.map, value), (-1, height, width, value.shape[-1]))
        if self.projects:
            y = convs["output"](y)
        return self.gamma * y + x


class OwnKernels(Attention):
    """Self-attention with kernels of the layer itself, as much copied code has it."""

    def convolution(self, name, channels, filters):
        kernel = self.add_weight(name=f"kernel_{name}", shape=(1, 1, channels, filters))
        bias = self.add_weight(name=f"bias_{name}", shape=(filters,))
        setattr(self, f"kernel_{name}", kernel)
        setattr(self, f"bias_{name}", bias)
        return lambda x: tf.nn.conv2d(x, kernel, 1, "VALID") + bias


class Chain(tf.keras.Model):
    """A subclassed model: layers as attributes, whose names do not sort as they are called."""

    def __init__(self, chain, name):
        super().__init__(name=name)
        self.attributes = [f"{type(layer).__name__}{i}" for i, layer in enumerate(chain)]
        for attribute, layer in zip(self.attributes, chain, strict=True):
            setattr(self, attribute, layer)

    def call(self, x):
        for attribute in self.attributes:
            x = getattr(self, attribute)(x)
        return x


def norm():
    return layers.BatchNormalization(momentum=0.5)


def conv(filters, size=4, strides=2, padding="same", **kwargs):
    return SpectralNormalization(layers.Conv2D(filters, size, strides, padding, **kwargs))


def transposed(filters, strides=2, padding="same", **kwargs):
    return SpectralNormalization(layers.Conv2DTranspose(filters, 4, strides, padding, **kwargs))


QUERY_KEY_VALUE = {"query": "query", "key": "key", "value": "value"}
NAMELESS = {"a": "query", "b": "key", "c": "value"}
F_G_H = {"f": "key", "g": "query", "h": "value"}
OFFICIAL = {"sn_theta": "query", "sn_phi": "key", "sn_g": "value", "sn_attn": "output"}


def dcgan32_generator():
    return tf.keras.Sequential(
        [
            tf.keras.Input((LATENT,)),
            layers.Reshape((1, 1, LATENT)),
            *(transposed(32, 1, "valid"), norm(), layers.ReLU()),
            *(transposed(16), norm(), layers.ReLU(), Attention(QUERY_KEY_VALUE)),
            *(transposed(8), norm(), layers.ReLU(), Attention(NAMELESS, wrapped=True)),
            layers.Conv2DTranspose(3, 4, 2, "same", activation="tanh"),
        ]
    )


def dcgan32_discriminator():
    return tf.keras.Sequential(
        [
            tf.keras.Input((32, 32, 3)),
            *(conv(8), layers.LeakyReLU(0.1)),
            *(conv(16), layers.LeakyReLU(0.1), Attention(NAMELESS)),
            *(conv(32), layers.LeakyReLU(0.1), Attention(QUERY_KEY_VALUE, wrapped=True)),
            *(layers.Conv2D(1, 4), layers.Flatten()),
        ]
    )


def dcgan64_generator():
    chain = [
        SpectralNormalization(layers.Dense(4 * 4 * 64, use_bias=False)),
        *(layers.Reshape((4, 4, 64)), norm(), layers.ReLU()),
        *(transposed(32, use_bias=False), norm(), layers.ReLU()),
        *(transposed(16, use_bias=False), norm(), layers.ReLU(), OwnKernels(F_G_H)),
        *(transposed(8, use_bias=False), norm(), layers.ReLU()),
        *(transposed(3), layers.Activation("tanh")),
    ]
    return Chain(chain, "generator")


def dcgan64_discriminator():
    chain = [
        *(conv(8), layers.LeakyReLU(0.1)),
        *(conv(16), layers.LeakyReLU(0.1), Attention(F_G_H, wrapped=True)),
        *(conv(32), layers.LeakyReLU(0.1)),
        *(conv(64), layers.LeakyReLU(0.1)),
        *(layers.Flatten(), SpectralNormalization(layers.Dense(1))),
    ]
    return Chain(chain, "discriminator")


def resnet32_generator():
    def block(x):
        shortcut = layers.UpSampling2D()(conv(16, 1, 1)(x))
        x = layers.UpSampling2D()(layers.ReLU()(norm()(x)))
        x = layers.ReLU()(norm()(conv(16, 3, 1)(x)))
        return layers.Add()([conv(16, 3, 1)(x), shortcut])

    inputs = tf.keras.Input((LATENT,))
    x = layers.Reshape((4, 4, 16))(SpectralNormalization(layers.Dense(4 * 4 * 16))(inputs))
    x = Attention(OFFICIAL, wrapped=True)(block(block(x)))
    x = layers.ReLU()(norm()(block(x)))
    return tf.keras.Model(inputs, layers.Activation("tanh")(conv(3, 3, 1)(x)))


def resnet32_discriminator():
    def block(x, halves, first=False):
        shortcut = x
        if halves:
            shortcut = conv(16, 1, 1)(layers.AveragePooling2D()(x))
        if not first:
            x = layers.ReLU()(x)
        x = conv(16, 3, 1)(layers.ReLU()(conv(16, 3, 1)(x)))
        if halves:
            x = layers.AveragePooling2D()(x)
        return layers.Add()([x, shortcut])

    inputs = tf.keras.Input((32, 32, 3))
    x = Attention(OFFICIAL, wrapped=True)(block(inputs, True, first=True))
    x = layers.ReLU()(block(block(block(x, True), False), False))
    x = tf.reduce_sum(x, (1, 2))
    return tf.keras.Model(inputs, SpectralNormalization(layers.Dense(1))(x))


NETWORKS = {
    "dcgan32": (dcgan32_generator, dcgan32_discriminator),
    "dcgan64": (dcgan64_generator, dcgan64_discriminator),
    "resnet32": (resnet32_generator, resnet32_discriminator),
}


def built(shape, role):
    """A network with its weights, and an optimizer, whose state goes into the checkpoint."""
    tf.keras.backend.clear_session()
    network = NETWORKS[shape][role == "discriminator"]()
    network(inputs_of(shape, role))
    network.compile(tf.keras.optimizers.Adam(2e-3, beta_1=0.0))
    return network


def computed(network, inputs):
    """Outputs at inference, and the attention maps."""
    arrays = {"inputs": inputs, "outputs": network(inputs, training=False)}
    maps = [layer for layer in network.layers if isinstance(layer, Attention)]
    return {**arrays, **{f"map{i}": layer.map for i, layer in enumerate(maps)}}


def train(folder):
    tf.keras.utils.set_random_seed(0)
    for shape in NETWORKS:
        pair = {role: built(shape, role) for role in ("generator", "discriminator")}
        take_steps(*pair.values(), int(shape[-2:]))
        for role, network in pair.items():
            path = folder / f"{shape}_{role}"
            np.savez(path.with_suffix(".npz"), **computed(network, inputs_of(shape, role)))
            network.save_weights(path.with_suffix(".h5"))
            network.save_weights(path)
        optimizers = {f"{role}_optimizer": network.optimizer for role, network in pair.items()}
        tf.train.Checkpoint(step=tf.Variable(STEPS), **optimizers, **pair).write(folder / shape)


def take_steps(generator, discriminator, size):
    """Steps with the hinge loss on random pictures."""
    for _ in range(STEPS):
        real = tf.random.uniform((BATCH, size, size, 3), -1, 1)
        latents = tf.random.normal((BATCH, LATENT))
        with tf.GradientTape(persistent=True) as tape:
            fake = generator(latents, training=True)
            real_logits = discriminator(real, training=True)
            fake_logits = discriminator(fake, training=True)
            of_generator = -tf.reduce_mean(fake_logits)
            of_discriminator = tf.reduce_mean(tf.nn.relu(1 - real_logits))
            of_discriminator += tf.reduce_mean(tf.nn.relu(1 + fake_logits))
        for network, loss in ((generator, of_generator), (discriminator, of_discriminator)):
            variables = network.trainable_variables
            gradients = tape.gradient(loss, variables)
            network.optimizer.apply_gradients(zip(gradients, variables, strict=True))


def record(folder):
    for shape in NETWORKS:
        arrays = {}
        for role in ("generator", "discriminator"):
            network = built(shape, role)
            shapes = {weight.name.removesuffix(":0"): weight.shape for weight in network.weights}
            values = values_of(shapes)
            for weight in network.weights:
                weight.assign(values[weight.name.removesuffix(":0")])
            found = computed(network, inputs_of(shape, role))
            found = {name: thinned(name, np.array(found[name])) for name in found}
            del found["inputs"]
            found.update(layout_of(network, folder / f"{shape}_{role}"))
            arrays.update({f"{role}_{name}": value for name, value in found.items()})
        np.savez_compressed(FIXTURES / f"tfa_{shape}.npz", **arrays)


def layout_of(network, path):
    """How the files of a network are laid out.

    Returns:
        layers: JSON, (layer, {weight: shape}) pairs in the order of the .h5.
        graph: The object graph of the TensorFlow checkpoint, as bytes.
    """
    network.save_weights(path.with_suffix(".h5"))
    network.save_weights(path)
    with h5py.File(path.with_suffix(".h5")) as file:
        found = [
            (
                name,
                {weight: file[name][weight].shape for weight in file[name].attrs["weight_names"]},
            )
            for name in file.attrs["layer_names"]
        ]
    graph = tf.train.load_checkpoint(str(path)).get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
    return {"layers": json.dumps(found), "graph": np.frombuffer(graph, np.uint8)}


if __name__ == "__main__":
    command, folder = sys.argv[1:]
    {"train": train, "record": record}[command](Path(folder))
