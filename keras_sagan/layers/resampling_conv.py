"""A 3x3 convolution and a factor-2 resampling in one convolution.

Nearest-neighbour upsampling is a stride-2 transposed convolution with a 2x2 kernel of ones, and
2x2 average pooling a stride-2 convolution with one of quarters. Convolutions compose, so each
pair is one stride-2 convolution with the 4x4 kernel `K = W * ones(2, 2)`: the same numbers for
16 instead of 36 multiplications per input location, channel and filter.
"""

import keras
import numpy as np
from keras import ops

from keras_sagan.layers import kernels
from keras_sagan.layers.convolution import add_bias
from keras_sagan.layers.feature_maps import (
    FeatureMapLayer,
    channels_last_shape,
    from_channels_last,
    to_channels_last,
)


class _ResamplingConv2D(FeatureMapLayer):
    """A layer with a trained 3x3 kernel that computes with a 4x4 one."""

    def __init__(
        self,
        filters,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        channels = channels_last_shape(input_shape, self.data_format)[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(3, 3, channels, self.filters),
            initializer=self.kernel_initializer,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.filters,), initializer=self.bias_initializer
            )

    def get_config(self):
        config = super().get_config()
        config.update(
            filters=self.filters,
            use_bias=self.use_bias,
            kernel_initializer=keras.initializers.serialize(self.kernel_initializer),
            bias_initializer=keras.initializers.serialize(self.bias_initializer),
        )
        return config

    def _finished(self, x):
        x = add_bias(x, self.bias) if self.use_bias else x
        return from_channels_last(x, self.data_format)


# Where a row of a 3x3 kernel goes in the 4x4 one: full convolution with (1, 1).
_ROWS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]])


def _spread(kernel, rows):
    """A 4x4 kernel from a 3x3 one (3, 3, a, b), by the matrix (4, 3) for rows and columns.

    A product with all of the kernel is one pass over it; padding and adding are six.
    """
    kernel = ops.convert_to_tensor(kernel)
    matrix = ops.convert_to_tensor(np.kron(rows, rows), kernel.dtype)
    return ops.reshape(ops.matmul(matrix, ops.reshape(kernel, (9, -1))), (4, 4, *kernel.shape[2:]))


@keras.saving.register_keras_serializable(package="keras_sagan")
class UpsampleConv2D(_ResamplingConv2D):
    """Nearest-neighbour upsampling by 2, then a 3x3 "same" convolution, in one operation.

    The trained variable `kernel` is that of the 3x3 convolution, (3, 3, channels, filters).

    Args:
        filters: Output channels.
        use_bias: Whether to add a bias.
        kernel_initializer: Of the 3x3 kernel.
        bias_initializer: Of the bias.
        **kwargs: `data_format`, by default `keras.config.image_data_format()`; and those of
            `keras.layers.Layer`.

    Call arguments:
        inputs: (batch, height, width, channels). The output is
            (batch, 2 height, 2 width, filters).

    Example:

    >>> keras_sagan.layers.UpsampleConv2D(64)(keras.ops.ones((1, 8, 8, 128))).shape
    (1, 16, 16, 64)
    """

    def call(self, inputs, training=None):
        inputs = to_channels_last(inputs, self.data_format)
        return self._finished(kernels.conv_transpose(inputs, self.transposed_kernel(), 2, training))

    def transposed_kernel(self):
        """Returns the kernel of the equal stride-2 `Conv2DTranspose`: (4, 4, filters, channels)."""
        # A transposed convolution scatters, so its kernel is the mirrored one.
        return ops.transpose(_spread(self.kernel, _ROWS[:, ::-1]), (0, 1, 3, 2))


@keras.saving.register_keras_serializable(package="keras_sagan")
class DownsampleConv2D(_ResamplingConv2D):
    """A 3x3 "same" convolution, then 2x2 average pooling, in one operation.

    The trained variable `kernel` is that of the 3x3 convolution, (3, 3, channels, filters).

    Args:
        filters: Output channels.
        use_bias: Whether to add a bias.
        kernel_initializer: Of the 3x3 kernel.
        bias_initializer: Of the bias.
        **kwargs: `data_format`, by default `keras.config.image_data_format()`; and those of
            `keras.layers.Layer`.

    Call arguments:
        inputs: (batch, height, width, channels), height and width even. The output is
            (batch, height / 2, width / 2, filters).

    Raises:
        ValueError: An odd height or width.

    Example:

    >>> keras_sagan.layers.DownsampleConv2D(64)(keras.ops.ones((1, 16, 16, 3))).shape
    (1, 8, 8, 64)
    """

    def call(self, inputs, training=None):
        inputs = to_channels_last(inputs, self.data_format)
        height, width = inputs.shape[1:3]
        if any(size is not None and size % 2 for size in (height, width)):
            raise ValueError(
                f"DownsampleConv2D needs an even height and width, got {height} x {width}"
            )
        kernel = _spread(self.kernel, 0.5 * _ROWS)
        return self._finished(kernels.conv(inputs, kernel, 2, training))
