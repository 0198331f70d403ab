"""The plain implementations, for every device and backend."""

import keras
from keras import ops

from keras_sagan.layers.kernels.attention import blockwise_attention, dense_attention


def conv(inputs, kernel, stride):
    """See `kernels.conv`."""
    return ops.conv(inputs, kernel, strides=stride, padding="same")


def conv_transpose(inputs, kernel, stride):
    """See `kernels.conv_transpose`."""
    return ops.conv_transpose(inputs, kernel, strides=stride, padding="same")


def attention(query, key, value, block):
    """See `kernels.attention`."""
    if block is None:
        return dense_attention(query, key, value)[0]
    if keras.backend.backend() == "tensorflow":
        return _attention_in_blocks(query, key, value, block)
    return blockwise_attention(query, key, value, block)


def _attention_in_blocks(query, key, value, block):
    """`blockwise_attention` in TensorFlow's own loop, which can be differentiated twice."""
    import tensorflow as tf

    from keras_sagan.layers.kernels.recompute import recomputed

    queries = query.shape[1]
    blocks = -(-queries // block)
    padded = tf.pad(query, ((0, 0), (0, blocks * block - queries), (0, 0)))
    parts = tf.reshape(padded, (-1, blocks, block, query.shape[-1]))

    def attend(query, key, value):
        dtype = query.dtype
        return dense_attention(query, tf.cast(key, dtype), tf.cast(value, dtype))[0]

    # The loop sums the gradients of key and value over hundreds of blocks, so in float32.
    key, value = tf.cast(key, tf.float32), tf.cast(value, tf.float32)
    attended = tf.map_fn(
        lambda part: recomputed(attend, part, key, value),
        tf.transpose(parts, (1, 0, 2, 3)),
        fn_output_signature=query.dtype,
        parallel_iterations=1,
    )
    whole = tf.transpose(attended, (1, 0, 2, 3))
    return tf.reshape(whole, (-1, blocks * block, value.shape[-1]))[:, :queries]


def batch_norm(inputs, gain, bias, epsilon):
    """See `kernels.batch_norm`: one operation, which all devices of TensorFlow have."""
    import tensorflow as tf

    channels = inputs.shape[-1]
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.ones(channels) if gain is None else gain,
        offset=tf.zeros(channels) if bias is None else bias,
        mean=[],
        variance=[],
        epsilon=epsilon,
        is_training=True,
    )
    # The operation divides the variance by one less than the number of locations.
    count = tf.cast(tf.size(inputs) // channels, tf.float32)
    return outputs, mean, variance * (count - 1.0) / count
