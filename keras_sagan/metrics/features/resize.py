"""The bilinear resize of TensorFlow 1, which figures with the 2015 Inception network rest on."""

import keras
import numpy as np


def resize_like_tensorflow1(images, size):
    """Resizes pictures as `tf.image.resize_bilinear` of TensorFlow 1 did.

    Row i of the result is taken at row `i * height / size` of the picture: not at half pixels, and
    not smoothed where pictures shrink. Later libraries do both, and change a FID by it.

    Args:
        images: Floats (batch, height, width, channels), of any range.
        size: Height and width of the result.

    Returns:
        (batch, size, size, channels).

    Reference: torch-fidelity's `interpolate_bilinear_2d_like_tensorflow1x` gives the same.
    """
    # Columns first: each sum is rounded, and so the order is part of the result.
    return _resize(_resize(images, size, axis=2), size, axis=1)


def _resize(images, size, axis):
    length = images.shape[axis]
    places = np.arange(size, dtype="float32") * np.float32(length / size)
    before = places.astype("int32")
    shape = [1, 1, 1, 1]
    shape[axis] = size
    share = (places - before.astype("float32")).reshape(shape)
    low = keras.ops.take(images, before, axis=axis)
    high = keras.ops.take(images, np.minimum(before + 1, length - 1), axis=axis)
    return low + (high - low) * share
