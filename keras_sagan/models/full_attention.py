"""The Full Attention GAN: DCGAN's stages, some of which are full attention.

The networks of github.com/akanimax/fagan, and with other arguments those of
github.com/akanimax/attn_gan_pytorch; classes, which these do not have, work as in `resnet.py`.
"""

import functools

import keras

from keras_sagan.layers import FullAttention2D
from keras_sagan.models import dcgan, family
from keras_sagan.models.family import CHANNELS_LAST

_SLOPE = 0.3  # of the leaky ReLU in full attention
_PICTURE_SLOPE = 0.1  # where that looks at the picture


@keras.saving.register_keras_serializable(package="keras_sagan")
class FullAttentionGenerator(family.Family):
    """Generator of 4x4 stride-2 transposed convolutions and full attention.

    Inputs `{"latent": (batch, latent_dim), "label": (batch,) int32}`, without "label" if there
    are no classes; output (batch, image_size, image_size, 3) float32 in [-1, 1].

    Args:
        image_size: 32, 64 or 128.
        num_classes: Number of classes, or None.
        latent_dim: Length of the latent vector.
        width: Channels that the table of `dcgan.py` multiplies.
        full_attention: Sizes of the feature maps that full attention gives, in place of a
            convolution, a norm and an activation; None is 4 and 8.
        attention: Sizes of the feature maps that self-attention follows; None is the last two
            before the picture.
        full_spectral_norm: Whether the convolution in full attention is spectrally normalised.
        full_batch_norm: Whether it is batch-normalised.
        spectral_norm: Whether the other convolutions are spectrally normalised (not the last one);
            "scaled" for a trained factor beside.
        spectral_norm_axis: Of which axis, see `keras_sagan.layers.SpectralNorm`.
        mapping_layers: Dense layers that the latent goes through first, each as wide as it is
            (StyleGAN's mapping network, Karras et al., arXiv:1812.04948).
        self_modulation: Whether gains and biases of the batch norms (but full
            attention's) follow the latent too (Chen et al., arXiv:1810.01365).
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
        full_attention=None,
        attention=None,
        full_spectral_norm=True,
        full_batch_norm=True,
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
        stages, attention = dcgan.generator_stages(image_size, width, attention)
        full_attention = tuple((4, 8) if full_attention is None else full_attention)
        _check_full_attention(full_attention, stages, latent_dim, "generator")
        inputs = family.generator_inputs(latent_dim, num_classes)
        latent = family.mapped(inputs["latent"], mapping_layers)
        labels = inputs.get("label")
        convolution = functools.partial(
            dcgan.generator_stage,
            labels=labels,
            latent=latent if self_modulation else None,
            spectral_norm=spectral_norm,
            spectral_norm_axis=spectral_norm_axis,
            num_classes=num_classes,
            epsilon=norm_epsilon,
            momentum=norm_momentum,
            synchronized=synchronized,
        )

        def stage(x, filters, size, strides, padding):
            if size not in full_attention:
                return convolution(x, filters, size, strides, padding)
            full = FullAttention2D(
                filters,
                strides=strides,
                padding=padding,
                transposed=True,
                negative_slope=_SLOPE,
                batch_norm=full_batch_norm,
                num_classes=num_classes,
                spectral_norm=full_spectral_norm,
                spectral_norm_axis=spectral_norm_axis,
                norm_epsilon=norm_epsilon,
                norm_momentum=norm_momentum,
                synchronized=synchronized,
                **CHANNELS_LAST,
                name=f"full{size}",
            )
            return full(x, labels=labels) if num_classes and full_batch_norm else full(x)

        image = dcgan.generator_image(latent, stages, attention, stage)
        arguments = {
            "image_size": image_size,
            "num_classes": num_classes,
            "latent_dim": latent_dim,
            "width": width,
            "full_attention": full_attention,
            "attention": attention,
            "full_spectral_norm": full_spectral_norm,
            "full_batch_norm": full_batch_norm,
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
class FullAttentionDiscriminator(family.Family):
    """Discriminator of 4x4 stride-2 convolutions and full attention.

    Inputs `{"image": (batch, image_size, image_size, 3) in [-1, 1], "label": (batch,) int32}`,
    without "label" if there are no classes; output: logits (batch, 1) float32.

    Full attention that looks at the picture makes queries and keys of all its three channels, and
    has no batch norm.

    Args:
        image_size: 32, 64 or 128.
        num_classes: Number of classes, or None.
        width: Channels that the table of `dcgan.py` multiplies.
        full_attention: Sizes of the feature maps that full attention gives, in place of a
            convolution and an activation; None is half of the picture's, the first, and 8.
        attention: Sizes of the feature maps that self-attention follows; None is the last two.
        attention_gamma: Where the gammas of self-attention start. From the paper's 0 they take
            thousands of steps to grow; from 1 on, short trainings make use of attention too.
        hidden_units: Width of a dense layer before the logits that sees all of the last map, so
            that what is far apart can be compared (StyleGAN's has one too); 0 for none.
        full_spectral_norm: Whether the convolution in full attention is spectrally normalised.
        full_batch_norm: Whether it is batch-normalised, by the same statistics for all classes.
        spectral_norm: Whether the other convolutions are spectrally normalised (not the last one);
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
        width=64,
        full_attention=None,
        attention=None,
        attention_gamma=0.0,
        hidden_units=0,
        full_spectral_norm=True,
        full_batch_norm=True,
        spectral_norm=True,
        spectral_norm_axis="output",
        norm_epsilon=1e-5,
        norm_momentum=0.99,
        synchronized=False,
        name="discriminator",
        **kwargs,
    ):
        stages, attention = dcgan.discriminator_stages(image_size, width, attention)
        first = image_size // 2
        full_attention = tuple((first, 8) if full_attention is None else full_attention)
        _check_full_attention(full_attention, stages, None, "discriminator")
        inputs = family.discriminator_inputs(image_size, num_classes)

        def stage(x, filters, size):
            if size not in full_attention:
                return dcgan.discriminator_stage(
                    x,
                    filters,
                    size,
                    spectral_norm=spectral_norm,
                    spectral_norm_axis=spectral_norm_axis,
                )
            return FullAttention2D(
                filters,
                key_reduction=1 if size == first else 8,
                negative_slope=_PICTURE_SLOPE if size == first else _SLOPE,
                batch_norm=full_batch_norm and size != first,
                spectral_norm=full_spectral_norm,
                spectral_norm_axis=spectral_norm_axis,
                norm_epsilon=norm_epsilon,
                norm_momentum=norm_momentum,
                synchronized=synchronized,
                **CHANNELS_LAST,
                name=f"full{size}",
            )(x)

        arguments = {
            "image_size": image_size,
            "num_classes": num_classes,
            "width": width,
            "full_attention": full_attention,
            "attention": attention,
            "attention_gamma": attention_gamma,
            "hidden_units": hidden_units,
            "full_spectral_norm": full_spectral_norm,
            "full_batch_norm": full_batch_norm,
            "spectral_norm": spectral_norm,
            "spectral_norm_axis": spectral_norm_axis,
            "norm_epsilon": norm_epsilon,
            "norm_momentum": norm_momentum,
            "synchronized": synchronized,
        }
        logits = dcgan.discriminator_logits(inputs, stages, stage, arguments)
        super().__init__(inputs, logits, arguments, name=name, **kwargs)

    def stages(self):
        """Returns a list of layers for each map, from the picture on, with its attention."""
        return dcgan.layers_of_stages(self)


def _check_full_attention(sizes, stages, latent_dim, network):
    """Raises ValueError unless full attention has maps of these sizes, and channels to look at.

    Args:
        sizes: The listed sizes.
        stages: Channels by size, first to last.
        latent_dim: What the first stage looks at; None for a picture.
        network: Its name, for the message.
    """
    family.check_sizes("full_attention", sizes, stages, network)
    given = dict(zip(stages, (latent_dim or 8, *stages.values()), strict=False))
    for size in sizes:
        if given[size] % 8:
            name = "latent_dim" if size == 4 and latent_dim else "width"
            raise ValueError(
                f"{name} does not suit full attention at {size}: the {network} has "
                f"{given[size]} channels before it, which must be a multiple of 8"
            )
