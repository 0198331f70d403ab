"""The plain implementations, for every device and backend."""

import keras
from keras import ops

from keras_sagan.layers.kernels.attention import blockwise_attention, dense_attention


def conv(inputs, kernel, stride):
    """See `kernels.conv`."""
    return any_conv(inputs, kernel, stride, "same")


def any_conv(inputs, kernel, strides=1, padding="valid", dilation_rate=1):
    """`keras.ops.conv` of (batch, height, width, channels)."""
    kernel = ops.convert_to_tensor(kernel)
    options = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
    if keras.backend.backend() != "torch":
        return ops.conv(inputs, kernel, data_format="channels_last", **options)
    # On CPUs without instructions for bfloat16 and float16 PyTorch has gradients of kernels in its
    # own order alone, (filters, channels, height, width), which Keras would not keep them in.
    kernel = kernel.permute(3, 2, 0, 1).contiguous().permute(2, 3, 1, 0)
    inputs = ops.transpose(inputs, (0, 3, 1, 2))
    outputs = ops.conv(inputs, kernel, data_format="channels_first", **options)
    return ops.transpose(outputs, (0, 2, 3, 1))


def conv_transpose(inputs, kernel, stride):
    """See `kernels.conv_transpose`."""
    return ops.conv_transpose(
        inputs, kernel, strides=stride, padding="same", data_format="channels_last"
    )


def attention(query, key, value, block, training=False):
    """See `kernels.attention`."""
    if block is None:
        return dense_attention(query, key, value)[0]
    if keras.backend.backend() == "tensorflow":
        return _attention_in_blocks(query, key, value, block, training)
    if keras.backend.backend() == "torch":
        return _attention_of_blocks(query, key, value, block)
    return blockwise_attention(query, key, value, block)


def _attention_in_blocks(query, key, value, block, training):
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
        lambda part: recomputed(attend, part, key, value) if training else attend(part, key, value),
        tf.transpose(parts, (1, 0, 2, 3)),
        fn_output_signature=query.dtype,
        parallel_iterations=1,
    )
    whole = tf.transpose(attended, (1, 0, 2, 3))
    return tf.reshape(whole, (-1, blocks * block, value.shape[-1]))[:, :queries]


def _attention_of_blocks(query, key, value, block):
    """`blockwise_attention` in PyTorch, which computes each block again for the gradient."""
    import torch
    from torch.utils.checkpoint import checkpoint

    # The gradients of key and value are sums over hundreds of blocks, so in float32.
    key, value = key.float(), value.float()

    def attend(part):
        return dense_attention(part, key.to(part.dtype), value.to(part.dtype))[0]

    parts = (checkpoint(attend, part, use_reentrant=False) for part in query.split(block, dim=1))
    return torch.cat(list(parts), dim=1)


def batch_norm(inputs, gain, bias, epsilon):
    """See `kernels.batch_norm`: one operation, which all devices of TensorFlow have."""
    import tensorflow as tf

    channels = inputs.shape[-1]
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.ones(channels) if gain is None else tf.cast(gain, tf.float32),
        offset=tf.zeros(channels) if bias is None else tf.cast(bias, tf.float32),
        mean=[],
        variance=[],
        epsilon=epsilon,
        is_training=True,
    )
    # The operation divides the variance by one less than the number of locations.
    count = tf.cast(tf.size(inputs) // channels, tf.float32)
    return outputs, mean, variance * (count - 1.0) / count
