"""The plain implementations, for every device and backend."""

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
    return blockwise_attention(query, key, value, block)


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
