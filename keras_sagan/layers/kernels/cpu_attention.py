"""The evaluations of attention on CPUs: the numbers of `attention.py`, faster.

TensorFlow runs operation by operation, so every pass over a softmax that is larger than the
caches goes through memory. A few pictures at a time are worked on, and the backward pass has as
few passes as can be: with `o = P v` the gradient of the logits is `P * (do v' - d)`, where `d` is
the sum of `do * o` over the channels, and a column `-d` beside `do` and one of ones beside `v`
make the matrix product subtract it.
"""

import functools

import tensorflow as tf

from keras_sagan.layers.kernels.attention import dense_attention
from keras_sagan.layers.kernels.cpu_product import float32_for_emulated, product

# Entries of the softmax that are worked on at a time, and at most so many such pieces.
_PIECE = 1 << 21
_PIECES = 64


@float32_for_emulated
def attention(query, key, value, block, training=False):
    """See `kernels.attention`."""
    if block is None:
        return _dense(query, key, value, _remembered if training else _attended)
    return _blockwise(query, key, value, block, training)


def _dense(query, key, value, attend):
    batch, queries, _ = query.shape
    pieces = 1
    if None not in (batch, queries, key.shape[1]):
        pieces = min(-(-batch * queries * key.shape[1] // _PIECE), batch, _PIECES)
    sizes = [batch // pieces + (i < batch % pieces) for i in range(pieces)] if pieces > 1 else 1
    parts = zip(*(tf.split(x, sizes) for x in (query, key, value)), strict=True)
    return tf.concat([attend(*part) for part in parts], axis=0)


def _attended(query, key, value):
    return tf.matmul(_softmax(query, key), value)


@tf.custom_gradient
def _remembered(query, key, value):
    softmax = _softmax(query, key)
    outputs = tf.matmul(softmax, value)

    def backward(query, key, value, upstream):
        return _gradients(query, key, value, softmax, outputs, upstream)

    return outputs, _gradient(backward, query, key, value)


def _blockwise(query, key, value, block, training):
    queries = query.shape[1]
    blocks = -(-queries // block)
    padding = [[0, 0], [0, blocks * block - queries], [0, 0]]

    def grouped(x):  # a picture at a time
        return tf.reshape(x, (tf.shape(query)[0], -1, *x.shape[1:]))

    def in_blocks(x):  # (group, queries, channels) to (blocks, group, block, channels)
        return tf.transpose(tf.reshape(x, (-1, blocks, block, x.shape[-1])), (1, 0, 2, 3))

    def whole(x):
        return tf.reshape(tf.transpose(x, (1, 0, 2, 3)), (-1, blocks * block, x.shape[-1]))

    def each_group(function, tensors, outputs):
        parts = tf.map_fn(
            lambda group: function(*group),
            tuple(grouped(x) for x in tensors),
            fn_output_signature=tf.nest.map_structure(lambda x: x.dtype, outputs),
            parallel_iterations=2,
        )
        return tf.nest.map_structure(lambda x: tf.reshape(x, (-1, *x.shape[2:])), parts)

    def forward(query, key, value):
        return whole(
            tf.map_fn(
                lambda q: _attended(q, key, value),
                in_blocks(query),
                fn_output_signature=value.dtype,
                parallel_iterations=1,
            )
        )

    def backward(query, key, value, upstream, outputs):
        query, upstream, outputs = (in_blocks(x) for x in (query, upstream, outputs))

        def of_block(i, d_query, d_key, d_value):
            softmax = _softmax(query[i], key)
            of_query, of_key, of_value = _gradients(
                query[i], key, value, softmax, outputs[i], upstream[i]
            )
            # Summed in float32: there may be hundreds of blocks.
            d_key += tf.cast(of_key, tf.float32)
            d_value += tf.cast(of_value, tf.float32)
            return i + 1, d_query.write(i, of_query), d_key, d_value

        start = (
            0,
            tf.TensorArray(query.dtype, blocks, element_shape=query.shape[1:]),
            tf.zeros_like(key, tf.float32),
            tf.zeros_like(value, tf.float32),
        )
        _, d_query, d_key, d_value = tf.while_loop(
            lambda i, *_: i < blocks, of_block, start, parallel_iterations=1
        )
        return whole(d_query.stack()), tf.cast(d_key, key.dtype), tf.cast(d_value, value.dtype)

    def attend(*tensors):
        return each_group(forward, tensors, value)

    @tf.custom_gradient
    def remembered(query, key, value):
        outputs = attend(query, key, value)

        def of_all(query, key, value, upstream):
            return each_group(backward, (query, key, value, upstream, outputs), (query, key, value))

        return outputs, _gradient(of_all, query, key, value)

    call = remembered if training else attend
    return call(tf.pad(query, padding), key, value)[:, :queries]


def _softmax(query, key):
    logits = tf.matmul(query, key, transpose_b=True)
    if query.dtype == tf.float32 or _softmax_is_float32(query.dtype):
        return tf.nn.softmax(logits)
    return tf.cast(tf.nn.softmax(tf.cast(logits, tf.float32)), query.dtype)


@functools.cache
def _softmax_is_float32(dtype):
    """Whether the softmax of a 16-bit type runs in float32 inside, as oneDNN's does."""
    with tf.init_scope():
        logits = tf.cast(tf.linspace([-16.0], [0.0], 256, axis=-1), dtype)
        expected = tf.cast(tf.nn.softmax(tf.cast(logits, tf.float32)), dtype)
        return bool(tf.reduce_all(tf.nn.softmax(logits) == expected))


def _gradients(query, key, value, softmax, outputs, upstream):
    """The gradients by the query, the key and the value."""
    products = tf.cast(upstream, tf.float32) * tf.cast(outputs, tf.float32)
    mean = -tf.reduce_sum(products, axis=-1, keepdims=True)
    columns = [tf.cast(mean, value.dtype)]
    if value.dtype != tf.float32:  # a second column has what 16 bits leave out
        columns.append(tf.cast(mean - tf.cast(columns[0], tf.float32), value.dtype))
    ones = tf.ones_like(value[..., : len(columns)])
    d_logits = softmax * tf.matmul(
        tf.concat([upstream, *columns], axis=-1),
        tf.concat([value, ones], axis=-1),
        transpose_b=True,
    )
    return (
        tf.matmul(d_logits, key),
        product(d_logits, query),
        product(softmax, upstream),
    )


def _gradient(backward, query, key, value):
    """Returns the gradient function of attention, which can itself be differentiated.

    Gradient penalties do. TensorFlow sees nothing of what `backward` took from the forward pass,
    so the second derivatives are those of the definition.
    """

    @tf.custom_gradient
    def gradients(query, key, value, upstream):
        def second(*weights):
            variables = (query, key, value, upstream)
            with tf.GradientTape() as outer:
                outer.watch(variables)
                with tf.GradientTape() as inner:
                    inner.watch(variables[:3])
                    outputs, _ = dense_attention(*variables[:3])
                first = inner.gradient(outputs, variables[:3], output_gradients=upstream)
            return outer.gradient(first, variables, output_gradients=weights)

        return backward(query, key, value, upstream), second

    return lambda upstream: gradients(query, key, value, upstream)
