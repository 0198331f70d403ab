"""The compact SAGAN that most people run: DCGAN's 4x4 stride-2 convolutions with attention.

The network of github.com/heykeetae/Self-Attention-GAN, in which attention takes the form of the
paper's first version; classes, which that network does not have, work as in `resnet.py`.
"""

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


def _attention(size):
    return SelfAttention2D(
        value_reduction=1,
        pool_size=1,
        output_projection=False,
        use_bias=True,
        spectral_norm=False,
        **CHANNELS_LAST,
        name=f"attention{size}",
    )


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
        norm_epsilon=1e-5,
        norm_momentum=0.99,
        synchronized=False,
        name="generator",
        **kwargs,
    ):
        family.check_image_size(image_size, GENERATOR_CHANNELS)
        first, *stages = (width * multiple for multiple in GENERATOR_CHANNELS[image_size])
        sizes = [4 << i for i in range(len(stages) + 1)]
        attention = tuple(sizes[-2:] if attention is None else attention)
        channels_by_size = dict(zip(sizes, (first, *stages), strict=True))
        family.check_attention(attention, channels_by_size, "generator")
        inputs = family.generator_inputs(latent_dim, num_classes)

        def stage(x, conv, size):
            x = family.spectrally_normalized(conv, spectral_norm, spectral_norm_axis)(x)
            x = family.batch_norm(
                x,
                inputs.get("label"),
                f"norm{size}",
                num_classes=num_classes,
                epsilon=norm_epsilon,
                momentum=norm_momentum,
                synchronized=synchronized,
            )
            x = layers.ReLU()(x)
            if size in attention:
                x = _attention(size)(x)
            return x

        x = layers.Reshape((1, 1, latent_dim))(inputs["latent"])
        x = stage(x, Conv2DTranspose(first, 4, 1, "valid", **CHANNELS_LAST, name="conv4"), 4)
        for channels, size in zip(stages, sizes[1:], strict=True):
            x = stage(x, Conv2DTranspose(channels, 4, **CHANNELS_LAST, name=f"conv{size}"), size)
        x = Conv2DTranspose(3, 4, **CHANNELS_LAST, name="to_rgb")(x)
        arguments = {
            "image_size": image_size,
            "num_classes": num_classes,
            "latent_dim": latent_dim,
            "width": width,
            "attention": attention,
            "spectral_norm": spectral_norm,
            "spectral_norm_axis": spectral_norm_axis,
            "norm_epsilon": norm_epsilon,
            "norm_momentum": norm_momentum,
            "synchronized": synchronized,
        }
        super().__init__(inputs, family.image_output(x), arguments, name=name, **kwargs)


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
        spectral_norm=True,
        spectral_norm_axis="output",
        name="discriminator",
        **kwargs,
    ):
        family.check_image_size(image_size, DISCRIMINATOR_CHANNELS)
        stages = [width * multiple for multiple in DISCRIMINATOR_CHANNELS[image_size]]
        sizes = [image_size >> (i + 1) for i in range(len(stages))]
        attention = tuple(sizes[-2:] if attention is None else attention)
        channels_by_size = dict(zip(sizes, stages, strict=True))
        family.check_attention(attention, channels_by_size, "discriminator")
        inputs = family.discriminator_inputs(image_size, num_classes)

        x = inputs["image"]
        for channels, size in zip(stages, sizes, strict=True):
            conv = Conv2D(channels, 4, 2, **CHANNELS_LAST, name=f"conv{size}")
            x = family.spectrally_normalized(conv, spectral_norm, spectral_norm_axis)(x)
            # The last one in float32 already. Where a cast follows it, TensorFlow 2.21 (on CPUs
            # with bfloat16) tries to fuse it with the convolution, although its gradient needs
            # what is between, and leaves the whole graph as it is.
            dtype = "float32" if size == sizes[-1] else None
            x = layers.LeakyReLU(0.1, dtype=dtype)(x)
            if size in attention:
                x = _attention(size)(x)
        x = ops.cast(x, "float32")  # see family.projection_logits
        logits = Conv2D(1, 4, padding="valid", **CHANNELS_LAST, dtype="float32", name="to_logits")(
            x
        )
        logits = family.projection_logits(
            layers.Flatten(**CHANNELS_LAST, dtype="float32")(logits),
            ops.sum(x, axis=(1, 2)),
            inputs.get("label"),
            num_classes,
            spectral_norm,
            spectral_norm_axis,
        )
        arguments = {
            "image_size": image_size,
            "num_classes": num_classes,
            "width": width,
            "attention": attention,
            "spectral_norm": spectral_norm,
            "spectral_norm_axis": spectral_norm_axis,
        }
        super().__init__(inputs, logits, arguments, name=name, **kwargs)
