"""Self-attention over the locations of a feature map."""

import keras
from keras import ops

from keras_sagan.layers.attention_layer import AttentionLayer
from keras_sagan.layers.convolution import Conv2D
from keras_sagan.layers.feature_maps import (
    channels_last_shape,
    from_channels_last,
    to_channels_last,
)
from keras_sagan.layers.spectral_norm import SpectralNorm


@keras.saving.register_keras_serializable(package="keras_sagan")
class SelfAttention2D(AttentionLayer):
    """Self-attention of SAGAN: `y = gamma * o + x`, with `gamma` a trained scalar.

    With queries `g(x)`, keys `f(x)` and values `h(x)`, all 1x1 convolutions, output location `j`
    attends to input location `i` by `beta[j, i] = softmax_i(g(x_j) . f(x_i))` (eq. 1), and
    `o_j = v(sum_i beta[j, i] h(x_i))` (eq. 2). There is no `1 / sqrt(d)`. The softmax runs in
    float32 under every dtype policy.

    The three published forms:

    - the final paper and its official code, which are the defaults;
    - the paper's first version (arXiv:1805.08318v1), and most implementations:
      `value_reduction=1, pool_size=1, output_projection=False, use_bias=True,
      spectral_norm=False`;
    - the form printed in the paper, values in C/8 projected back to C:
      `value_reduction=8, pool_size=1`.

    Args:
        key_reduction: Queries and keys have `channels / key_reduction` channels.
        value_reduction: Values have `channels / value_reduction` channels. Without the output
            projection it must be 1.
        pool_size: Keys and values are max-pooled by this factor; 1 is no pooling.
        output_projection: Whether the 1x1 convolution `v` follows.
        use_bias: Whether the convolutions have a bias.
        spectral_norm: Whether the convolutions are spectrally normalised; "scaled" for a trained
            factor beside (see `SpectralNorm`).
        gamma_initializer: Of gamma. The paper's zeros begin with the features as they are.
        query_block: How many queries attend at a time: None for all at once; a number for memory
            linear in the size of the map, at the price of computing the softmax once more for
            the gradient; or "auto" for blocks where the map of a picture has more than 2^20
            entries (1024 queries and keys). The numbers are the same.
        **kwargs: `data_format`, by default `keras.config.image_data_format()`; and those of
            `keras.layers.Layer`.

    Call arguments:
        inputs: (batch, height, width, channels), any height and width.
        return_attention: Whether to return `(outputs, attention)`, where attention is
            (batch, queries, keys) float32, queries and keys row by row over the map and the
            pooled map; each row sums to 1. It takes all queries at once.
        training: As of all layers. Without it the memory of blocks is linear too, but not that of
            their gradients.

    Raises:
        ValueError: Channels that a reduction does not divide; values in other than `channels`
            channels without an output projection; another `query_block`.

    Example:

    >>> attention = keras_sagan.layers.SelfAttention2D()
    >>> features, weights = attention(features, return_attention=True)
    >>> features.shape, weights.shape
    ((16, 32, 32, 128), (16, 1024, 256))

    Reference:
        Zhang et al., Self-Attention Generative Adversarial Networks, ICML 2019
        (arXiv:1805.08318).
    """

    def __init__(
        self,
        key_reduction=8,
        value_reduction=2,
        pool_size=2,
        output_projection=True,
        use_bias=False,
        spectral_norm=True,
        gamma_initializer="zeros",
        query_block="auto",
        **kwargs,
    ):
        super().__init__(query_block=query_block, **kwargs)
        if value_reduction != 1 and not output_projection:
            raise ValueError(
                f"value_reduction={value_reduction} needs output_projection=True to come back to "
                "the channels of the input"
            )
        self.key_reduction = key_reduction
        self.value_reduction = value_reduction
        self.pool_size = pool_size
        self.output_projection = output_projection
        self.use_bias = use_bias
        self.spectral_norm = spectral_norm
        self.gamma_initializer = keras.initializers.get(gamma_initializer)

    def build(self, input_shape):
        input_shape = channels_last_shape(input_shape, self.data_format)
        channels = input_shape[-1]
        for argument in ("key_reduction", "value_reduction"):
            reduction = getattr(self, argument)
            if channels % reduction:
                raise ValueError(
                    f"SelfAttention2D got {channels} channels, which {argument}={reduction} "
                    "does not divide"
                )
        key_channels = channels // self.key_reduction
        value_channels = channels // self.value_reduction
        self.query = self._convolution("query", key_channels, input_shape)
        self.key = self._convolution("key", key_channels, input_shape)
        self.value = self._convolution("value", value_channels, input_shape)
        if self.output_projection:
            self.output_conv = self._convolution(
                "output", channels, (*input_shape[:-1], value_channels)
            )
        self.gamma = self.add_weight(name="gamma", shape=(), initializer=self.gamma_initializer)

    def call(self, inputs, return_attention=False, training=False):
        inputs = to_channels_last(inputs, self.data_format)
        query = self.query(inputs)
        key, value = self._pool(self.key(inputs)), self._pool(self.value(inputs))
        attended, attention = self.attend(query, key, value, return_attention, training)
        if self.output_projection:
            attended = self.output_conv(attended)
        outputs = from_channels_last(self.gamma * attended + inputs, self.data_format)
        return (outputs, attention) if return_attention else outputs

    def map_shape(self, input_shape):
        """Returns where an attention map lies: (height, width) of its queries and of its keys.

        Args:
            input_shape: (batch, height, width, channels), in the data format of the layer.
        """
        _, height, width, _ = channels_last_shape(input_shape, self.data_format)
        return (height, width), (-(-height // self.pool_size), -(-width // self.pool_size))

    def get_config(self):
        config = super().get_config()
        config.update(
            key_reduction=self.key_reduction,
            value_reduction=self.value_reduction,
            pool_size=self.pool_size,
            output_projection=self.output_projection,
            use_bias=self.use_bias,
            spectral_norm=self.spectral_norm,
            gamma_initializer=keras.initializers.serialize(self.gamma_initializer),
        )
        return config

    def _convolution(self, name, channels, input_shape):
        layer = Conv2D(
            channels,
            1,
            use_bias=self.use_bias,
            data_format="channels_last",
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name=name,
        )
        if self.spectral_norm:
            scale = self.spectral_norm == "scaled"
            layer = SpectralNorm(layer, scale=scale, trainable=self.trainable)
        layer.build(input_shape)
        return layer

    def _pool(self, x):
        if self.pool_size == 1:
            return x
        # "same" keeps the last row and column of an odd map; on even ones it is plain pooling.
        return ops.max_pool(
            x, self.pool_size, self.pool_size, padding="same", data_format="channels_last"
        )
