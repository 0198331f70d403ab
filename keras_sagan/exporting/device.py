"""A generator in the operations that devices run fast."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from keras_sagan.layers import Conv2D, Conv2DTranspose, SelfAttention2D, UpsampleConv2D
from keras_sagan.layers.full_attention import BlendedAttention
from keras_sagan.sampling.inference import (
    ConditionalScaleOffset,
    copied,
    copy_of,
    operation_of,
    rebuilt,
    with_weights,
)

# Maps up to this size go by differences: beyond, moving the data takes longer than is saved.
_DIFFERENCES = 32
# ai-edge-quantizer 0.10 fails on larger kernels, so they are split by output channels.
_LARGEST_KERNEL = 32 << 20  # bytes, of float32
# Layers are known by their exact type. A subclass may compute something else, so it is copied.
_RULES = {}
# Tables of classes in digits of 8 bits. Quantisers leave them as they are or give one step to all
# channels, and GPU delegates take no integers but these.
_DIGITS = {"float16": 2, "dynamic_int8": 1, "int8": 1}
FLOAT_SCOPE = "class_table"  # of operations that stay float in every precision


def _rule(*types):
    """Registers a function of (layer, precision, inputs, ...) for layers of these types.

    Call arguments besides are those of training and masks, which say nothing here.
    """

    def register(function):
        _RULES.update(dict.fromkeys(types, function))
        return function

    return register


def device_model(model, precision="float32"):
    """Returns an inference model in the form that suits a precision.

    It has no transposed convolutions: LiteRT runs them at a quarter of the speed of plain ones,
    few accelerators run them at all, and the quantiser leaves them as they are.

    Args:
        model: Of `inference_model`.
        precision: One of `PRECISIONS`. Its weights stay float32 all the same, but for the tables
            of classes.

    Returns:
        A `keras.Model` of the same inputs and outputs. Names of layers end in a dot, so that none
        is the beginning of another's, but those of attention layers, which name outputs.
    """

    def rebuild(layer, *args, **kwargs):
        rule = _RULES.get(type(layer), _copied)
        outputs = rule(layer, precision, *args, **kwargs)
        if isinstance(layer, layers.Layer) and not hasattr(layer, "map_shape"):
            operation_of(outputs).name = f"{layer.name}."
        return outputs

    return rebuilt(model, rebuild)


def _copied(layer, precision, *args, **kwargs):
    return copied(layer, *args, **kwargs)


class StoredScaleOffset(layers.Layer):
    """`ConditionalScaleOffset` from one table, in float32 or in integers of 8 bits.

    A number is `step * (digit[0] + 256 digit[1] + ...)`, with a step for each channel. What
    follows the latent is one dense layer, like any other.

    Args:
        layer: A `ConditionalScaleOffset`.
        digits: Integers for each number of the table of classes; 0 for float32.
    """

    def __init__(self, layer, digits=0):
        super().__init__()
        table = np.concatenate([layer.scale, layer.offset], axis=1)
        self.digits, self.table = digits, table
        if digits:
            # From -128 to 127; the largest number is 127 in all digits.
            places = 256 ** np.arange(digits)
            steps = np.maximum(np.abs(table).max(axis=0), 1e-12) / (127 * places.sum())
            rest, lowest = np.round(table.astype(np.float64) / steps).astype(np.int64), []
            for _ in places:
                lowest.append((rest + 128) % 256 - 128)
                rest = (rest - lowest[-1]) // 256
            self.table = np.concatenate(lowest, axis=1).astype(np.int8)
            self.factors = np.outer(places, steps).ravel().astype(np.float32)
        self.kernel = None
        if layer.latent_dim:
            kernel = np.concatenate([layer.latent_scale, layer.latent_offset], axis=1)
            self.kernel = self.add_weight(name="kernel", shape=kernel.shape)
            self.kernel.assign(kernel)

    def call(self, inputs, labels=None, latent=None):
        size = inputs.shape[-1]
        with tf.name_scope(FLOAT_SCOPE):
            # Not `ops.take`, which has negative labels count from the end in further operations.
            rows = self.table if labels is None else tf.gather(self.table, labels)
            if self.digits:
                rows = ops.cast(rows, "float32") * self.factors
            parts = _parts_of(rows, size)
            scale, offset = (sum(parts[i::2][1:], parts[i]) for i in range(2))
        if self.kernel is not None:
            of_latent = _parts_of(ops.matmul(latent, self.kernel), size)
            scale, offset = scale + of_latent[0], offset + of_latent[1]
        return inputs * scale + offset


def _parts_of(rows, size):
    """Rows (batch, n size) as n tensors (batch, 1, 1, size)."""
    rows = ops.reshape(rows, (-1, 1, 1, rows.shape[-1]))
    # Not `ops.split`: LiteRT 2.5 on WebGPU errs in sums of what it gives.
    return [rows[:, :, :, i : i + size] for i in range(0, rows.shape[-1], size)]


class SubPixelConv2D(layers.Layer):
    """A transposed convolution as a plain one.

    The plain convolution gives a channel for each pixel of a stride, which are then rearranged to
    pixels (Shi et al., arXiv:1609.05158).

    Args:
        filters: Output channels.
        taps: (height, width) of the plain kernel.
        strides: (rows, columns) of the transposed convolution.
        crop: (rows, columns) to drop from the start of its whole output.
        size: (height, width) of the output.
        activation: As of `keras.layers.Conv2D`.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(self, filters, taps, strides, crop, size, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.taps, self.strides = filters, taps, strides
        self.crop, self.size = crop, size
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        channels = self.strides[0] * self.strides[1] * self.filters
        self.kernel = _add_kernel(self, "kernel", (*self.taps, input_shape[-1], channels))
        self.bias = self.add_weight(name="bias", shape=(channels,))

    def call(self, inputs):
        margins = [(taps - 1, taps - 1) for taps in self.taps]
        x = _conv(ops.pad(inputs, [(0, 0), *margins, (0, 0)]), self.kernel) + self.bias
        x = _channels_to_rows(x, self.strides[0])
        x = ops.reshape(x, (-1, x.shape[1], self.strides[1] * x.shape[2], self.filters))
        (top, left), (height, width) = self.crop, self.size
        return self.activation(x[:, top : top + height, left : left + width])


class DifferenceUpsampleConv2D(layers.Layer):
    """`UpsampleConv2D` with 9 multiplications an input pixel, channel and filter, not 16 or 36.

    In one dimension, with kernel (a, b, c) and s = a + b + c, two outputs take three products:

        a x[i-1] + (b + c) x[i] = s x[i] - a (x[i] - x[i-1])
        (a + b) x[i] + c x[i+1] = s x[i] + c (x[i+1] - x[i])

    one with x and two with its differences. In two dimensions it is applied to rows and columns,
    in the manner of Winograd's minimal filtering. The nine 1x1 kernels are linear in the 3x3 one.

    Args:
        filters: Output channels.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        for name, count in (("mean", 1), ("rows", 2), ("columns", 2), ("corners", 4)):
            shape = (1, 1, input_shape[-1], count * self.filters)
            setattr(self, name, _add_kernel(self, name, shape))
        self.bias = self.add_weight(name="bias", shape=(self.filters,))

    @staticmethod
    def weights_of(kernel, bias):
        """Returns the weights, in the order of `set_weights`, for a kernel (3, 3, in, out)."""
        a, b, c = np.asarray(kernel, np.float64)
        mean, after, before = a + b + c, c, -a  # over rows; each (3, in, out), over columns

        def products(rows):
            a, b, c = rows
            return a + b + c, np.concatenate([c, -a], axis=-1)

        (mean, columns), (after, after_columns), (before, before_columns) = map(
            products, (mean, after, before)
        )
        rows = np.concatenate([after, before], axis=-1)
        corners = np.concatenate([after_columns, before_columns], axis=-1)
        kernels = (x[None, None] for x in (mean, rows, columns, corners))
        return [*(part for kernel in kernels for part in _split(kernel)), np.asarray(bias)]

    def call(self, inputs):
        height, width = inputs.shape[1:3]
        center = self._upsample_rows(inputs, self.mean, self.rows)
        center = _repeated(center + self.bias, (2 * height, 2 * width))
        sides = self._upsample_rows(_differences(inputs, 2), self.columns, self.corners)
        # Channels in pairs side by side are columns.
        sides = ops.reshape(sides, (-1, 2 * height, 2 * width + 2, self.filters))
        return center + sides[:, :, 1:-1]

    def _upsample_rows(self, x, mean, rows):
        height, width = x.shape[1:3]
        center = _repeated(_conv(x, mean), (2 * height, width))
        sides = _channels_to_rows(_conv(_differences(x, 1), rows), 2)
        return center + sides[:, 1:-1]


def _is_plain(layer):
    """Whether a transposed convolution has none of Keras's rarer options."""
    return (
        layer.output_padding is None
        and layer.dilation_rate == (1, 1)
        and layer.data_format == "channels_last"
    )


def _doubles(layer):
    options = (layer.size, layer.interpolation, layer.data_format)
    return options == ((2, 2), "nearest", "channels_last")


def _add_kernel(layer, name, shape):
    """Adds the weights of a kernel, in parts."""
    *spatial, channels = shape
    count = _parts(4 * int(np.prod(shape)))
    sizes = [len(part) for part in np.array_split(np.arange(channels), count)]
    return [
        layer.add_weight(name=f"{name}{i}", shape=(*spatial, size)) for i, size in enumerate(sizes)
    ]


def _parts(size):
    return -(-size // _LARGEST_KERNEL)


def _split(kernel):
    return np.array_split(kernel, _parts(4 * kernel.size), axis=-1)


def _conv(x, kernel):
    """A "valid" convolution with the parts of a kernel."""
    parts = [ops.conv(x, part, data_format="channels_last") for part in kernel]
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)


def _repeated(x, size):
    return ops.image.resize(x, size, interpolation="nearest", data_format="channels_last")


def _bias(layer):
    return np.asarray(layer.bias) if layer.use_bias else np.zeros(layer.filters, np.float32)


@_rule(layers.UpSampling2D)
def _upsample(layer, precision, x, **kwargs):
    if not _doubles(layer):
        return copied(layer, x)
    # UpSampling2D repeats rows, then columns: four operations.
    return _repeated(x, (2 * x.shape[1], 2 * x.shape[2]))


@_rule(ConditionalScaleOffset)
def _conditional_scale_offset(layer, precision, *args, **kwargs):
    return StoredScaleOffset(layer, _DIGITS.get(precision, 0))(*args, **kwargs)


@_rule(SelfAttention2D, BlendedAttention)
def _attention(layer, precision, *maps, **kwargs):
    # A loop over blocks is slow there, or unknown.
    return with_weights(copy_of(layer, query_block=None), layer.get_weights(), *maps)


@_rule(UpsampleConv2D)
def _upsample_conv(layer, precision, x, **kwargs):
    if layer.data_format != "channels_last":
        return copied(layer, x)
    if x.shape[1] <= _DIFFERENCES:
        weights = DifferenceUpsampleConv2D.weights_of(layer.kernel, _bias(layer))
        return with_weights(DifferenceUpsampleConv2D(layer.filters), weights, x)
    kernel, size = layer.transposed_kernel(), [2 * n for n in x.shape[1:3]]
    return _sub_pixel(x, np.asarray(kernel), _bias(layer), (2, 2), (1, 1), size)


@_rule(layers.Conv2D, Conv2D)
def _conv_in_parts(layer, precision, x, **kwargs):
    kernels = _split(np.asarray(layer.kernel))
    if len(kernels) == 1 or layer.groups > 1 or layer.data_format != "channels_last":
        return copied(layer, x)
    biases = np.array_split(_bias(layer), len(kernels))
    parts = []
    for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        config = {**layer.get_config(), "filters": len(bias), "use_bias": True, "dtype": "float32"}
        conv = layers.Conv2D.from_config({**config, "name": f"{layer.name}.part{i + 1}"})
        parts.append(with_weights(conv, [kernel, bias], x))
    return layers.Concatenate()(parts)


@_rule(layers.Conv2DTranspose, Conv2DTranspose)
def _transposed_conv(layer, precision, x, **kwargs):
    if not _is_plain(layer):
        return copied(layer, x)
    kernel = np.asarray(layer.kernel)
    # "valid" is the whole output, "same" the middle of it, the smaller half of the rest before.
    rest = [max(k - s, 0) for k, s in zip(kernel.shape[:2], layer.strides, strict=True)]
    same = layer.padding == "same"
    size = [
        s * n + (0 if same else r)
        for s, n, r in zip(layer.strides, x.shape[1:3], rest, strict=True)
    ]
    crop = [r // 2 if same else 0 for r in rest]
    return _sub_pixel(x, kernel, _bias(layer), layer.strides, crop, size, layer.activation)


def _sub_pixel(x, kernel, bias, strides, crop, size, activation=None):
    *spatial, filters, channels = kernel.shape
    taps = [-(-k // s) for k, s in zip(spatial, strides, strict=True)]
    missing = [t * s - k for t, s, k in zip(taps, strides, spatial, strict=True)]
    kernel = np.pad(kernel, [(0, missing[0]), (0, missing[1]), (0, 0), (0, 0)])
    # Output row stride * q + r takes row r + stride * j of the kernel from input row q - j.
    kernel = kernel.reshape(taps[0], strides[0], taps[1], strides[1], filters, channels)
    kernel = kernel[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4).reshape(*taps, channels, -1)
    conv = SubPixelConv2D(filters, taps, strides, crop, size, activation)
    return with_weights(conv, [*_split(kernel), np.tile(bias, strides[0] * strides[1])], x)


def _channels_to_rows(x, count):
    """(height, width, count c) to (count height, width, c)."""
    _, height, width, channels = x.shape
    # Rows in the place of pictures: GPU delegates know no more than four dimensions.
    x = ops.reshape(x, (-1, width, count, channels // count))
    x = ops.transpose(x, (0, 2, 1, 3))
    return ops.reshape(x, (-1, count * height, width, channels // count))


def _differences(x, axis):
    """x[i] - x[i - 1] along an axis, with zeros around x: one more than there are."""
    kernel = np.array([-1.0, 1.0], np.float32).reshape((2, 1) if axis == 1 else (1, 2))
    kernel = np.tile(kernel[:, :, None, None], (1, 1, x.shape[-1], 1))
    pads = [(0, 0)] * 4
    pads[axis] = (1, 1)
    return ops.depthwise_conv(ops.pad(x, pads), kernel, data_format="channels_last")
