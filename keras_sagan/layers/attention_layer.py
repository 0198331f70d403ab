"""What layers of attention have in common: locations that attend, a block of queries at a time."""

from keras import ops

from keras_sagan.layers import kernels
from keras_sagan.layers.feature_maps import FeatureMapLayer
from keras_sagan.layers.kernels.attention import dense_attention

# Entries of the map of a picture up to which "auto" holds all of it, and of a block beyond.
_DENSE = 1 << 20
_BLOCK = 1 << 20


class AttentionLayer(FeatureMapLayer):
    """A layer whose locations attend to each other.

    Args:
        query_block: How many queries attend at a time: None for all at once; a number for memory
            linear in the size of the map, at the price of computing the softmax once more for
            the gradient; or "auto" for blocks where the map of a picture has more than 2^20
            entries (1024 queries and keys). The numbers are the same.
        **kwargs: `data_format`, and those of `keras.layers.Layer`.

    Raises:
        ValueError: Another `query_block`.
    """

    def __init__(self, query_block="auto", **kwargs):
        super().__init__(**kwargs)
        whole = type(query_block) is int and query_block >= 1
        if not (whole or query_block in (None, "auto")):
            raise ValueError(
                f'query_block must be "auto", None or a number from 1 on, got {query_block!r}'
            )
        self.query_block = query_block

    def attend(self, query, key, value, return_attention=False, training=False):
        """Returns what the locations of `query` take from those of `value`, and the map.

        Args:
            query: (batch, height, width, key channels).
            key: (batch, rows, columns, key channels).
            value: (batch, rows, columns, value channels).
            return_attention: Whether to give the map, for which all queries attend at once.
            training: Whether gradients will follow.

        Returns:
            (batch, height, width, value channels), and (batch, queries, keys) float32 or None.
        """
        shape = (*ops.shape(query)[:-1], value.shape[-1])
        query, key, value = (_flat(x) for x in (query, key, value))
        block, queries, keys = self.query_block, query.shape[1], key.shape[1]
        known = isinstance(queries, int) and isinstance(keys, int)
        attention = None
        if return_attention:
            attended, attention = dense_attention(query, key, value)
        elif block is None or not known:
            attended, _ = dense_attention(query, key, value)
        else:
            if block == "auto":
                block = None if queries * keys <= _DENSE else max(_BLOCK // keys, 1)
            attended = kernels.attention(query, key, value, block, training)
        return ops.reshape(attended, shape), attention

    def get_config(self):
        return {**super().get_config(), "query_block": self.query_block}


def _flat(x):
    batch, height, width, channels = ops.shape(x)
    return ops.reshape(x, (batch, height * width, channels))
