"""Keras 2 weights of a SAGAN whose layers were wrapped in `tfa.layers.SpectralNormalization`.

No one network was published: the layers of the file, in its order, are matched with those of our
families by kind and shape (`keras2.py` finds them). What weights do not tell (strides, activations,
pooling) is as in the family, and the epsilon of batch norms is Keras's 1e-3.

In a training call the wrapper overwrites the kernel with W / sigma(W), and then the optimizer moves
it; at inference it counts as it is. So that outputs stay the same, and training goes on normalised,
our kernels are `factor * W / sigma(W)` (`spectral_norm="scaled"`), with the sigma of the stored
kernel for the factor. The wrapper takes a kernel as a matrix over its last axis, which of
transposed convolutions is that of the input channels (`spectral_norm_axis="first"`).
"""

import itertools
import math

import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.importing import keras2
from keras_sagan.importing.keras2 import ATTENTION, DENSE, NORM, text
from keras_sagan.importing.systems import Networks, network_of, read
from keras_sagan.layers import BatchNorm, Conv2DTranspose, SelfAttention2D, SpectralNorm
from keras_sagan.models import (
    DCGANDiscriminator,
    DCGANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
    dcgan,
    resnet,
)

# As Keras 2 ends the names of variables, in a .h5 and in a TensorFlow checkpoint. Batch norms are
# in generators alone.
LOOKS_LIKE = {
    "generator": r"/moving_mean(:0|/\.ATTRIBUTES/VARIABLE_VALUE)$",
    "discriminator": r"(:0|/\.ATTRIBUTES/VARIABLE_VALUE)$",
}
# The vectors of the wrapper: the kernels have moved since.
_VECTORS = r".*/sn_u(:0|/.*)"
_SHORTCUT = (1, 1)
_LANCZOS_STEPS = 200
_ASSUMED = (
    "weights do not tell, and so it was taken as in Keras and our networks: epsilon 1e-3 in batch "
    "norms, strides, pooling, activations (LeakyReLU(0.1) in a DCGAN's discriminator), and of "
    "attention, where names do not tell, the order query, key, value, output"
)


def load(given):
    """Returns the `Networks` of a `Given`."""
    state = read(given.checkpoint, "tfa", "generator")
    networks = Networks(None, notes=[_ASSUMED], states=[state])
    if any(name.startswith("generator/") for name in state.names):
        # What a tf.train.Checkpoint(generator=..., discriminator=..., ...) wrote.
        both = {name: state.within(f"{name}/") for name in LOOKS_LIKE}
        state.skip(".*")  # optimizers and counters
        networks.states += both.values()
        networks.generator = generator(both["generator"], "generator/")
        if both["discriminator"].names:
            networks.discriminator = discriminator(both["discriminator"], "discriminator/")
    else:
        networks.generator = generator(state)
    if given.discriminator is not None:
        state = read(given.discriminator, "tfa", "discriminator")
        networks.states.append(state)
        networks.discriminator = discriminator(state)
    return networks


