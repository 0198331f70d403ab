"""A generator in the operations that devices run fast."""

import keras
import numpy as np
from keras import layers, ops

from keras_sagan.exporting.inference_model import (
    ClassScaleOffset,
    copied,
    rebuilt,
    with_weights,
)
from keras_sagan.layers import UpsampleConv2D

# Maps up to this size go by differences: beyond, moving the data takes longer than is saved.
_DIFFERENCES = 32
# ai-edge-quantizer 0.10 fails on larger kernels.
_LARGEST_KERNEL = 32 << 20  # bytes, of float32
_TABLE_DTYPES = {"float16": "int16", "dynamic_int8": "int8", "int8": "int8"}


def device_model(model, precision="float32"):
    """Returns an inference model in the form that suits a precision.

    It has no transposed convolutions: LiteRT runs them at a quarter of the speed of plain ones,
    and few accelerators run them at all.

    Args:
        model: Of `inference_model`.
        precision: One of `PRECISIONS`. Its weights stay float32 all the same, but for the tables
            of classes, which quantisers leave as they are or give one step for all channels.

    Returns:
        A `keras.Model` of the same inputs and outputs.
    """

    def rebuild(layer, *args, **kwargs):
        if isinstance(layer, UpsampleConv2D):
            return _upsample_conv(layer, *args)
        if isinstance(layer, layers.Conv2DTranspose) and _is_plain(layer):
            return _transposed_conv(layer, *args)
        if isinstance(layer, layers.UpSampling2D) and layer.size == (2, 2):
            return _upsample(*args)
        if precision in _TABLE_DTYPES and isinstance(layer, ClassScaleOffset):
            return StoredClassScaleOffset(layer, _TABLE_DTYPES[precision])(*args, **kwargs)
        if precision in ("dynamic_int8", "int8") and isinstance(layer, layers.Conv2D):
            return _conv_in_parts(layer, *args)
        return copied(layer, *args, **kwargs)

    return rebuilt(model, rebuild)


class StoredClassScaleOffset(layers.Layer):
    """`ClassScaleOffset` with tables of integers, each channel in multiples of its own step.

    Args:
        layer: A `ClassScaleOffset`.
        dtype: "int16" or "int8".
    """

    def __init__(self, layer, dtype):
        super().__init__(name=layer.name)
        largest = np.iinfo(dtype).max
        self.tables = []
        for table in (layer.scale, layer.offset):
            table = np.asarray(table)
            step = np.maximum(np.abs(table).max(axis=0), 1e-12) / largest
            self.tables.append((np.round(table / step).astype(dtype), step))

    def call(self, inputs, labels):
        scale, offset = (
            (ops.cast(ops.take(table, labels, axis=0), "float32") * step)[:, None, None, :]
            for table, step in self.tables
        )
        return inputs * scale + offset


class SubPixelConv2D(layers.Layer):
    """A transposed convolution as a plain one.

    The plain convolution gives `stride * stride` channels for each, which are rearranged to pixels
    (Shi et al., arXiv:1609.05158).

    Args:
        filters: Output channels.
        taps: Size of the plain kernel.
        stride: Of the transposed convolution.
        crop: Pixels to drop at each edge of the output.
        activation: As of `keras.layers.Conv2D`.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(self, filters, taps, stride, crop, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.taps, self.stride, self.crop = filters, taps, stride, crop
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        filters = self.stride**2 * self.filters
        self.kernel = self.add_weight(
            name="kernel", shape=(self.taps, self.taps, input_shape[-1], filters)
        )
        self.bias = self.add_weight(name="bias", shape=(filters,))

    def call(self, inputs):
        margin = (self.taps - 1,) * 2
        x = ops.pad(inputs, [(0, 0), margin, margin, (0, 0)])
        x = self.activation(ops.conv(x, self.kernel) + self.bias)
        x = _channels_to_rows(x, self.stride)
        x = ops.reshape(x, (-1, x.shape[1], self.stride * x.shape[2], self.filters))
        return _cropped(_cropped(x, 1, self.crop), 2, self.crop)


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
            setattr(self, name, self.add_weight(name=name, shape=shape))
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
        return [*(x[None, None] for x in (mean, rows, columns, corners)), np.asarray(bias)]

    def call(self, inputs):
        height, width = inputs.shape[1:3]
        center = self._upsample_rows(inputs, self.mean, self.rows)
        center = ops.image.resize(
            center + self.bias, (2 * height, 2 * width), interpolation="nearest"
        )
        sides = self._upsample_rows(_differences(inputs, 2), self.columns, self.corners)
        # Channels in pairs side by side are columns.
        sides = ops.reshape(sides, (-1, 2 * height, 2 * width + 2, self.filters))
        return center + _cropped(sides, 2, 1)

    def _upsample_rows(self, x, mean, rows):
        height, width = x.shape[1:3]
        center = ops.image.resize(ops.conv(x, mean), (2 * height, width), interpolation="nearest")
        sides = _channels_to_rows(ops.conv(_differences(x, 1), rows), 2)
        return center + _cropped(sides, 1, 1)


def _is_plain(layer):
    """Whether a transposed convolution has none of Keras's rarer options."""
    (stride, across), (size, _) = layer.strides, layer.kernel_size
    whole = stride == across and size % stride == 0
    even = layer.padding == "valid" or (size - stride) % 2 == 0
    return whole and even and layer.output_padding is None and layer.dilation_rate == (1, 1)


