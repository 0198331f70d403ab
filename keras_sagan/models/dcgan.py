"""The compact SAGAN that most people run: DCGAN's 4x4 stride-2 convolutions with attention.

The network of github.com/heykeetae/Self-Attention-GAN, in which attention takes the form of the
paper's first version; classes, which that network does not have, work as in `resnet.py`.
"""

import functools

import keras
from keras import layers, ops

from keras_sagan.layers import Conv2D, Conv2DTranspose, SelfAttention2D
from keras_sagan.models import family
from keras_sagan.models.family import CHANNELS_LAST

# Channels of the 4x4 map and after each doubling, in multiples of the width; the last doubling
# gives the picture.
GENERATOR_CHANNELS = {
    32: (4, 2, 1),
    64: (8, 4, 2, 1),
    128: (16, 8, 4, 2, 1),
}
# Channels after each halving, the last of which gives a 4x4 map.
DISCRIMINATOR_CHANNELS = {
    32: (1, 2, 4),
    64: (1, 2, 4, 8),
    128: (1, 2, 4, 8, 16),
}


def generator_stages(image_size, width, attention):
    """Returns the channels of each stage's map by its size, and the sizes of self-attention.

    Args:
        image_size: Of the picture.
        width: Channels that the table above multiplies.
        attention: Sizes of self-attention; None is the last two.

    Raises:
        ValueError: An image size or an attention size that there is not.
    """
    family.check_image_size(image_size, GENERATOR_CHANNELS)
    stages = {4 << i: width * n for i, n in enumerate(GENERATOR_CHANNELS[image_size])}
    return stages, _attention_sizes(attention, stages, "generator")


def generator_stage(
    x, filters, size, strides, padding, *, labels, spectral_norm, spectral_norm_axis, **norm
):
    """A transposed convolution, batch norm with the arguments `norm`, and a ReLU."""
    conv = Conv2DTranspose(filters, 4, strides, padding, **CHANNELS_LAST, name=f"conv{size}")
    x = family.spectrally_normalized(conv, spectral_norm, spectral_norm_axis)(x)
    return layers.ReLU()(family.batch_norm(x, labels, f"norm{size}", **norm))


def generator_image(latent, stages, attention, stage):
    """Returns "image" of a latent.

    Args:
        latent: (batch, latent_dim).
        stages: Channels by size.
        attention: Sizes of the maps that self-attention follows.
        stage: Called as `stage(x, filters, size, strides, padding)` for each map.
    """
    x = layers.Reshape((1, 1, latent.shape[-1]))(latent)
    for size, filters in stages.items():
        strides, padding = (1, "valid") if size == 4 else (2, "same")
        x = _attended(stage(x, filters, size, strides, padding), attention)
    return family.image_output(Conv2DTranspose(3, 4, **CHANNELS_LAST, name="to_rgb")(x))


def discriminator_stages(image_size, width, attention):
    """Returns what `generator_stages` does, of a discriminator."""
    family.check_image_size(image_size, DISCRIMINATOR_CHANNELS)
    multiples = DISCRIMINATOR_CHANNELS[image_size]
    stages = {image_size >> (i + 1): width * n for i, n in enumerate(multiples)}
    return stages, _attention_sizes(attention, stages, "discriminator")


def layers_of_stages(discriminator):
    """Returns what `stages` of a discriminator does."""
    stages, _ = discriminator_stages(discriminator.image_size, discriminator.width, ())
    names = ([f"{kind}{size}" for kind in ("conv", "full", "attention")] for size in stages)
    return [[layer for layer in discriminator.layers if layer.name in of] for of in names]


def discriminator_stage(x, filters, size, *, spectral_norm, spectral_norm_axis):
    """A convolution and a leaky ReLU."""
    conv = Conv2D(filters, 4, 2, **CHANNELS_LAST, name=f"conv{size}")
    x = family.spectrally_normalized(conv, spectral_norm, spectral_norm_axis)(x)
    # The last one in float32 already, as what follows is. A leaky ReLU between a convolution and
    # anything but convolutions, such as a cast, makes TensorFlow 2.21 write an error at training:
    # its remapper fuses the two although the gradient needs what is between, and takes that back.
    return layers.LeakyReLU(0.1, dtype="float32" if size == 4 else None)(x)


def discriminator_logits(inputs, stages, stage, arguments):
    """Returns "logits" of the inputs of a discriminator.

    Args:
        inputs: Of `family.discriminator_inputs`.
        stages: Channels by size.
        stage: Called as `stage(x, filters, size)` for each map.
        arguments: Those of the discriminator, of which attention and its gamma, the hidden layer
            and the classes are built here.
    """
    x = inputs["image"]
    for size, filters in stages.items():
        x = _attended(stage(x, filters, size), arguments["attention"], arguments["attention_gamma"])
    x = ops.cast(x, "float32")  # see family.projection_logits
    normalized = arguments["spectral_norm"], arguments["spectral_norm_axis"]
    if units := arguments["hidden_units"]:
        hidden = family.hidden_features(x, units, *normalized)
        logits = layers.Dense(1, dtype="float32", name="to_logits")(hidden)
    else:
        conv = Conv2D(1, 4, padding="valid", **CHANNELS_LAST, dtype="float32", name="to_logits")
        logits = layers.Flatten(**CHANNELS_LAST, dtype="float32")(conv(x))
    return family.projection_logits(
        logits,
        ops.sum(x, axis=(1, 2)),
        inputs.get("label"),
        arguments["num_classes"],
        *normalized,
    )


def _attention_sizes(attention, stages, network):
    attention = tuple([*stages][-2:] if attention is None else attention)
    family.check_attention(attention, stages, network)
    return attention


