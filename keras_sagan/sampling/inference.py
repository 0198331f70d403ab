"""A generator as the same function in fewer and plainer layers: for sampling and for export."""

import collections
import contextlib
import functools

import keras
import numpy as np
from keras import ops

from keras_sagan.layers import ConditionalBatchNorm, SelfAttention2D, SpectralNorm, UpsampleConv2D

_CONVOLUTIONS = (
    keras.layers.Dense,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    UpsampleConv2D,
)


def inference_model(generator):
    """Returns the model of `InferenceModel`, for a generator whose weights will not change."""
    return InferenceModel(generator).model


class InferenceModel:
    """A generator without what only training needs.

    - The kernels of `SpectralNorm` are divided by their sigma.
    - Batch normalisation becomes part of the convolution before it, or one scale and offset.
    - Of conditional batch normalisation there remain a table of scales and one of offsets.

    Args:
        generator: A functional `keras.Model`, which stays as it is.

    Attributes:
        model: A `keras.Model` of the same inputs and outputs, in float32.
    """

    def __init__(self, generator):
        self._weights = []  # variables, and a function that gives their values
        self.model = rebuilt(generator, self._rebuild)
        self.update()

    def update(self):
        """Takes over the weights that the generator has now."""
        for variables, values in self._weights:
            for variable, value in zip(variables, values(), strict=True):
                variable.assign(np.asarray(value))

    def _rebuild(self, layer, *args, **kwargs):
        if not isinstance(layer, keras.layers.Layer):  # a function of keras.ops
            return layer(*args, **kwargs)
        if isinstance(layer, SelfAttention2D):
            return self._attention(layer, *args)
        if isinstance(layer, keras.layers.BatchNormalization) and _is_of_channels(layer, *args):
            return self._batch_norm(layer, *args)
        if isinstance(layer, ConditionalBatchNorm):
            copy = ClassScaleOffset(layer.num_classes, name=layer.name)
            return self._call(copy, lambda: _scales_and_offsets(layer), *args, **kwargs)
        copy = copy_of(layer.layer if isinstance(layer, SpectralNorm) else layer)
        return self._call(copy, lambda: _plain_weights(layer), *args, **kwargs)

    def _call(self, layer, values, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        self._weights.append((layer.weights, values))
        return outputs

    def _attention(self, layer, x):
        config = {**layer.get_config(), "dtype": "float32", "spectral_norm": False}
        copy = SelfAttention2D.from_config(config)
        outputs = copy(x)
        self._weights.append(([copy.gamma], lambda: [layer.gamma]))
        outputs_too = ["output_conv"] if layer.output_projection else []
        for name in ("query", "key", "value", *outputs_too):
            values = functools.partial(_plain_weights, getattr(layer, name))
            self._weights.append((getattr(copy, name).weights, values))
        return outputs

    def _batch_norm(self, norm, x):
        before = x._keras_history.operation
        linear = getattr(before, "activation", None) in (None, keras.activations.linear)
        if not (isinstance(before, _CONVOLUTIONS) and linear):
            return self._call(ScaleOffset(name=norm.name), lambda: _scale_and_offset(norm), x)

        def values():
            scale, offset = _scale_and_offset(norm)
            transposed = isinstance(before, keras.layers.Conv2DTranspose)
            kernel = np.asarray(before.kernel) * (scale[:, None] if transposed else scale)
            bias = np.asarray(before.bias) if before.use_bias else 0.0
            return kernel, bias * scale + offset

        # A new layer beside the one before, which falls away unless something else uses it too.
        copy = copy_of(before, name=f"{before.name}_{norm.name}", use_bias=True)
        return self._call(copy, values, before.input)


def rebuilt(model, rebuild):
    """Returns a copy of a functional model, in float32.

    Args:
        model: A functional `keras.Model`.
        rebuild: Called as `rebuild(layer, inputs, ...)` for each use of a layer; returns the
            outputs that stand for the layer's.
    """
    uses = collections.Counter()

    def named(layer, *args, **kwargs):
        outputs = rebuild(layer, *args, **kwargs)
        uses[layer] += 1
        if uses[layer] > 1:  # a copy of its own, whose name must be its own too
            outputs._keras_history.operation.name += f".{uses[layer]}"
        return outputs

    with float32_policy():
        return keras.models.clone_model(model, clone_function=_itself, call_function=named)


@contextlib.contextmanager
def float32_policy():
    """Makes new layers compute in float32, whatever the policy that a training left."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


class ClassScaleOffset(keras.layers.Layer):
    """`scale[label] * inputs + offset[label]`, channel by channel.

    Args:
        num_classes: Number of classes.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, inputs_shape, labels_shape=None):
        shape = (self.num_classes, inputs_shape[-1])
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")
        self.offset = self.add_weight(name="offset", shape=shape, initializer="zeros")

    def call(self, inputs, labels):
        scale = ops.take(self.scale, labels, axis=0)[:, None, None, :]
        return inputs * scale + ops.take(self.offset, labels, axis=0)[:, None, None, :]

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


class ScaleOffset(keras.layers.Layer):
    """`scale * inputs + offset`, channel by channel."""

    def build(self, input_shape):
        shape = input_shape[-1:]
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")
        self.offset = self.add_weight(name="offset", shape=shape, initializer="zeros")

    def call(self, inputs):
        return inputs * self.scale + self.offset


def with_weights(layer, weights, *args, **kwargs):
    """Calls a new layer and gives it its weights; returns the outputs."""
    outputs = layer(*args, **kwargs)
    layer.set_weights([np.asarray(value) for value in weights])
    return outputs


def _itself(layer):
    return layer


def copy_of(layer, **changes):
    """Returns a new layer like another one, in float32, but for changes of its config."""
    return type(layer).from_config({**layer.get_config(), "dtype": "float32", **changes})


def copied(layer, *args, **kwargs):
    """Calls a new layer like another one, in float32, with its weights."""
    if not isinstance(layer, keras.layers.Layer):  # a function of keras.ops, which has no state
        return layer(*args, **kwargs)
    return with_weights(copy_of(layer), layer.get_weights(), *args, **kwargs)


def _plain_weights(layer):
    """The weights of a layer, normalised if it is a `SpectralNorm`."""
    if not isinstance(layer, SpectralNorm):
        return layer.get_weights()
    return [layer.normalized_kernel(), *layer.layer.get_weights()[1:]]  # the kernel comes first


def _scales_and_offsets(layer):
    """Those of each class of a `ConditionalBatchNorm`."""
    scale, offset = _scale_and_offset(layer.norm)
    gain, bias = np.asarray(layer.gain), np.asarray(layer.bias)
    return scale * (1 + gain), offset * (1 + gain) + bias


def _scale_and_offset(norm):
    """Batch normalisation at inference is `scale * x + offset`."""
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    offset = -np.asarray(norm.moving_mean) * scale
    gain = np.asarray(norm.gamma) if norm.scale else 1.0
    bias = np.asarray(norm.beta) if norm.center else 0.0
    return scale * gain, offset * gain + bias


def _is_of_channels(norm, x):
    return norm.axis in (-1, len(x.shape) - 1)
