"""Batch normalisation with a gain and a bias for each class."""

import keras
from keras import ops

from keras_sagan.layers.batch_norm import BatchNorm
from keras_sagan.layers.feature_maps import FeatureMapLayer


@keras.saving.register_keras_serializable(package="keras_sagan")
class ConditionalBatchNorm(FeatureMapLayer):
    """Batch normalisation whose gain (1 + embedding) and bias are looked up by class.

    Args:
        num_classes: Number of classes.
        momentum: Of the moving mean and variance.
        epsilon: Added to the variance.
        synchronized: Whether the statistics are taken over all replicas of a `tf.distribute`
            strategy. On JAX they always are over the whole batch.
        **kwargs: `data_format`, by default `keras.config.image_data_format()`; and those of
            `keras.layers.Layer`.

    Call arguments:
        inputs: (batch, height, width, channels).
        labels: (batch,) integers from 0 to `num_classes - 1`.
        training: Whether to normalise with the batch's statistics and update the moving ones.

    Example:

    >>> norm = keras_sagan.layers.ConditionalBatchNorm(num_classes=10)
    >>> norm(features, labels=labels, training=True).shape
    (16, 32, 32, 64)

    Reference:
        Dumoulin et al., A Learned Representation for Artistic Style, ICLR 2017
        (arXiv:1610.07629), eq. 5; as used in the official SAGAN code.
    """

    def __init__(self, num_classes, momentum=0.99, epsilon=1e-5, synchronized=False, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.momentum = momentum
        self.epsilon = epsilon
        self.synchronized = synchronized

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
        shape = (self.num_classes, channels)
        # Stored as the difference from 1, so that 0 is the identity, as for weight decay.
        self.gain = self.add_weight(name="gain", shape=shape, initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros")

    def call(self, inputs, labels, training=False):
        gain, bias = (self._of_class(table, labels) for table in (self.gain, self.bias))
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

    def _of_class(self, table, labels):
        """Rows of a table, shaped to go with the inputs."""
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
        )
        return config
