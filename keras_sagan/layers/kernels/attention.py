"""Exact attention, all queries at once or in blocks in memory linear in the size of the map.

The definition and its evaluation on every backend; `cpu_attention.py` has that for CPUs.
"""

from keras import ops


def dense_attention(query, key, value):
    """Returns `softmax(query key') value` and the softmax.

    The softmax runs in float32 whatever the dtype of the rest.

    Args:
        query: (batch, queries, key channels).
        key: (batch, keys, key channels).
        value: (batch, keys, value channels).

    Returns:
        (batch, queries, value channels) of the dtype of `value`, and (batch, queries, keys)
        float32.
    """
    logits = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
    attention = ops.softmax(ops.cast(logits, "float32"), axis=-1)
    return ops.matmul(ops.cast(attention, value.dtype), value), attention


def blockwise_attention(query, key, value, block):
    """Returns the first output of `dense_attention` without ever holding all of the softmax.

    Queries are independent of each other, so each block of them has its whole softmax at once and
    nothing is approximated. The backward pass computes the softmax of each block again (Rabe and
    Staats, Self-attention Does Not Need O(n^2) Memory, arXiv:2112.05682).

    Args:
        query: (batch, queries, key channels), with a known number of queries.
        key: (batch, keys, key channels).
        value: (batch, keys, value channels).
        block: Queries at a time. The rest of a division is filled with zeros and dropped.

    Returns:
        (batch, queries, value channels).
    """
    queries = query.shape[1]
    blocks = -(-queries // block)
    padding = [[0, 0], [0, blocks * block - queries], [0, 0]]
    return _attend(ops.pad(query, padding), key, value, block, blocks)[:, :queries]


def _attend(query, key, value, block, blocks):
    @ops.custom_gradient
    def attend(query, key, value):
        def forward(i, outputs):
            attended, _ = dense_attention(_block(query, i, block), key, value)
            return _with_block(outputs, attended, i, block)

        shape = (ops.shape(query)[0], blocks * block, value.shape[-1])
        outputs = ops.fori_loop(0, blocks, forward, ops.zeros(shape, value.dtype))

        def gradient(upstream):
            def backward(i, gradients):
                d_query, d_key, d_value = gradients
                q, d_output = _block(query, i, block), _block(upstream, i, block)
                _, attention = dense_attention(q, key, value)
                d_value = d_value + _float(_product(_cast(attention, value), d_output))
                d_attention = _float(ops.matmul(d_output, ops.transpose(value, (0, 2, 1))))
                # The sum over keys of d_attention * attention.
                output = _block(outputs, i, block)
                mean = ops.sum(_float(d_output) * _float(output), axis=-1, keepdims=True)
                d_logits = _cast(attention * (d_attention - mean), query)
                d_query = _with_block(d_query, ops.matmul(d_logits, key), i, block)
                return d_query, d_key + _float(_product(d_logits, q)), d_value

            # Sums over blocks in float32: there may be hundreds.
            zeros = ops.zeros_like
            start = (zeros(query), zeros(_float(key)), zeros(_float(value)))
            d_query, d_key, d_value = ops.fori_loop(0, blocks, backward, start)
            return d_query, _cast(d_key, key), _cast(d_value, value)

        return outputs, gradient

    return attend(query, key, value)


def _block(x, i, block):
    return ops.slice(x, (0, i * block, 0), (ops.shape(x)[0], block, x.shape[-1]))


def _with_block(x, update, i, block):
    return ops.slice_update(x, (0, i * block, 0), update)


def _product(a, b):
    """a' b, over the queries."""
    return ops.matmul(ops.transpose(a, (0, 2, 1)), b)


def _float(x):
    return ops.cast(x, "float32")


def _cast(x, like):
    return ops.cast(x, like.dtype)