def _bias(layer):
    return np.asarray(layer.bias) if layer.use_bias else np.zeros(layer.filters, np.float32)


def _upsample(x):
    # UpSampling2D repeats rows, then columns: four operations.
    return ops.image.resize(x, (2 * x.shape[1], 2 * x.shape[2]), interpolation="nearest")


def _upsample_conv(layer, x):
    if x.shape[1] <= _DIFFERENCES:
        weights = DifferenceUpsampleConv2D.weights_of(layer.kernel, _bias(layer))
        return with_weights(DifferenceUpsampleConv2D(layer.filters, name=layer.name), weights, x)
    return _sub_pixel(x, np.asarray(layer.transposed_kernel()), _bias(layer), 2, 1, name=layer.name)


def _conv_in_parts(layer, x):
    kernel = np.asarray(layer.kernel)
    count = -(-kernel.nbytes // _LARGEST_KERNEL)
    if count == 1:
        return copied(layer, x)
    kernels = np.array_split(kernel, count, axis=-1)
    biases = np.array_split(_bias(layer), count)
    parts = []
    for i, weights in enumerate(zip(kernels, biases, strict=True)):
        config = {**layer.get_config(), "filters": len(weights[1]), "use_bias": True}
        config["name"] = f"{layer.name}_part{i + 1}"
        parts.append(with_weights(layers.Conv2D.from_config(config), weights, x))
    return layers.Concatenate(name=layer.name)(parts)


def _transposed_conv(layer, x):
    kernel, bias = np.asarray(layer.kernel), _bias(layer)
    size, stride = kernel.shape[0], layer.strides[0]
    options = {"activation": layer.activation, "name": layer.name}
    crop = (size - stride) // 2 if layer.padding == "same" else 0
    return _sub_pixel(x, kernel, bias, stride, crop, **options)


def _sub_pixel(x, kernel, bias, stride, crop, **options):
    size, _, filters, channels = kernel.shape
    taps = size // stride
    # Output pixel stride * q + r takes row r + stride * j of the kernel from input pixel q - j.
    kernel = kernel.reshape(taps, stride, taps, stride, filters, channels)[::-1, :, ::-1]
    kernel = kernel.transpose(0, 2, 5, 1, 3, 4).reshape(taps, taps, channels, -1)
    conv = SubPixelConv2D(filters, taps, stride, crop, **options)
    return with_weights(conv, [kernel, np.tile(bias, stride**2)], x)


def _channels_to_rows(x, count):
    """(height, width, count c) to (count height, width, c)."""
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, width, count, channels // count))
    x = ops.transpose(x, (0, 1, 3, 2, 4))
    return ops.reshape(x, (-1, count * height, width, channels // count))


def _differences(x, axis):
    """x[i] - x[i - 1] along an axis, with zeros around x: one more than there are."""
    kernel = np.array([-1.0, 1.0], np.float32).reshape((2, 1) if axis == 1 else (1, 2))
    kernel = np.tile(kernel[:, :, None, None], (1, 1, x.shape[-1], 1))
    pads = [(0, 0)] * 4
    pads[axis] = (1, 1)
    return ops.depthwise_conv(ops.pad(x, pads), kernel)


def _cropped(x, axis, count):
    if count == 0:
        return x
    return x[:, count:-count] if axis == 1 else x[:, :, count:-count]