def _attended(x, attention, gamma=0.0):
    """Self-attention in the form of the paper's first version, where it is listed.

    Args:
        x: The features.
        attention: Sizes of the maps that it follows.
        gamma: Where its gamma starts.
    """
    size = x.shape[1]
    if size not in attention:
        return x
    return SelfAttention2D(
        value_reduction=1,
        pool_size=1,
        output_projection=False,
        use_bias=True,
        spectral_norm=False,
        gamma_initializer=keras.initializers.Constant(gamma),
        **CHANNELS_LAST,
        name=f"attention{size}",
    )(x)


@keras.saving.register_keras_serializable(package="keras_sagan")
class DCGANGenerator(family.Family):
    """Generator of 4x4 stride-2 transposed convolutions.

    Inputs `{"latent": (batch, latent_dim), "label": (batch,) int32}`, without "label" if there
    are no classes; output (batch, image_size, image_size, 3) float32 in [-1, 1].

    Args:
        image_size: 32, 64 or 128.
        num_classes: Number of classes, or None.
        latent_dim: Length of the latent vector.
        width: Channels that the table above multiplies.
        attention: Sizes of the feature maps that self-attention follows; None is the last two
            before the picture.
        spectral_norm: Whether the convolutions are spectrally normalised (not the last one);
            "scaled" for a trained factor beside.
        spectral_norm_axis: Of which axis, see `keras_sagan.layers.SpectralNorm`.
        mapping_layers: Dense layers that the latent goes through first, each as wide as it is
            (StyleGAN's mapping network, Karras et al., arXiv:1812.04948).
        self_modulation: Whether gains and biases of the batch norms follow the latent too, so that
            every stage sees it (Chen et al., arXiv:1810.01365).
        norm_epsilon: Epsilon of the batch norms.
        norm_momentum: Momentum of their moving statistics.
        synchronized: Whether batch statistics are taken over all replicas.
        name: Name of the model.
        **kwargs: Of `keras.Model`.

    Raises:
        ValueError: An image size or an attention size that the family does not have.
    """

    def __init__(
        self,
        image_size=64,
        num_classes=None,
        latent_dim=128,
        width=64,
        attention=None,
        spectral_norm=True,
        spectral_norm_axis="output",
        mapping_layers=0,
        self_modulation=False,
        norm_epsilon=1e-5,
        norm_momentum=0.99,
        synchronized=False,
        name="generator",
        **kwargs,
    ):
        stages, attention = generator_stages(image_size, width, attention)
        inputs = family.generator_inputs(latent_dim, num_classes)
        latent = family.mapped(inputs["latent"], mapping_layers)
        stage = functools.partial(
            generator_stage,
            labels=inputs.get("label"),
            latent=latent if self_modulation else None,
            spectral_norm=spectral_norm,
            spectral_norm_axis=spectral_norm_axis,
            num_classes=num_classes,
            epsilon=norm_epsilon,
            momentum=norm_momentum,
            synchronized=synchronized,
        )
        image = generator_image(latent, stages, attention, stage)
        arguments = {
            "image_size": image_size,
            "num_classes": num_classes,
            "latent_dim": latent_dim,
            "width": width,
            "attention": attention,
            "spectral_norm": spectral_norm,
            "spectral_norm_axis": spectral_norm_axis,
            "mapping_layers": mapping_layers,
            "self_modulation": self_modulation,
            "norm_epsilon": norm_epsilon,
            "norm_momentum": norm_momentum,
            "synchronized": synchronized,
        }
        super().__init__(inputs, image, arguments, name=name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_sagan")
class DCGANDiscriminator(family.Family):
    """Discriminator of 4x4 stride-2 convolutions.

    Inputs `{"image": (batch, image_size, image_size, 3) in [-1, 1], "label": (batch,) int32}`,
    without "label" if there are no classes; output: logits (batch, 1) float32.

    Args:
        image_size: 32, 64 or 128.
        num_classes: Number of classes, or None.
        width: Channels that the table above multiplies.
        attention: Sizes of the feature maps that self-attention follows; None is the last two.
        attention_gamma: Where the gammas of self-attention start. From the paper's 0 they take
            thousands of steps to grow; from 1 on, short trainings make use of attention too.
        hidden_units: Width of a dense layer before the logits that sees all of the last map, so
            that what is far apart can be compared (StyleGAN's has one too); 0 for none.
        spectral_norm: Whether the convolutions are spectrally normalised (not the last one);
            "scaled" for a trained factor beside.
        spectral_norm_axis: Of which axis, see `keras_sagan.layers.SpectralNorm`.
        name: Name of the model.
        **kwargs: Of `keras.Model`.

    Raises:
        ValueError: An image size or an attention size that the family does not have.
    """

    def __init__(
        self,
        image_size=64,
        num_classes=None,
        width=64,
        attention=None,
        attention_gamma=0.0,
        hidden_units=0,
        spectral_norm=True,
        spectral_norm_axis="output",
        name="discriminator",
        **kwargs,
    ):
        stages, attention = discriminator_stages(image_size, width, attention)
        inputs = family.discriminator_inputs(image_size, num_classes)
        stage = functools.partial(
            discriminator_stage, spectral_norm=spectral_norm, spectral_norm_axis=spectral_norm_axis
        )
        arguments = {
            "image_size": image_size,
            "num_classes": num_classes,
            "width": width,
            "attention": attention,
            "attention_gamma": attention_gamma,
            "hidden_units": hidden_units,
            "spectral_norm": spectral_norm,
            "spectral_norm_axis": spectral_norm_axis,
        }
        logits = discriminator_logits(inputs, stages, stage, arguments)
        super().__init__(inputs, logits, arguments, name=name, **kwargs)

    def stages(self):
        """Returns a list of layers for each map, from the picture on, with its attention."""
        return layers_of_stages(self)