def generator(state, prefix=""):
    """Returns the generator that a state holds.

    Args:
        state: A `State`.
        prefix: What was cut off its names.

    Raises:
        InputError: Its layers are not those of a DCGAN or ResNet.
    """
    found = _Found(state, prefix)
    norms = {"norm_epsilon": 1e-3, "norm_momentum": 0.99}  # Keras's
    if found.has((4, 4)):
        kernels = found.shapes((4, 4))
        image_size = found.image_size(dcgan.GENERATOR_CHANNELS, len(kernels) - 1)
        return found.network(
            DCGANGenerator,
            image_size=image_size,
            latent_dim=kernels[0][0] if len(kernels[0]) == 2 else kernels[0][-1],
            width=kernels[-1][-1] // dcgan.GENERATOR_CHANNELS[image_size][-1],
            attention=[2 << place for place in found.attention_places((4, 4))],
            spectral_norm_axis="first",
            **norms,
        )
    kernels = found.shapes((3, 3))
    image_size = found.image_size(resnet.GENERATOR_CHANNELS, (len(kernels) + 1) / 2)
    return found.network(
        ResNetGenerator,
        image_size=image_size,
        latent_dim=found.shapes(DENSE)[0][0],
        width=kernels[-1][-2] // resnet.GENERATOR_CHANNELS[image_size][-1],
        attention=[4 << place // 2 for place in found.attention_places((3, 3))],
        **norms,
    )


def discriminator(state, prefix=""):
    """Returns the discriminator that a state holds.

    Args:
        state: A `State`.
        prefix: What was cut off its names.

    Raises:
        InputError: Its layers are not those of a DCGAN or ResNet.
    """
    found = _Found(state, prefix)
    if found.has((4, 4)):
        kernels = found.shapes((4, 4))
        image_size = found.image_size(dcgan.DISCRIMINATOR_CHANNELS, len(kernels) - 1)
        return found.network(
            DCGANDiscriminator,
            image_size=image_size,
            width=kernels[0][-1] // dcgan.DISCRIMINATOR_CHANNELS[image_size][0],
            attention=[image_size >> place for place in found.attention_places((4, 4))],
        )
    kernels = found.shapes((3, 3))
    blocks = {size: multiples for size, (multiples, _) in resnet.DISCRIMINATOR_CHANNELS.items()}
    image_size = found.image_size(blocks, len(kernels) / 2)
    multiples, halvings = resnet.DISCRIMINATOR_CHANNELS[image_size]
    places = found.attention_places((3, 3))
    return found.network(
        ResNetDiscriminator,
        image_size=image_size,
        width=kernels[0][-1] // multiples[0],
        attention=[image_size >> min(place // 2, halvings) for place in places],
    )


class _Found:
    """The layers of a file, to be matched with those of a network of ours.

    Args:
        state: A `State`.
        prefix: What was cut off its names.

    Raises:
        InputError: From each method: the layers are others.
    """

    def __init__(self, state, prefix):
        self.state = state
        self.layers = keras2.layers(state, prefix)
        if not (self.has((4, 4)) or self.has((3, 3))):
            self._refuse("it has neither the 4x4 kernels of a DCGAN nor the 3x3 ones of a ResNet")
        if self.has((4, 4)):  # a dense layer from the latent, or to the logit, is one on a 4x4 map
            for layer in self.layers:
                layer.kind = (4, 4) if layer.kind == DENSE else layer.kind

    def has(self, kind):
        """Whether there is a layer of a kind."""
        return any(layer.kind == kind for layer in self.layers)

    def shapes(self, kind):
        """Returns the shapes of the kernels of a kind, first to last."""
        names = [layer.names["kernel"] for layer in self.layers if layer.kind == kind]
        if not names:
            self._refuse(f"it has no {text(kind).removeprefix('a ')}")
        return [self.state.shape(name) for name in names]

    def image_size(self, channels, stages):
        """Returns the size of the pictures of networks with so many stages.

        Args:
            channels: A table of ours: for each stage its channels, by the size of the pictures.
            stages: How many there are.
        """
        for size, multiples in channels.items():
            if len(multiples) == stages:
                return size
        counts = ", ".join(str(len(multiples)) for multiples in channels.values())
        self._refuse(f"it has {stages:g} stages, and networks of ours have {counts}")

    def attention_places(self, kind):
        """Returns how many kernels of a kind come before each attention."""
        kinds = [layer.kind for layer in self.layers]
        return [kinds[:i].count(kind) for i, k in enumerate(kinds) if k == ATTENTION]

    def network(self, make, **arguments):
        """Returns a network of ours with the tensors of these layers."""
        wrapped = any("sn_u" in layer.names for layer in self.layers)
        arguments["spectral_norm"] = "scaled" if wrapped else False
        model = network_of(make, self.state, **arguments)
        for ours, found in self._pairs(model):
            self._fill(ours, found)
        self.state.skip(_VECTORS)
        return model

    def _pairs(self, model):
        """Our layers with those found: the chain of those that feed each other, the shortcuts."""
        ours = [(layer.name, _kind(layer), layer) for layer in model.layers if layer.weights]
        found = [(layer.path, layer.kind, layer) for layer in self.layers]
        pairs = []
        for is_shortcut in (False, True):
            lists = [
                [x for x in each if (x[1] == _SHORTCUT) is is_shortcut] for each in (ours, found)
            ]
            nothing = ("the end", "nothing", None)
            for our, their in itertools.zip_longest(*lists, fillvalue=nothing):
                if our[1] != their[1]:
                    self._refuse(
                        f"{their[0]} is {text(their[1])}, where {type(model).__name__} has "
                        f"{text(our[1])} ({our[0]})"
                    )
                pairs.append((our[2], their[2]))
        return pairs

    def _fill(self, layer, found):
        if isinstance(layer, SelfAttention2D):
            convolutions = [layer.query, layer.key, layer.value]
            convolutions += [layer.output_conv] if layer.output_projection else []
            if len(found.parts) != len(convolutions):
                self._refuse(
                    f"{found.path} has {len(found.parts)} convolutions, and attention here "
                    f"{len(convolutions)}"
                )
            for convolution, part in zip(convolutions, found.parts, strict=True):
                self._fill_kernel(convolution, part)
            layer.gamma.assign(self.state.take(found.names["gamma"]).reshape(()))
        elif isinstance(layer, BatchNorm):
            for what in ("gamma", "beta", "moving_mean", "moving_variance"):
                if what in found.names:  # scale=False and center=False leave 1 and 0
                    self._assign(getattr(layer, what), found.names[what])
        else:
            self._fill_kernel(layer, found)

    def _fill_kernel(self, layer, found):
        inner = layer.layer if isinstance(layer, SpectralNorm) else layer
        matrix = self._matrix(inner, found)
        inner.kernel.assign(matrix.reshape(inner.kernel.shape))
        if "bias" in found.names and inner.use_bias:  # use_bias=False leaves 0
            self._assign(inner.bias, found.names["bias"])
        if isinstance(layer, SpectralNorm) and matrix.any():
            sigma, u = _largest(matrix.astype(np.float64))
            layer.factor.assign(sigma)
            layer.u.assign(u[None])

    def _matrix(self, layer, found):
        """The kernel of one of our layers as a matrix over its last axis."""
        name, shape = found.names["kernel"], tuple(layer.kernel.shape)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        is_dense = len(self.state.shape(name)) == 2 and len(shape) == 4
        if not is_dense:
            return self.state.take(name, shape).reshape(rows, columns)
        if not isinstance(layer, Conv2DTranspose):
            return self.state.take(name, (rows, columns))
        if "bias" in found.names:
            self._refuse(
                f"{found.names['bias']} is a bias of each location of the 4x4 map, where "
                "DCGANGenerator has one of each channel"
            )
        return self.state.take(name, (columns, rows)).T

    def _assign(self, variable, name):
        variable.assign(self.state.take(name, variable.shape))

    def _refuse(self, text):
        raise InputError(f"{self.state.source}: {text}")


def _kind(layer):
    """The kind of one of our layers, as in `keras2.Layer`."""
    if isinstance(layer, SelfAttention2D):
        return ATTENTION
    if isinstance(layer, BatchNorm):
        return NORM
    inner = layer.layer if isinstance(layer, SpectralNorm) else layer
    return tuple(inner.kernel.shape[:-2])


def _largest(matrix):
    """The largest singular value of a matrix (rows, columns), and its vector (columns,).

    By Lanczos's method: a decomposition takes seconds for a kernel of 1,024 channels.
    """
    wide = matrix.shape[0] < matrix.shape[1]
    gram = matrix @ matrix.T if wide else matrix.T @ matrix
    vector = np.random.default_rng(0).normal(size=len(gram))
    basis = np.zeros((0, len(gram)))
    while len(basis) < min(_LANCZOS_STEPS, len(gram)):
        size = np.linalg.norm(vector)
        for _ in range(2):  # once leaves what rounding adds
            vector = vector - (basis @ vector) @ basis
        if np.linalg.norm(vector) <= 1e-10 * size:
            break  # the basis holds all that the matrix does with the first vector
        basis = np.vstack([basis, vector / np.linalg.norm(vector)])
        vector = gram @ basis[-1]
    u = np.linalg.eigh(basis @ gram @ basis.T)[1][:, -1] @ basis
    u = u @ matrix if wide else u
    u /= np.linalg.norm(u)
    return np.linalg.norm(matrix @ u), u
