"""Matrix products on CPUs."""

import functools

import tensorflow as tf

from keras_sagan.layers.kernels.device import emulates_bfloat16


def product(wide, narrow):
    """Returns `wide' narrow`, of (..., n, a) and (..., n, b) with a >= b: (..., a, b).

    oneDNN copies what it transposes on the left, so in float32 that is the narrow one: a quarter
    to a third faster on CPUs with AVX-512.
    """
    if wide.dtype != tf.float32:
        return tf.matmul(wide, narrow, transpose_a=True)
    return tf.linalg.matrix_transpose(tf.matmul(narrow, wide, transpose_a=True))


def float32_for_emulated(function):
    """Has a function of tensors, and its gradient, run in float32 where bfloat16 is emulated.

    oneDNN's products in emulated bfloat16 run at a third of the rate of those in float32, and add
    in float32 too. So the result is the same but for the order of additions.

    Args:
        function: Of tensors of one dtype, then of other arguments; returns a tensor.

    Returns:
        A function with the same arguments and the same dtypes.
    """

    @functools.wraps(function)
    def call(*arguments):
        dtype = arguments[0].dtype
        if dtype != tf.bfloat16 or not emulates_bfloat16():
            return function(*arguments)
        arguments = [tf.cast(x, tf.float32) if tf.is_tensor(x) else x for x in arguments]
        return tf.cast(function(*arguments), dtype)

    return call
