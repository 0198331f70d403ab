"""The residual SAGAN of the paper, with projection discriminator and conditional batch norm.

128x128 is the official architecture layer by layer (github.com/brain-research/
self-attention-gan); 32x32 is SNGAN's for CIFAR-10, and 64x64 and 256x256 follow BigGAN's tables.
"""

import keras
from keras import layers, ops

from keras_sagan.layers import BatchNorm, Conv2D, DownsampleConv2D, SelfAttention2D, UpsampleConv2D
from keras_sagan.models import family
from keras_sagan.models.family import CHANNELS_LAST

# Channels after the dense layer (a 4x4 map), then after each block, in multiples of the width.
# Every generator block doubles the size.
GENERATOR_CHANNELS = {
    32: (4, 4, 4, 4),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
}
# Channels after each block, and how many of the blocks, from the first, halve the size.
DISCRIMINATOR_CHANNELS = {
    32: ((2, 2, 2, 2), 2),
    64: ((1, 2, 4, 8, 16), 4),
    128: ((1, 2, 4, 8, 16, 16), 5),
    256: ((1, 2, 4, 8, 8, 16, 16), 6),
}


def _default_attention(image_size):
    """Attention at 32x32, the best in table 1 of the paper, or at half of a smaller picture."""
    return (min(32, image_size // 2),)


@keras.saving.register_keras_serializable(package="keras_sagan")
class ResNetGenerator(family.Family):
    """Generator of residual up-blocks.

    Inputs `{"latent": (batch, latent_dim), "label": (batch,) int32}`, without "label" if there
    are no classes; output (batch, image_size, image_size, 3) float32 in [-1, 1].

    Args:
        image_size: 32, 64, 128 or 256.
        num_classes: Number of classes, or None.
        latent_dim: Length of the latent vector.
        width: Channels that the table above multiplies.
        attention: Sizes of the feature maps that self-attention follows; None is 32, and 16 for
            32x32 pictures.
        spectral_norm: Whether convolutions and the dense layer are spectrally normalised;
            "scaled" for a trained factor beside.
        class_spectral_norm: Whether the classes' tables of gains and biases are, too.
        class_embedding_dim: Length of one embedding of the classes, of which all batch norms take
            their gains and biases, as in BigGAN; None for a table a norm.
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
        image_size=128,
        num_classes=None,
        latent_dim=128,
        width=64,
        attention=None,
        spectral_norm=True,
        class_spectral_norm=False,
        class_embedding_dim=None,
        mapping_layers=0,
        self_modulation=False,
        norm_epsilon=1e-5,
        norm_momentum=0.99,
        synchronized=False,
        name="generator",
        **kwargs,
    ):
        family.check_image_size(image_size, GENERATOR_CHANNELS)
        first, *blocks = (width * multiple for multiple in GENERATOR_CHANNELS[image_size])
        attention = _default_attention(image_size) if attention is None else tuple(attention)
        channels_by_size = {8 << i: channels for i, channels in enumerate(blocks)}
        family.check_attention(attention, channels_by_size, "generator")
        inputs = family.generator_inputs(latent_dim, num_classes)
        latent = family.mapped(inputs["latent"], mapping_layers)

        labels = inputs.get("label")
        if num_classes and class_embedding_dim:
            embedding = layers.Embedding(num_classes, class_embedding_dim, name="class_embedding")
            labels = embedding(labels)
        norm_arguments = {
            "epsilon": norm_epsilon,
            "momentum": norm_momentum,
            "synchronized": synchronized,
        }

        def conv(layer):
            return family.spectrally_normalized(layer, spectral_norm)

        def norm_relu(x, name):
            x = family.batch_norm(
                x,
                labels,
                name,
                class_spectral_norm,
                latent if self_modulation else None,
                num_classes=num_classes,
                **norm_arguments,
            )
            return layers.ReLU()(x)

        def up_block(x, channels, name):
            # A 1x1 convolution commutes with upsampling, so it runs at the low resolution.
            shortcut = conv(Conv2D(channels, 1, **CHANNELS_LAST, name=f"{name}_shortcut"))(x)
            shortcut = layers.UpSampling2D(**CHANNELS_LAST, name=f"{name}_up")(shortcut)
            x = norm_relu(x, f"{name}_norm1")
            x = conv(UpsampleConv2D(channels, **CHANNELS_LAST, name=f"{name}_conv1"))(x)
            x = norm_relu(x, f"{name}_norm2")
            x = conv(Conv2D(channels, 3, **CHANNELS_LAST, name=f"{name}_conv2"))(x)
            return layers.Add(name=name)([x, shortcut])

        x = conv(layers.Dense(first * 4 * 4, name="dense"))(latent)
        x = layers.Reshape((4, 4, first))(x)
        for channels in blocks:
            size = 2 * x.shape[1]
            x = up_block(x, channels, f"block{size}")
            if size in attention:
                x = SelfAttention2D(
                    spectral_norm=spectral_norm, **CHANNELS_LAST, name=f"attention{size}"
                )(x)
        x = BatchNorm(**norm_arguments, name="norm")(x)
        x = layers.ReLU()(x)
        x = conv(Conv2D(3, 3, **CHANNELS_LAST, name="to_rgb"))(x)
        arguments = {
            "image_size": image_size,
            "num_classes": num_classes,
            "latent_dim": latent_dim,
            "width": width,
            "attention": attention,
            "spectral_norm": spectral_norm,
            "class_spectral_norm": class_spectral_norm,
            "class_embedding_dim": class_embedding_dim,
            "mapping_layers": mapping_layers,
            "self_modulation": self_modulation,
            "norm_epsilon": norm_epsilon,
            "norm_momentum": norm_momentum,
            "synchronized": synchronized,
        }
        super().__init__(inputs, family.image_output(x), arguments, name=name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_sagan")
class ResNetDiscriminator(family.Family):
    """Discriminator of residual down-blocks, with class projection.

    Inputs `{"image": (batch, image_size, image_size, 3) in [-1, 1], "label": (batch,) int32}`,
    without "label" if there are no classes; output: logits (batch, 1) float32.

    Args:
        image_size: 32, 64, 128 or 256.
        num_classes: Number of classes, or None.
        width: Channels that the table above multiplies.
        attention: Sizes of the feature maps that self-attention follows; None is 32, and 16 for
            32x32 pictures.
        attention_gamma: Where the gammas of self-attention start. From the paper's 0 they take
            thousands of steps to grow; from 1 on, short trainings make use of attention too.
        hidden_units: Width of a dense layer before the logits that sees all of the last map, so
            that what is far apart can be compared (StyleGAN's has one too); 0 for none.
        spectral_norm: Whether all layers are spectrally normalised; "scaled" for a trained factor
            beside.
        spectral_norm_axis: Of which axis, see `keras_sagan.layers.SpectralNorm`.
        relu_shortcut: Whether the shortcuts take what the first ReLU of their block gives, as they
            do in code whose ReLU works in place, instead of what comes into the block.
        name: Name of the model.
        **kwargs: Of `keras.Model`.

    Raises:
        ValueError: An image size or an attention size that the family does not have.
    """

    def __init__(
        self,
        image_size=128,
        num_classes=None,
        width=64,
        attention=None,
        attention_gamma=0.0,
        hidden_units=0,
        spectral_norm=True,
        spectral_norm_axis="output",
        relu_shortcut=False,
        name="discriminator",
        **kwargs,
    ):
        family.check_image_size(image_size, DISCRIMINATOR_CHANNELS)
        multiples, halvings = DISCRIMINATOR_CHANNELS[image_size]
        attention = _default_attention(image_size) if attention is None else tuple(attention)
        channels_by_size = {}
        for i, multiple in enumerate(multiples):  # attention follows the first block of a size
            channels_by_size.setdefault(image_size >> min(i + 1, halvings), width * multiple)
        family.check_attention(attention, channels_by_size, "discriminator")
        inputs = family.discriminator_inputs(image_size, num_classes)

        def conv(layer):
            return family.spectrally_normalized(layer, spectral_norm, spectral_norm_axis)

        def down_block(x, channels, downsample, first, name):
            shortcut = x
            if not first:  # the first block sees the image, which has no activation
                x = layers.ReLU()(x)
                shortcut = x if relu_shortcut else shortcut
            # A 1x1 convolution commutes with pooling, so it runs at the low resolution.
            if downsample:
                shortcut = layers.AveragePooling2D(2, **CHANNELS_LAST, name=f"{name}_down")(
                    shortcut
                )
            if downsample or x.shape[-1] != channels:
                shortcut = conv(Conv2D(channels, 1, **CHANNELS_LAST, name=f"{name}_shortcut"))(
                    shortcut
                )
            x = conv(Conv2D(channels, 3, **CHANNELS_LAST, name=f"{name}_conv1"))(x)
            x = layers.ReLU()(x)
            second = (
                DownsampleConv2D(channels, **CHANNELS_LAST, name=f"{name}_conv2")
                if downsample
                else Conv2D(channels, 3, **CHANNELS_LAST, name=f"{name}_conv2")
            )
            return layers.Add(name=name)([conv(second)(x), shortcut])

        x = inputs["image"]
        attended = set()
        for i, multiple in enumerate(multiples):
            x = down_block(x, width * multiple, i < halvings, i == 0, f"block{i + 1}")
            size = x.shape[1]
            if size in attention and size not in attended:
                x = SelfAttention2D(
                    spectral_norm=spectral_norm,
                    gamma_initializer=keras.initializers.Constant(attention_gamma),
                    **CHANNELS_LAST,
                    name=f"attention{size}",
                )(x)
                attended.add(size)
        x = ops.cast(layers.ReLU()(x), "float32")  # see family.projection_logits
        features = ops.sum(x, axis=(1, 2))
        last = features
        if hidden_units:
            last = family.hidden_features(x, hidden_units, spectral_norm, spectral_norm_axis)
        logits = conv(layers.Dense(1, dtype="float32", name="dense"))(last)
        logits = family.projection_logits(
            logits,
            features,
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
            "attention_gamma": attention_gamma,
            "hidden_units": hidden_units,
            "spectral_norm": spectral_norm,
            "spectral_norm_axis": spectral_norm_axis,
            "relu_shortcut": relu_shortcut,
        }
        super().__init__(inputs, logits, arguments, name=name, **kwargs)

    def stages(self):
        """Returns a list of layers for each block, from the picture on, with its attention."""
        multiples, _ = DISCRIMINATOR_CHANNELS[self.image_size]
        stages = {f"block{i + 1}": [] for i in range(len(multiples))}
        for layer in self.layers:  # in the order of a picture's way
            name = layer.name.partition("_")[0]
            if name in stages:
                block = name
            if name in stages or name.startswith("attention"):
                stages[block].append(layer)
        return list(stages.values())
