"""Attention in place of a convolution: queries, keys and values of k x k convolutions."""

import keras
from keras import ops

from keras_sagan.layers.attention_layer import AttentionLayer
from keras_sagan.layers.batch_norm import BatchNorm
from keras_sagan.layers.conditional_batch_norm import ConditionalBatchNorm
from keras_sagan.layers.convolution import Conv2D, Conv2DTranspose
from keras_sagan.layers.feature_maps import (
    channels_last_shape,
    from_channels_last,
    to_channels_last,
)
from keras_sagan.layers.spectral_norm import SpectralNorm


class BlendedAttention(AttentionLayer):
    """`gamma * act(attended) + (1 - gamma) * act(other)`, with `gamma` a scalar that starts at 0.

    Args:
        negative_slope: Of the activation, a leaky ReLU; None for no activation.
        **kwargs: `query_block` and `data_format` as of `SelfAttention2D`; and those of
            `keras.layers.Layer`.

    Call arguments:
        query: (batch, height, width, key channels).
        key: (batch, height, width, key channels).
        value: (batch, height, width, channels).
        other: (batch, height, width, channels).
        return_attention: Whether to return `(outputs, attention)`, see `SelfAttention2D`.
        training: As of all layers.
    """

    def __init__(self, negative_slope=None, **kwargs):
        super().__init__(**kwargs)
        self.negative_slope = negative_slope

    def build(self, *shapes):
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")

    def call(self, query, key, value, other, return_attention=False, training=False):
        maps = [to_channels_last(x, self.data_format) for x in (query, key, value)]
        attended, attention = self.attend(*maps, return_attention, training)
        attended = from_channels_last(attended, self.data_format)
        outputs = self.gamma * self.activated(attended) + (1 - self.gamma) * self.activated(other)
        return (outputs, attention) if return_attention else outputs

    def activated(self, x):
        """Returns the leaky ReLU of features, or the features."""
        if self.negative_slope is None:
            return x
        # Of operations that can be quantised. Besides, TensorFlow 2.21 on CPUs tries to fuse its
        # own leaky ReLU with a convolution before it, although the gradient needs what is between,
        # and leaves the whole graph as it is.
        return self.negative_slope * x + (1 - self.negative_slope) * ops.relu(x)

    def map_shape(self, query_shape):
        """Returns where an attention map lies: (height, width) of its queries and of its keys.

        Args:
            query_shape: That of the queries, in the data format of the layer.
        """
        _, height, width, _ = channels_last_shape(query_shape, self.data_format)
        return (height, width), (height, width)

    def get_config(self):
        return {**super().get_config(), "negative_slope": self.negative_slope}


