"""A generator as the same function in fewer and plainer layers: for sampling and for export."""

import collections
import contextlib
import functools

import keras
import numpy as np
from keras import ops

from keras_sagan.layers import (
    BatchNorm,
    ConditionalBatchNorm,
    Conv2D,
    Conv2DTranspose,
    FullAttention2D,
    SelfAttention2D,
    SpectralNorm,
    UpsampleConv2D,
)
from keras_sagan.layers.full_attention import BlendedAttention
from keras_sagan.sampling.copies import copy_of

# Layers are known by their exact type. A subclass may compute something else, so it is copied.
_TRANSPOSED = (keras.layers.Conv2DTranspose, Conv2DTranspose)
_PRODUCTS = (keras.layers.Dense, keras.layers.Conv2D, Conv2D, UpsampleConv2D, *_TRANSPOSED)
_RULES = {}


def _rule(*types):
    """Registers a function of (inference model, layer, inputs, ...) for layers of these types."""

    def register(function):
        _RULES.update(dict.fromkeys(types, function))
        return function

    return register


def inference_model(generator):
    """Returns the model of `InferenceModel`, for a generator whose weights will not change."""
    return InferenceModel(generator).model


class InferenceModel:
    """A generator without what only training needs.

    - The kernels of `SpectralNorm` are divided by their sigma.
    - Batch normalisation becomes part of the convolution before it, or one scale and offset.
    - Of conditional batch normalisation there remain a table of scales and one of offsets, and
      with self-modulation a product with the latent for each.
    - Full attention becomes its convolutions, and what blends attention with one of them.

    Args:
        generator: A functional `keras.Model`, which stays as it is.

    Attributes:
        model: A `keras.Model` of the same inputs and outputs, in float32.
    """

    def __init__(self, generator):
        self._weights = []  # variables, and a function that gives their values
        self._names = collections.Counter()
        self.model = rebuilt(generator, self._rebuild)
        self.update()

    def update(self):
        """Takes over the weights that the generator has now."""
        for variables, values in self._weights:
            for variable, value in zip(variables, values(), strict=True):
                variable.assign(np.asarray(value))

    def call(self, layer, values, *args, **kwargs):
        """Calls a new layer, whose weights will be what `values()` gives; returns the outputs."""
        outputs = layer(*args, **kwargs)
        self.follow(layer.weights, values)
        return outputs

    def follow(self, variables, values):
        """Has variables of a new layer take what `values()` gives at each update."""
        self._weights.append((variables, values))

    def unique_name(self, name):
        """Returns a name for a part of a layer that may be used more than once."""
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}.{self._names[name]}"

    def _rebuild(self, layer, *args, **kwargs):
        if not isinstance(layer, keras.layers.Layer):  # a function of keras.ops
            return layer(*args, **kwargs)
        return _RULES.get(type(layer), _copy)(self, layer, *args, **kwargs)


def _copy(model, layer, *args, **kwargs):
    return model.call(copy_of(layer, dtype="float32"), lambda: layer.weights, *args, **kwargs)


@_rule(SpectralNorm)
def _spectral_norm(model, layer, *args, **kwargs):
    copy = copy_of(layer.layer, dtype="float32")
    return model.call(copy, lambda: _plain_weights(layer), *args, **kwargs)


@_rule(SelfAttention2D)
def _self_attention(model, layer, x, **kwargs):
    copy = copy_of(layer, dtype="float32", spectral_norm=False)
    outputs = copy(x)
    model.follow([copy.gamma], lambda: [layer.gamma])
    outputs_too = ["output_conv"] if layer.output_projection else []
    for name in ("query", "key", "value", *outputs_too):
        values = functools.partial(_plain_weights, getattr(layer, name))
        model.follow(getattr(copy, name).weights, values)
    return outputs


@_rule(FullAttention2D)
def _full_attention(model, layer, x, labels=None, **kwargs):
    def inside(part, *args, **kwargs):
        outputs = _RULES.get(type(part), _copy)(model, part, *args, **kwargs)
        operation_of(outputs).name = model.unique_name(f"{layer.name}_{part.name}")
        return outputs

    maps = [inside(part, x) for part in (layer.query, layer.key, layer.value, layer.conv)]
    if layer.batch_norm:
        maps[-1] = inside(layer.norm, maps[-1], *[labels] * bool(layer.num_classes))
    config = BlendedAttention.get_config(layer)
    blend = BlendedAttention.from_config({**config, "dtype": "float32"})
    return model.call(blend, lambda: [layer.gamma], *maps)


@_rule(ConditionalBatchNorm)
def _conditional_batch_norm(model, layer, x, labels=None, latent=None, **kwargs):
    classes, embedding, of_classes = layer.num_classes, None, labels
    if labels is not None and len(labels.shape) == 2:
        embedding = labels._keras_history.operation
        if type(embedding) is not keras.layers.Embedding:
            return _copy(model, layer, x, labels=labels, latent=latent, **kwargs)
        classes, of_classes = embedding.input_dim, embedding.input
    if layer.data_format != "channels_last":
        return _copy(model, layer, x, labels=labels, latent=latent, **kwargs)
    copy = ConditionalScaleOffset(classes, layer.latent_dim, name=layer.name)
    values = functools.partial(_scales_and_offsets, layer, embedding)
    return model.call(copy, values, x, labels=of_classes, latent=latent)


