"""What the model families share: inputs, optional spectral norm, attention after listed sizes."""

import keras
from keras import layers, ops

from keras_sagan.layers import BatchNorm, ConditionalBatchNorm, Conv2D, SpectralNorm

# Pictures and maps are (batch, height, width, channels), whatever `keras.config` says.
CHANNELS_LAST = {"data_format": "channels_last"}


class Family(keras.Model):
    """A functional model that is rebuilt from its constructor arguments."""

    def __init__(self, inputs, outputs, arguments, **kwargs):
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        for name, value in arguments.items():
            setattr(self, name, value)
        self._argument_names = tuple(arguments)

    def get_config(self):
        config = {"name": self.name, "trainable": self.trainable}
        for name in self._argument_names:
            value = getattr(self, name)
            config[name] = list(value) if isinstance(value, tuple) else value
        if frozen := [layer.name for layer in self.layers if not layer.trainable]:
            config["frozen"] = frozen
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        frozen = config.pop("frozen", ())
        network = cls(**config)
        for name in frozen:
            network.get_layer(name).trainable = False
        return network


def generator_inputs(latent_dim, num_classes):
    """Returns the input dictionary of a generator."""
    inputs = {"latent": keras.Input((latent_dim,), name="latent")}
    if num_classes:
        inputs["label"] = keras.Input((), dtype="int32", name="label")
    return inputs


def mapped(latent, mapping_layers):
    """Returns what a generator draws from: its latent, or what a mapping network makes of it.

    Stages of convolutions follow the latent smoothly, so between the parts of the latent space that
    draw two kinds of picture lies one that draws something of both. Layers without a norm in front
    of them narrow it (Karras et al., A Style-Based Generator Architecture for Generative
    Adversarial Networks, CVPR 2019, arXiv:1812.04948, section 2).

    Args:
        latent: (batch, latent_dim).
        mapping_layers: Number of dense layers, each with a leaky ReLU; 0 for the latent itself.
    """
    units = latent.shape[-1]
    for i in range(mapping_layers):
        dense = layers.Dense(units, kernel_initializer="he_normal", name=f"mapping{i + 1}")
        latent = layers.LeakyReLU(0.2)(dense(latent))
    return latent


def discriminator_inputs(image_size, num_classes):
    """Returns the input dictionary of a discriminator."""
    inputs = {"image": keras.Input((image_size, image_size, 3), name="image")}
    if num_classes:
        inputs["label"] = keras.Input((), dtype="int32", name="label")
    return inputs


def image_output(x):
    """Returns tanh(x) as "image", (batch, height, width, 3) float32 in [-1, 1].

    In float32 under every dtype policy: bfloat16 has 128 values between 0.5 and 1, too few for
    the 256 levels of a picture.
    """
    return layers.Activation("tanh", dtype="float32", name="image")(x)


def spectrally_normalized(layer, spectral_norm, axis="output"):
    """Wraps a layer in `SpectralNorm`.

    Args:
        layer: The layer.
        spectral_norm: False for the layer as it is; "scaled" for a trained factor beside.
        axis: See `SpectralNorm`.
    """
    if not spectral_norm:
        return layer
    return SpectralNorm(layer, axis=axis, scale=spectral_norm == "scaled")


def batch_norm(x, labels, name, spectral_norm=False, latent=None, **arguments):
    """Batch normalisation, by class where there are classes, and by the latent if it is given.

    Args:
        x: The features.
        labels: (batch,) integers with the number of classes as `num_classes` among the arguments;
            (batch, length), an embedding; or None without classes.
        name: Name of the layer.
        spectral_norm: Whether the tables of the classes are spectrally normalised.
        latent: (batch, latent_dim), for self-modulation; or None.
        **arguments: Of `BatchNorm`, and `num_classes`.
    """
    num_classes = arguments.pop("num_classes", None)
    if labels is None and latent is None:
        return BatchNorm(**arguments, name=name)(x)
    if labels is not None and len(labels.shape) > 1:
        num_classes = labels.shape[-1]
    norm = ConditionalBatchNorm(
        num_classes,
        spectral_norm=spectral_norm,
        latent_dim=None if latent is None else latent.shape[-1],
        **arguments,
        **CHANNELS_LAST,
        name=name,
    )
    return norm(x, labels=labels, latent=latent)


def hidden_features(x, units, spectral_norm, axis="output"):
    """Returns what a hidden layer that sees all locations makes of a map: (batch, units) float32.

    Args:
        x: The last feature map of a discriminator, float32.
        units: Width of the layer.
        spectral_norm: Whether the layer is spectrally normalised, and how.
        axis: Of its `SpectralNorm`.
    """
    # A dense layer written as a convolution, for the leaky ReLUs of `dcgan.discriminator_stage`.
    conv = Conv2D(
        units,
        x.shape[1],
        padding="valid",
        kernel_initializer="he_normal",
        **CHANNELS_LAST,
        dtype="float32",
        name="hidden",
    )
    x = spectrally_normalized(conv, spectral_norm, axis)(x)
    x = layers.Flatten(**CHANNELS_LAST, dtype="float32")(x)
    return layers.LeakyReLU(0.1, dtype="float32")(x)


def projection_logits(logits, features, labels, num_classes, spectral_norm, axis="output"):
    """Adds the inner product of the features and the class's embedding to the logits.

    Miyato and Koyama, cGANs with Projection Discriminator, ICLR 2018 (arXiv:1802.05637), eq. 3.

    From the last sum over a feature map on, all is in float32 under every dtype policy: of the
    logits of 256 pictures, bfloat16 can tell some fifty apart.

    Args:
        logits: (batch, 1) float32.
        features: (batch, channels) float32.
        labels: (batch,) integers, or None without classes.
        num_classes: Number of classes, or None.
        spectral_norm: Whether the embedding is spectrally normalised, and how.
        axis: Of its `SpectralNorm`.

    Returns:
        "logits", (batch, 1) float32.
    """
    if num_classes:
        embedding = layers.Embedding(
            num_classes,
            features.shape[-1],
            embeddings_initializer="glorot_uniform",
            dtype="float32",
            name="class_embedding",
        )
        embedding = spectrally_normalized(embedding, spectral_norm, axis)
        projection = ops.sum(features * embedding(labels), axis=-1, keepdims=True)
        logits = layers.Add(dtype="float32", name="projection")([logits, projection])
    return layers.Activation("linear", dtype="float32", name="logits")(logits)


def check_image_size(image_size, sizes):
    """Raises ValueError unless the family has this image size."""
    if image_size not in sizes:
        raise ValueError(f"image_size must be one of {sorted(sizes)}, got {image_size}")


def check_attention(attention, channels, network):
    """Raises ValueError unless the network can have attention after each listed size.

    Args:
        attention: The listed sizes.
        channels: Channels of the network's feature maps, by size.
        network: Its name, for the message.
    """
    check_sizes("attention", attention, channels, network)
    for size in attention:
        if channels[size] % 8:
            raise ValueError(
                f"width is too small for attention at {size}: the {network} has {channels[size]} "
                "channels there, which must be a multiple of 8"
            )


def check_sizes(argument, listed, sizes, network):
    """Raises ValueError unless the network has feature maps of all listed sizes."""
    for size in listed:
        if size not in sizes:
            raise ValueError(
                f"{argument} lists {size}, but the {network} has feature maps of "
                f"{', '.join(str(size) for size in sorted(sizes))}"
            )
