"""Convolutions on CPUs, as matrix products where the maps are small and have many channels.

oneDNN's convolutions divide the locations of a map into blocks. On a map of 4x4 there are too
few: with 1024 channels they run at a third of the rate of the matrix product of the patches and
the kernel, and at a tenth in bfloat16 where the gradient of the kernel is concerned.
"""

import numpy as np
import tensorflow as tf

from keras_sagan.layers.kernels.cpu_product import float32_for_emulated, product

# Locations of the smaller of the two maps, up to which all is faster as a product, and channels of
# both from which on it is. With fewer a step is a tenth slower (`python -m benchmarks.kernels`).
_SMALL = 16
_CHANNELS = 256


@float32_for_emulated
def conv(inputs, kernel, stride):
    """See `kernels.conv`."""
    divides = all(side and side % stride == 0 for side in inputs.shape[1:3])
    sides = [side and side // stride for side in inputs.shape[1:3]]
    # Not for all: with a gradient of ours on every convolution TensorFlow's remapper fails.
    if not (divides and _is_product(sides, kernel, stride)):
        return tf.nn.conv2d(inputs, kernel, stride, "SAME")

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradient(upstream):
            return (
                conv_transpose(upstream, kernel, stride),
                _kernel_gradient(inputs, upstream, kernel, stride),
            )

        matrix = tf.reshape(kernel, (-1, kernel.shape[-1]))
        return _times(_patches(inputs, kernel.shape[0], stride), matrix), gradient

    return convolve(inputs, tf.convert_to_tensor(kernel))  # not a variable


@float32_for_emulated
def conv_transpose(inputs, kernel, stride):
    """See `kernels.conv_transpose`."""
    sides = inputs.shape[1:3]
    if not _is_product(sides, kernel, stride):
        batch, *found = tf.unstack(tf.shape(inputs)[:3])
        # Numbers where they are known: the gradient needs them.
        sizes = (stride * (side or f) for side, f in zip(sides, found, strict=True))
        shape = (batch, *sizes, kernel.shape[2])
        return tf.nn.conv2d_transpose(inputs, kernel, shape, stride, "SAME")

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradient(upstream):
            return (
                conv(upstream, kernel, stride),
                _kernel_gradient(upstream, inputs, kernel, stride),
            )

        if stride == 1:
            flipped = tf.transpose(tf.reverse(kernel, (0, 1)), (0, 1, 3, 2))
            return conv(inputs, flipped, 1), gradient
        return _doubled(inputs, kernel), gradient

    return convolve(inputs, tf.convert_to_tensor(kernel))  # not a variable


def _is_product(sides, kernel, stride):
    """Whether a convolution and its gradients are computed as matrix products.

    Args:
        sides: Height and width of the smaller of the two maps, None where unknown.
        kernel: See `conv`.
        stride: See `conv`.
    """
    size, other, *channels = kernel.shape
    known = (size % 2 and stride == 1) or (size, stride) == (4, 2)
    small = None not in sides and np.prod(sides) <= _SMALL
    return known and size == other and small and min(channels) >= _CHANNELS


def _times(x, matrix):
    """The product of the channels of (batch, height, width, channels) and a matrix."""
    rows = tf.matmul(tf.reshape(x, (-1, matrix.shape[0])), matrix)
    return tf.reshape(rows, (-1, *x.shape[1:3], matrix.shape[1]))


def _patches(images, size, stride):
    """(batch, height / stride, width / stride, size * size * channels)."""
    if size == 1:
        return images
    before = (size - stride) // 2
    around = (before, size - stride - before)
    steps = (stride * np.arange(side // stride) for side in images.shape[1:3])
    rows, columns = (first[:, None] + np.arange(size) for first in steps)
    return _pixels(tf.pad(images, ((0, 0), around, around, (0, 0))), rows, columns)


def _pixels(images, rows, columns):
    """What is at (height, n) rows and (width, n) columns: (batch, height, width, n * n * channels).

    Whole pixels are copied, which takes a quarter of the time of `tf.image.extract_patches`.
    """
    width, channels = images.shape[2:]
    places = rows[:, None, :, None] * width + columns[None, :, None, :]
    pixels = tf.reshape(images, (-1, images.shape[1] * width, channels))
    found = tf.gather(pixels, places.reshape(-1), axis=1)
    return tf.reshape(found, (-1, len(rows), len(columns), rows.shape[1] ** 2 * channels))


def _kernel_gradient(images, maps, kernel, stride):
    """The gradient of a kernel between images and maps that are smaller by the stride."""
    patches = _patches(images, kernel.shape[0], stride)
    rows = (tf.reshape(x, (-1, x.shape[-1])) for x in (patches, maps))
    return tf.reshape(product(*rows), kernel.shape)


def _doubled(maps, kernel):
    """The transposed convolution of stride 2 with a 4x4 kernel.

    Rows 0, 2, ... of the result come from rows 3 and 1 of the kernel, rows 1, 3, ... from 2 and
    0, and columns alike. So each of the four parts is a product of 2x2 patches.
    """
    height, width = maps.shape[1:3]
    channels = kernel.shape[2]
    padded = tf.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = tf.reshape(kernel, (16, channels, -1))
    parts = []
    for row in range(2):
        for column in range(2):
            rows, columns = (
                offset + np.arange(side)[:, None] + np.arange(2)
                for side, offset in ((height, row), (width, column))
            )
            places = [4 * i + j for i in (3 - row, 1 - row) for j in (3 - column, 1 - column)]
            matrix = tf.reshape(tf.transpose(tf.gather(taps, places), (0, 2, 1)), (-1, channels))
            parts.append(_times(_pixels(padded, rows, columns), matrix))
    parts = tf.reshape(tf.stack(parts, axis=3), (-1, height, width, 2, 2, channels))
    parts = tf.transpose(parts, (0, 1, 3, 2, 4, 5))
    return tf.reshape(parts, (-1, 2 * height, 2 * width, channels))