@keras.saving.register_keras_serializable(package="keras_sagan")
class FullAttention2D(BlendedAttention):
    """Full attention: a convolution, and attention of the same shape that it is blended with.

    Query, key, value and the convolution beside them are all k x k (transposed) convolutions of
    the input with the same strides, so the map that attends to itself is that of the output.
    With `beta[j, i] = softmax_i(query_j . key_i)` over its locations,

        outputs = gamma * act(beta value) + (1 - gamma) * act(norm(convolution(inputs)))

    where `gamma` is a trained scalar that starts at 0: the layer begins as the convolution, and
    gamma tells how far it has gone over to attention. The softmax runs in float32 under every dtype
    policy.

    Args:
        filters: Output channels.
        kernel_size: Height and width of the kernels.
        strides: Of rows and columns.
        padding: "same" or "valid".
        transposed: Whether the convolutions are transposed ones, which enlarge.
        key_reduction: Queries and keys have the input's channels divided by this.
        negative_slope: Of the activation, a leaky ReLU; None for no activation.
        batch_norm: Whether the convolution is batch-normalised. The attended values are not.
        num_classes: Number of classes for gains and biases of their own, as of
            `ConditionalBatchNorm`; None for a plain batch norm.
        spectral_norm: Whether the convolution is spectrally normalised; "scaled" for a trained
            factor beside. Query, key and value are not.
        spectral_norm_axis: Of which axis, see `SpectralNorm`.
        use_bias: Whether the convolutions have a bias.
        norm_epsilon: Epsilon of the batch norm.
        norm_momentum: Momentum of its moving statistics.
        synchronized: Whether its statistics are taken over all replicas of a `tf.distribute`
            strategy. On JAX they always are over the whole batch.
        query_block: How many queries attend at a time, see `SelfAttention2D`.
        **kwargs: `data_format`, by default `keras.config.image_data_format()`; and those of
            `keras.layers.Layer`.

    Call arguments:
        inputs: (batch, height, width, channels).
        labels: (batch,) integers, where there is `num_classes`.
        return_attention: Whether to return `(outputs, attention)`, where attention is
            (batch, locations, locations) float32, row by row over the output; each row sums to 1.
            It takes all queries at once.
        training: As of all layers. Without it the memory of blocks is linear too, but not that of
            their gradients.

    Raises:
        ValueError: Channels that `key_reduction` does not divide; another `query_block`.

    Example:

    >>> layer = keras_sagan.layers.FullAttention2D(128, transposed=True, negative_slope=0.3)
    >>> layer(keras.ops.ones((16, 8, 8, 256))).shape
    (16, 16, 16, 128)

    Reference:
        Karnewar, Full Attention GAN (github.com/akanimax/fagan).
    """

    def __init__(
        self,
        filters,
        kernel_size=4,
        strides=2,
        padding="same",
        transposed=False,
        key_reduction=8,
        negative_slope=None,
        batch_norm=True,
        num_classes=None,
        spectral_norm=True,
        spectral_norm_axis="output",
        use_bias=True,
        norm_epsilon=1e-5,
        norm_momentum=0.99,
        synchronized=False,
        query_block="auto",
        **kwargs,
    ):
        super().__init__(negative_slope=negative_slope, query_block=query_block, **kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.transposed = transposed
        self.key_reduction = key_reduction
        self.batch_norm = batch_norm
        self.num_classes = num_classes
        self.spectral_norm = spectral_norm
        self.spectral_norm_axis = spectral_norm_axis
        self.use_bias = use_bias
        self.norm_epsilon = norm_epsilon
        self.norm_momentum = norm_momentum
        self.synchronized = synchronized

    def build(self, inputs_shape, labels_shape=None):
        channels = channels_last_shape(inputs_shape, self.data_format)[-1]
        if channels % self.key_reduction:
            raise ValueError(
                f"FullAttention2D got {channels} channels, which "
                f"key_reduction={self.key_reduction} does not divide"
            )
        self.query = self._convolution("query", channels // self.key_reduction)
        self.key = self._convolution("key", channels // self.key_reduction)
        self.value = self._convolution("value", self.filters)
        self.conv = self._convolution("conv", self.filters)
        if self.spectral_norm:
            self.conv = SpectralNorm(
                self.conv,
                axis=self.spectral_norm_axis,
                scale=self.spectral_norm == "scaled",
                trainable=self.trainable,
            )
        for layer in (self.query, self.key, self.value, self.conv):
            layer.build(inputs_shape)
        if self.batch_norm:
            self.norm = self._norm()
            shapes = (self.value.compute_output_shape(inputs_shape), labels_shape)
            self.norm.build(*shapes if self.num_classes else shapes[:1])
        super().build()

    def call(self, inputs, labels=None, return_attention=False, training=False):
        maps = [layer(inputs, training=training) for layer in (self.query, self.key, self.value)]
        other = self.conv(inputs, training=training)
        if self.batch_norm:
            of_class = {"labels": labels} if self.num_classes else {}
            other = self.norm(other, **of_class, training=training)
        return super().call(*maps, other, return_attention, training)

    def map_shape(self, inputs_shape):
        """Returns where an attention map lies: (height, width) of its queries and of its keys.

        Args:
            inputs_shape: (batch, height, width, channels), in the data format of the layer.
        """
        value = self._convolution("value", self.filters)
        return super().map_shape(value.compute_output_shape(inputs_shape))

    def get_config(self):
        config = super().get_config()
        config.update(
            filters=self.filters,
            kernel_size=self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            transposed=self.transposed,
            key_reduction=self.key_reduction,
            batch_norm=self.batch_norm,
            num_classes=self.num_classes,
            spectral_norm=self.spectral_norm,
            spectral_norm_axis=self.spectral_norm_axis,
            use_bias=self.use_bias,
            norm_epsilon=self.norm_epsilon,
            norm_momentum=self.norm_momentum,
            synchronized=self.synchronized,
        )
        return config

    def _convolution(self, name, channels):
        make = Conv2DTranspose if self.transposed else Conv2D
        return make(
            channels,
            self.kernel_size,
            self.strides,
            self.padding,
            use_bias=self.use_bias,
            **self._shared(name),
            data_format=self.data_format,
        )

    def _norm(self):
        arguments = {
            "momentum": self.norm_momentum,
            "epsilon": self.norm_epsilon,
            "synchronized": self.synchronized,
            **self._shared("norm"),
        }
        if self.num_classes:
            return ConditionalBatchNorm(self.num_classes, data_format=self.data_format, **arguments)
        return BatchNorm(axis=1 if self.data_format == "channels_first" else -1, **arguments)

    def _shared(self, name):
        return {"dtype": self.dtype_policy, "trainable": self.trainable, "name": name}
