"""Convolutions on TensorFlow, as matrix products where the maps are small.

oneDNN's convolutions divide the locations of a map into blocks. On a map of 4x4 there are too
few: with 1024 channels they run at a third of the rate of the matrix product of the patches and
the kernel, and at a tenth in bfloat16 where the gradient of the kernel is concerned.
"""

import tensorflow as tf

from keras_sagan.layers.tensorflow_device import on_cpu

# Locations of the smaller of the two maps, up to which all is faster as a product; and up to
# which the gradient of a kernel is, if it has as many channels there.
_SMALL = 16
_SMALL_FOR_KERNEL = 64
_CHANNELS_FOR_KERNEL = 512


def conv(inputs, kernel, stride):
    """A "same" convolution.

    Args:
        inputs: (batch, height, width, channels), height and width multiples of the stride.
        kernel: (size, size, channels, filters).
        stride: A number.

    Returns:
        (batch, height / stride, width / stride, filters).
    """
    height, width = (side and side // stride for side in inputs.shape[1:3])
    if not _as_product(height, width, kernel, stride):
        return tf.nn.conv2d(inputs, kernel, stride, "SAME")

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradient(upstream):
            return (
                conv_transpose(upstream, kernel, stride),
                _kernel_gradient(inputs, upstream, kernel.shape, stride),
            )

        if height * width > _SMALL:
            return tf.nn.conv2d(inputs, kernel, stride, "SAME"), gradient
        matrix = tf.reshape(kernel, (-1, kernel.shape[-1]))
        return _product(_patches(inputs, kernel.shape[0], stride), matrix), gradient

    return convolve(inputs, tf.convert_to_tensor(kernel))  # not a variable


def conv_transpose(inputs, kernel, stride):
    """The transposed convolution: the gradient of `conv` by its inputs.

    Args:
        inputs: (batch, height, width, filters).
        kernel: (size, size, channels, filters).
        stride: A number.

    Returns:
        (batch, stride height, stride width, channels).
    """
    batch, (height, width) = tf.shape(inputs)[0], inputs.shape[1:3]
    channels = kernel.shape[2]

    def plain(inputs, kernel):
        shape = (batch, *(side * stride for side in tf.unstack(tf.shape(inputs)[1:3])), channels)
        return tf.nn.conv2d_transpose(inputs, kernel, shape, stride, "SAME")

    if not _as_product(height, width, kernel, stride):
        return plain(inputs, kernel)

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradient(upstream):
            return (
                conv(upstream, kernel, stride),
                _kernel_gradient(upstream, inputs, kernel.shape, stride),
            )

        if height * width > _SMALL:
            return plain(inputs, kernel), gradient
        if stride == 1:
            flipped = tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
            return conv(inputs, flipped, 1), gradient
        return _doubled(inputs, kernel), gradient

    return convolve(inputs, tf.convert_to_tensor(kernel))  # not a variable


def _as_product(height, width, kernel, stride):
    """Whether any of a convolution and its gradients is computed as a matrix product."""
    size, other, channels, filters = kernel.shape
    known = isinstance(height, int) and isinstance(width, int)
    if not (known and on_cpu() and size == other and (size % 2, stride) in ((1, 1), (0, 2))):
        return False
    if stride == 2 and size != 4:
        return False
    if height * width <= _SMALL:
        return min(channels, filters) >= 64
    return height * width <= _SMALL_FOR_KERNEL and filters >= _CHANNELS_FOR_KERNEL


def _product(x, matrix):
    """The product of the channels of (batch, height, width, channels) and a matrix."""
    rows = tf.matmul(tf.reshape(x, (-1, matrix.shape[0])), matrix)
    return tf.reshape(rows, (-1, *x.shape[1:3], matrix.shape[1]))


def _patches(images, size, stride):
    """(batch, height / stride, width / stride, size * size * channels)."""
    if size == 1:
        return images
    return tf.image.extract_patches(
        images, (1, size, size, 1), (1, stride, stride, 1), (1, 1, 1, 1), "SAME"
    )


def _kernel_gradient(images, maps, shape, stride):
    """The gradient of a kernel between images and maps that are smaller by the stride."""
    patches = _patches(images, shape[0], stride)
    rows = (tf.reshape(x, (-1, x.shape[-1])) for x in (patches, maps))
    return tf.reshape(tf.matmul(*rows, transpose_a=True), shape)


def _doubled(maps, kernel):
    """The transposed convolution of stride 2 with a 4x4 kernel.

    Rows 0, 2, ... of the result come from rows 3 and 1 of the kernel, rows 1, 3, ... from 2 and
    0, and columns alike. So each of the four parts is a product of 2x2 patches.
    """
    batch, height, width, _ = (tf.shape(maps)[0], *maps.shape[1:])
    patches = tf.image.extract_patches(
        tf.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0))),
        (1, 2, 2, 1),
        (1, 1, 1, 1),
        (1, 1, 1, 1),
        "VALID",
    )
    parts = []
    for row in range(2):
        for column in range(2):
            taps = kernel[3 - row :: -2, 3 - column :: -2]
            matrix = tf.reshape(tf.transpose(taps, (0, 1, 3, 2)), (-1, kernel.shape[2]))
            window = patches[:, row : row + height, column : column + width]
            parts.append(_product(window, matrix))
    parts = tf.reshape(tf.stack(parts, axis=3), (batch, height, width, 2, 2, -1))
    parts = tf.transpose(parts, (0, 1, 3, 2, 4, 5))
    return tf.reshape(parts, (batch, 2 * height, 2 * width, kernel.shape[2]))
