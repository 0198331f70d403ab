"""Batch normalisation with a gain and a bias for each class."""

import keras
from keras import ops

from keras_sagan.layers.batch_norm import BatchNorm
from keras_sagan.layers.feature_maps import FeatureMapLayer
from keras_sagan.layers.spectral_norm import SpectralNorm


@keras.saving.register_keras_serializable(package="keras_sagan")
class ConditionalBatchNorm(FeatureMapLayer):
    """Batch normalisation whose gain (1 + embedding) and bias are looked up by class.

    Args:
        num_classes: Number of classes; or the length of an embedding of them, see `labels`.
        momentum: Of the moving mean and variance.
        epsilon: Added to the variance.
        synchronized: Whether the statistics are taken over all replicas of a `tf.distribute`
            strategy. On JAX they always are over the whole batch.
        spectral_norm: Whether the tables of gains and biases are spectrally normalised.
        **kwargs: `data_format`, by default `keras.config.image_data_format()`; and those of
            `keras.layers.Layer`.

    Call arguments:
        inputs: (batch, height, width, channels).
        labels: (batch,) integers from 0 to `num_classes - 1`; or (batch, num_classes) float, such
            as an embedding that several layers share: the rows of the tables are added up by it.
        training: Whether to normalise with the batch's statistics and update the moving ones.

    Example:

    >>> norm = keras_sagan.layers.ConditionalBatchNorm(num_classes=10)
    >>> norm(features, labels=labels, training=True).shape
    (16, 32, 32, 64)

    Reference:
        Dumoulin et al., A Learned Representation for Artistic Style, ICLR 2017
        (arXiv:1610.07629), eq. 5; as used in the official SAGAN code.
    """

    def __init__(
        self,
        num_classes,
        momentum=0.99,
        epsilon=1e-5,
        synchronized=False,
        spectral_norm=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.momentum = momentum
        self.epsilon = epsilon
        self.synchronized = synchronized
        self.spectral_norm = spectral_norm

    def build(self, inputs_shape, labels_shape=None):
        axis = 1 if self.data_format == "channels_first" else -1
        channels = inputs_shape[axis]
        self.norm = BatchNorm(
            axis=axis,
            momentum=self.momentum,
            epsilon=self.epsilon,
            center=False,
            scale=False,
            synchronized=self.synchronized,
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="norm",
        )
        self.norm.build(inputs_shape)
        # Stored as the difference from 1, so that 0 is the identity, as for weight decay.
        self.gain, self.bias = (self._table(name, channels) for name in ("gain", "bias"))

    def call(self, inputs, labels, training=False):
        gain, bias = (self._of_class(table, labels, training) for table in (self.gain, self.bias))
        if not self.norm.fuses(inputs, training):
            return self.norm(inputs, training=training) * (1 + gain) + bias
        from keras_sagan.layers.kernels.recompute import recomputed

        def scaled(inputs, gain, bias):
            outputs, *statistics = self.norm.fused(inputs)
            return outputs * (1 + gain) + bias, *statistics

        # The normalised inputs are as large as the inputs, and quickly computed again.
        outputs, *statistics = recomputed(scaled, inputs, gain, bias)
        self.norm.move(*statistics)
        return outputs

    def tables(self):
        """Returns the gains less 1 and the biases, each (num_classes, channels)."""
        if self.spectral_norm:
            return self.gain.normalized_kernel(), self.bias.normalized_kernel()
        return ops.convert_to_tensor(self.gain), ops.convert_to_tensor(self.bias)

    def _table(self, name, channels):
        if not self.spectral_norm:
            shape = (self.num_classes, channels)
            return self.add_weight(name=name, shape=shape, initializer="zeros")
        dense = keras.layers.Dense(
            channels,
            use_bias=False,
            # Not zeros, which have no direction: any others are normalised to 1.
            kernel_initializer="random_normal",
            dtype=self.dtype_policy,
            name=name,
        )
        table = SpectralNorm(dense, trainable=self.trainable)
        table.build((None, self.num_classes))
        return table

    def _of_class(self, table, labels, training):
        """Rows of a table, shaped to go with the inputs."""
        is_embedding = len(labels.shape) == 2
        if self.spectral_norm:
            vectors = labels if is_embedding else ops.one_hot(labels, self.num_classes)
            rows = table(ops.cast(vectors, self.compute_dtype), training=training)
        elif is_embedding:
            rows = ops.matmul(labels, table)
        else:
            rows = ops.take(table, labels, axis=0)
        if self.data_format == "channels_first":
            return rows[:, :, None, None]
        return rows[:, None, None, :]

    def get_config(self):
        config = super().get_config()
        config.update(
            num_classes=self.num_classes,
            momentum=self.momentum,
            epsilon=self.epsilon,
            synchronized=self.synchronized,
            spectral_norm=self.spectral_norm,
        )
        return config
