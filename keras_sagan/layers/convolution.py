"""Convolutions that take what suits the device from `kernels`."""

import keras
from keras import ops

from keras_sagan.layers import kernels
from keras_sagan.layers.feature_maps import from_channels_last, to_channels_last
from keras_sagan.layers.kernels.reference import any_conv


def add_bias(x, bias):
    """Adds (channels,) to (batch, height, width, channels)."""
    if keras.backend.backend() != "tensorflow":
        return x + bias
    import tensorflow as tf

    # The gradient of a plain addition takes two to three times as long.
    return tf.nn.bias_add(x, ops.convert_to_tensor(bias))


def _finished(layer, outputs):
    """Adds the bias of a layer; then its data format, in which the activation is taken."""
    outputs = add_bias(outputs, layer.bias) if layer.use_bias else outputs
    return layer.activation(from_channels_last(outputs, layer.data_format))


@keras.saving.register_keras_serializable(package="keras_sagan")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, "same" unless told, that trains faster where maps are small, on CPUs.

    That is with 256 channels or more, where it is "same", with one stride for rows and columns and
    neither dilation nor groups. All else computes as in Keras, in either data format on every
    device.

    Args:
        filters: Output channels.
        kernel_size: Height and width of the kernel.
        strides: Of rows and columns.
        padding: "same" or "valid".
        **kwargs: Of `keras.layers.Conv2D`.
    """

    def __init__(self, filters, kernel_size, strides=1, padding="same", **kwargs):
        super().__init__(filters, kernel_size, strides, padding, **kwargs)

    def call(self, inputs, training=None):
        inputs = to_channels_last(inputs, self.data_format)
        even = self.strides[0] == self.strides[1]
        if self.padding == "same" and even and self.dilation_rate == (1, 1) and self.groups == 1:
            outputs = kernels.conv(inputs, self.kernel, self.strides[0], training)
        else:
            outputs = any_conv(inputs, self.kernel, self.strides, self.padding, self.dilation_rate)
        return _finished(self, outputs)


@keras.saving.register_keras_serializable(package="keras_sagan")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """A `keras.layers.Conv2DTranspose` that trains faster likewise: one that doubles, or starts.

    That is with strides of 2 and "same" padding, which doubles height and width; and with strides
    of 1 and "valid" padding on maps of 1x1. All else computes as in Keras, in either data format
    on every device.

    Args:
        filters: Output channels.
        kernel_size: Height and width of the kernel.
        strides: Of rows and columns.
        padding: "same" or "valid".
        **kwargs: Of `keras.layers.Conv2DTranspose`.
    """

    def __init__(self, filters, kernel_size, strides=2, padding="same", **kwargs):
        super().__init__(filters, kernel_size, strides, padding, **kwargs)

    def call(self, inputs, training=None):
        inputs = to_channels_last(inputs, self.data_format)
        form = (self.padding, *self.strides)
        if self.output_padding is not None:
            outputs = self._as_keras(inputs)
        elif self.dilation_rate != (1, 1):
            outputs = self._dilated(inputs)
        elif form == ("valid", 1, 1) and tuple(inputs.shape[1:3]) == (1, 1):
            outputs = self._start(inputs)
        elif form == ("same", 2, 2):
            outputs = kernels.conv_transpose(inputs, self.kernel, 2, training)
        else:
            outputs = self._as_keras(inputs)
        return _finished(self, outputs)

    def _as_keras(self, inputs):
        return ops.conv_transpose(
            inputs,
            self.kernel,
            self.strides,
            self.padding,
            self.output_padding,
            data_format="channels_last",
            dilation_rate=self.dilation_rate,
        )

    def _dilated(self, inputs):
        """With a dilation, which goes with strides of 1: the convolution by the turned kernel.

        TensorFlow has no transposed convolution with a dilation on CPUs without oneDNN.
        """
        pads = [(0, 0)]
        for size, rate in zip(self.kernel_size, self.dilation_rate, strict=True):
            rest = rate * (size - 1)
            after = rest // 2 if self.padding == "same" else rest
            before = rest - after if self.padding == "same" else rest
            pads.append((before, after))
        kernel = ops.transpose(ops.flip(self.kernel, (0, 1)), (0, 1, 3, 2))
        inputs = ops.pad(inputs, [*pads, (0, 0)])
        return any_conv(inputs, kernel, dilation_rate=self.dilation_rate)

    def _start(self, inputs):
        """The transposed convolution of a single location: a matrix product."""
        *shape, channels = self.kernel.shape
        matrix = ops.transpose(ops.reshape(self.kernel, (-1, channels)))
        return ops.reshape(ops.matmul(ops.reshape(inputs, (-1, channels)), matrix), (-1, *shape))
