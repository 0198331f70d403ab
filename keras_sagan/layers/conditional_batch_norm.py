"""Batch normalisation whose gain and bias follow the class, the latent or both."""

import keras
from keras import ops

from keras_sagan.layers.batch_norm import BatchNorm
from keras_sagan.layers.feature_maps import FeatureMapLayer
from keras_sagan.layers.spectral_norm import SpectralNorm


@keras.saving.register_keras_serializable(package="keras_sagan")
class ConditionalBatchNorm(FeatureMapLayer):
    """Batch normalisation whose gain (1 + embedding) and bias are looked up by class.

    With `latent_dim` a linear function of the latent is added to both: self-modulation, by which
    every layer of a generator sees the latent, and all places of a map alike.

    Args:
        num_classes: Number of classes; or the length of an embedding of them, see `labels`; None
            without classes, which needs `latent_dim`.
        momentum: Of the moving mean and variance.
        epsilon: Added to the variance.
        synchronized: Whether the statistics are taken over all replicas of a `tf.distribute`
            strategy. On JAX they always are over the whole batch.
        spectral_norm: Whether the tables of the classes' gains and biases are spectrally
            normalised.
        latent_dim: Length of the latent that gain and bias follow, or None.
        **kwargs: `data_format`, by default `keras.config.image_data_format()`; and those of
            `keras.layers.Layer`.

    Call arguments:
        inputs: (batch, height, width, channels).
        labels: (batch,) integers from 0 to `num_classes - 1`; or (batch, num_classes) float, such
            as an embedding that several layers share: the rows of the tables are added up by it.
            None without classes.
        latent: (batch, latent_dim), with `latent_dim`.
        training: Whether to normalise with the batch's statistics and update the moving ones.

    Raises:
        ValueError: Neither `num_classes` nor `latent_dim`.

    Example:

    >>> norm = keras_sagan.layers.ConditionalBatchNorm(num_classes=10)
    >>> norm(features, labels=labels, training=True).shape
    (16, 32, 32, 64)

    Reference:
        Dumoulin et al., A Learned Representation for Artistic Style, ICLR 2017
        (arXiv:1610.07629), eq. 5; as used in the official SAGAN code. Chen et al., On Self
        Modulation for Generative Adversarial Networks, ICLR 2019 (arXiv:1810.01365), eq. 3 and 4,
        with a linear function instead of a hidden layer, as in BigGAN's appendix
        (arXiv:1809.11096).
    """

    def __init__(
        self,
        num_classes,
        momentum=0.99,
        epsilon=1e-5,
        synchronized=False,
        spectral_norm=False,
        latent_dim=None,
        **kwargs,
    ):
        if num_classes is None and latent_dim is None:
            raise ValueError("ConditionalBatchNorm needs num_classes, latent_dim or both")
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.momentum = momentum
        self.epsilon = epsilon
        self.synchronized = synchronized
        self.spectral_norm = spectral_norm
        self.latent_dim = latent_dim

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
        if self.latent_dim:
            self.latent_gain, self.latent_bias = (
                self.add_weight(name=name, shape=(self.latent_dim, channels), initializer="zeros")
                for name in ("latent_gain", "latent_bias")
            )

    def call(self, inputs, labels=None, latent=None, training=False):
        gain, bias = (self._of_class(table, labels, training) for table in (self.gain, self.bias))
        if self.latent_dim:
            gain = gain + ops.matmul(latent, self.latent_gain)
            bias = bias + ops.matmul(latent, self.latent_bias)
        gain, bias = self._as_map(gain), self._as_map(bias)
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
        """Returns the gains less 1 and the biases of the classes, each (num_classes, channels).

        Without classes, one row that holds for all.
        """
        if self._normalizes_tables():
            return self.gain.normalized_kernel(), self.bias.normalized_kernel()
        return ops.convert_to_tensor(self.gain), ops.convert_to_tensor(self.bias)

    def _table(self, name, channels):
        if not self._normalizes_tables():
            shape = (self.num_classes or 1, channels)
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

    def _normalizes_tables(self):
        return self.spectral_norm and self.num_classes is not None

    def _of_class(self, table, labels, training):
        """Rows of a table, (batch, channels); without classes the one that there is."""
        if self.num_classes is None:
            return ops.convert_to_tensor(table)
        is_embedding = len(labels.shape) == 2
        if self.spectral_norm:
            vectors = labels if is_embedding else ops.one_hot(labels, self.num_classes)
            return table(ops.cast(vectors, self.compute_dtype), training=training)
        return ops.matmul(labels, table) if is_embedding else ops.take(table, labels, axis=0)

    def _as_map(self, rows):
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
            latent_dim=self.latent_dim,
        )
        return config