@_rule(keras.layers.BatchNormalization, BatchNorm)
def _batch_norm(model, norm, x, mask=None, **kwargs):
    if mask is not None or norm.axis not in (-1, len(x.shape) - 1):
        return _copy(model, norm, x, mask=mask, **kwargs)
    before = x._keras_history.operation
    if not _takes_a_factor(before):
        return model.call(ScaleOffset(name=norm.name), lambda: _scale_and_offset(norm), x)

    def values():
        scale, offset = _scale_and_offset(norm)
        kernel = np.asarray(before.kernel) * (scale[:, None] if transposed else scale)
        bias = np.asarray(before.bias) if before.use_bias else 0.0
        return kernel, bias * scale + offset

    transposed = type(before) in _TRANSPOSED
    # A new layer beside the one before, which falls away unless something else uses it too.
    copy = copy_of(before, dtype="float32", name=f"{before.name}_{norm.name}", use_bias=True)
    return model.call(copy, values, before.input)


def _takes_a_factor(layer):
    """Whether a factor and an offset of the channels can become part of a layer."""
    return (
        type(layer) in _PRODUCTS
        and getattr(layer, "activation", None) in (None, keras.activations.linear)
        and getattr(layer, "data_format", "channels_last") == "channels_last"
    )


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
            operation_of(outputs).name += f".{uses[layer]}"
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


class ConditionalScaleOffset(keras.layers.Layer):
    """`scale * inputs + offset`, channel by channel, both by class, by the latent or by both.

    Each is `table[label] + latent @ kernel`, or what there is of it.

    Args:
        num_classes: Number of classes; None without, where the tables have one row for all.
        latent_dim: Length of the latent, or None.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(self, num_classes, latent_dim=None, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.latent_dim = latent_dim

    def build(self, inputs_shape, labels_shape=None, latent_shape=None):
        rows, channels = self.num_classes or 1, inputs_shape[-1]
        self.scale = self.add_weight(name="scale", shape=(rows, channels), initializer="ones")
        self.offset = self.add_weight(name="offset", shape=(rows, channels), initializer="zeros")
        if self.latent_dim:
            shape = (self.latent_dim, channels)
            self.latent_scale = self.add_weight(name="latent_scale", shape=shape)
            self.latent_offset = self.add_weight(name="latent_offset", shape=shape)

    def call(self, inputs, labels=None, latent=None):
        scale, offset = ops.convert_to_tensor(self.scale), ops.convert_to_tensor(self.offset)
        if self.num_classes:
            scale, offset = (ops.take(table, labels, axis=0) for table in (scale, offset))
        if self.latent_dim:
            scale = scale + ops.matmul(latent, self.latent_scale)
            offset = offset + ops.matmul(latent, self.latent_offset)
        return inputs * scale[:, None, None, :] + offset[:, None, None, :]

    def get_config(self):
        config = super().get_config()
        return {**config, "num_classes": self.num_classes, "latent_dim": self.latent_dim}


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


def operation_of(outputs):
    """Returns the layer or function that gave symbolic outputs."""
    return keras.tree.flatten(outputs)[0]._keras_history.operation


def copied(layer, *args, **kwargs):
    """Calls a new layer like another one, in float32, with its weights."""
    if not isinstance(layer, keras.layers.Layer):  # a function of keras.ops, which has no state
        return layer(*args, **kwargs)
    copy = copy_of(layer, dtype="float32")
    return with_weights(copy, layer.get_weights(), *args, **kwargs)


def _plain_weights(layer):
    """The weights of a layer, normalised if it is a `SpectralNorm`."""
    if not isinstance(layer, SpectralNorm):
        return layer.get_weights()
    kernel = layer.kernel_variable()
    kernel_now = ops.convert_to_numpy(layer.normalized_kernel())
    return [kernel_now if v is kernel else v for v in layer.layer.weights]


def _scales_and_offsets(layer, embedding=None):
    """The weights of the `ConditionalScaleOffset` of a `ConditionalBatchNorm`.

    Args:
        layer: The `ConditionalBatchNorm`.
        embedding: The layer by which it is told of classes, if there is one.
    """
    scale, offset = _scale_and_offset(layer.norm)
    gain, bias = (ops.convert_to_numpy(table) for table in layer.tables())
    if embedding is not None:
        gain, bias = (np.asarray(embedding.embeddings) @ table for table in (gain, bias))
    weights = [scale * (1 + gain), offset * (1 + gain) + bias]
    if layer.latent_dim:
        gain, bias = (ops.convert_to_numpy(w) for w in (layer.latent_gain, layer.latent_bias))
        weights += [scale * gain, offset * gain + bias]
    return weights


def _scale_and_offset(norm):
    """Batch normalisation at inference is `scale * x + offset`."""
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    offset = -np.asarray(norm.moving_mean) * scale
    gain = np.asarray(norm.gamma) if norm.scale else 1.0
    bias = np.asarray(norm.beta) if norm.center else 0.0
    return scale * gain, offset * gain + bias
