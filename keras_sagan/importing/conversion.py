"""Fills the layers of our networks with tensors of other projects: a rule a kind of layer.

A system says what it calls the parts of a layer (`Names`) and where each of our layers lies. The
layouts differ as follows; ours is TensorFlow's.

    kernel of                PyTorch                           TensorFlow and Keras
    a convolution            (out, in, height, width)          (height, width, in, out)
    a transposed one         (in, out, height, width)          (height, width, out, in)
    a dense layer            (out, in)                         (in, out)
    a dense layer to a map   out is (channels, height, width)  out is (height, width, channels)
    an embedding             (classes, length)                 the same
"""

import dataclasses

import keras
import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.layers import (
    BatchNorm,
    ConditionalBatchNorm,
    FullAttention2D,
    SelfAttention2D,
    SpectralNorm,
)

# Where our dense layer gives a map, its height and width.
_MAP = 4


@dataclasses.dataclass(frozen=True)
class Names:
    """What a system calls the parts of a layer, after the layer's own name.

    Args:
        kernel: Of layers that are not normalised.
        bias: Of the same.
        spectral_kernel: Of spectrally normalised layers.
        spectral_bias: Of the same.
        u: The vector along the axis that is normalised.
        v: The vector along the others; None if it is not stored.
        norm: Gain, bias, mean and variance of a batch norm.
        class_norm: The tables of gains and biases, the mean and the variance of a conditional one.
        attention: Query, key, value, output and gamma of attention; output may be None.
        full_attention: Of full attention the convolution beside it, and its batch norm.
        pytorch: Whether kernels have PyTorch's layout.
    """

    kernel: str
    bias: str
    spectral_kernel: str = ""
    spectral_bias: str = ""
    u: str = ""
    v: str | None = None
    norm: tuple = ()
    class_norm: tuple = ()
    attention: tuple = ()
    full_attention: tuple = ()
    pytorch: bool = True


# How PyTorch itself names them; systems replace what is their own.
PYTORCH = Names(
    kernel=".weight",
    bias=".bias",
    spectral_kernel=".weight_orig",
    spectral_bias=".bias",
    u=".weight_u",
    v=".weight_v",
    norm=(".weight", ".bias", ".running_mean", ".running_var"),
)


class Filler:
    """Fills a network from a state.

    Args:
        state: A `State`.
        names: The `Names` of the system.
        one: What its conditional batch norms add to their table of gains: 1, or 0 where the table
            holds the gains themselves.
    """

    def __init__(self, state, names, one=1.0):
        self.state = state
        self.names = names
        self.one = one

    def fill(self, model, places):
        """Fills all layers of a network.

        Args:
            model: A network of ours.
            places: What the system calls each layer of it that has weights, by our name.
        """
        for layer in model.layers:
            if layer.weights:
                self.fill_layer(layer, places[layer.name])

    def fill_layer(self, layer, place):
        """Fills a layer from the tensors whose names begin with `place`."""
        if isinstance(layer, SelfAttention2D):
            self._attention(layer, place)
            if layer.output_projection:
                self.fill_layer(layer.output_conv, place + self.names.attention[3])
        elif isinstance(layer, FullAttention2D):
            self._attention(layer, place)
            conv, norm = self.names.full_attention
            self.fill_layer(layer.conv, place + conv)
            if layer.batch_norm:
                self.fill_layer(layer.norm, place + norm)
        elif isinstance(layer, ConditionalBatchNorm):
            self._conditional_batch_norm(layer, place)
        elif isinstance(layer, BatchNorm):
            self._batch_norm(layer, place)
        elif isinstance(layer, SpectralNorm):
            self._spectral_norm(layer, place)
        else:
            names = self.names
            self._kernel(layer, place + names.kernel)
            self._bias(layer, place + names.bias)

    def assign(self, variable, value, name):
        """Gives a variable its value.

        Raises:
            InputError: A value of another shape.
        """
        if tuple(value.shape) != tuple(variable.shape):
            raise InputError(
                f"{self.state.source}: {name} is {tuple(value.shape)}, where "
                f"{tuple(variable.shape)} is expected"
            )
        variable.assign(value)

    def _kernel(self, layer, name):
        variable = layer.embeddings if hasattr(layer, "embeddings") else layer.kernel
        self.assign(variable, self._in_our_layout(layer, self.state.take(name)), name)

    def _bias(self, layer, name):
        if getattr(layer, "use_bias", False):
            value = self.state.take(name)
            self.assign(layer.bias, self._in_map_order(layer, value), name)

    def _spectral_norm(self, layer, place):
        names, inner = self.names, layer.layer
        self._kernel(inner, place + names.spectral_kernel)
        self._bias(inner, place + names.spectral_bias)
        u = self.state.take(place + names.u).reshape(-1)
        self.assign(layer.u, self._in_map_order(inner, u)[None], place + names.u)
        if names.v is not None:
            self.state.take(place + names.v)  # follows from the kernel and u

    def _batch_norm(self, layer, place):
        variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
        for variable, name in zip(variables, self.names.norm, strict=True):
            self.assign(variable, self.state.take(place + name).reshape(-1), place + name)

    def _conditional_batch_norm(self, layer, place):
        gain, bias, *statistics = (place + name for name in self.names.class_norm)
        self.class_table(layer.gain, gain, 1.0 - self.one)
        self.class_table(layer.bias, bias)
        moving = (layer.norm.moving_mean, layer.norm.moving_variance)
        for variable, name in zip(moving, statistics, strict=True):
            self.assign(variable, self.state.take(name).reshape(-1), name)

    def class_table(self, table, place, subtracted=0.0):
        """Fills a table (classes, channels) of a conditional batch norm, which may be normalised.

        Args:
            table: A variable, or the `SpectralNorm` of a dense layer.
            place: What the names of its tensors begin with.
            subtracted: What to take off each value.
        """
        if isinstance(table, SpectralNorm):
            self._spectral_norm(table, place)
        else:
            name = place + self.names.kernel
            self.assign(table, self.state.take(name) - subtracted, name)

    def _attention(self, layer, place):
        query, key, value, _, gamma = self.names.attention
        self.fill_layer(layer.query, place + query)
        self.fill_layer(layer.key, place + key)
        self.fill_layer(layer.value, place + value)
        self.assign(layer.gamma, self.state.take(place + gamma).reshape(()), place + gamma)

    def _in_our_layout(self, layer, kernel):
        if not self.names.pytorch or hasattr(layer, "embeddings"):
            return kernel
        if kernel.ndim == 4:  # transposed convolutions too
            return kernel.transpose(2, 3, 1, 0)
        return self._in_map_order(layer, kernel).T

    def _in_map_order(self, layer, value):
        """The first axis, the outputs of a dense layer that gives a map, in our order."""
        gives_map = isinstance(layer, keras.layers.Dense) and layer.units % _MAP**2 == 0
        if not (self.names.pytorch and gives_map and layer.use_bias):
            return value
        rest = value.shape[1:]
        by_channel = value.reshape(-1, _MAP, _MAP, *rest)
        return np.moveaxis(by_channel, 0, 2).reshape(-1, *rest)
