"""github.com/brain-research/self-attention-gan: a TensorFlow 1 checkpoint of both networks.

Always 128x128 pictures with classes. The code has attention at 32 (`*_test`), at 64 (`*_test_64`)
or at no size, under the same names: channels tell which.
"""

import dataclasses

from keras import layers

from keras_sagan.errors import InputError
from keras_sagan.importing.conversion import Filler, Names
from keras_sagan.importing.systems import Networks, network_of, read
from keras_sagan.models import ResNetDiscriminator, ResNetGenerator

LOOKS_LIKE = {
    "generator": r"^model/g_snh0/Matrix$",
    "discriminator": r"^model/d_optimized_block1/sn_conv1/w$",
}
_GENERATOR = {
    "dense": "g_snh0",
    "norm": "g_bn",
    "to_rgb": "g_snconv_last",
    **{
        f"block{8 << i}_{ours}": f"g_block{i + 1}/{theirs}"
        for i in range(5)
        for ours, theirs in (
            ("norm1", "cbn_0"),
            ("conv1", "snconv1"),
            ("norm2", "cbn_1"),
            ("conv2", "snconv2"),
            ("shortcut", "snconv3"),
        )
    },
}
_DISCRIMINATOR = {
    "dense": "d_sn_linear",
    "class_embedding": "d_embedding",
    **{
        f"block{i}_{ours}": f"d_{'optimized_' if i == 1 else ''}block{i}/{theirs}"
        for i in range(1, 7)
        for ours, theirs in (("conv1", "sn_conv1"), ("conv2", "sn_conv2"), ("shortcut", "sn_conv3"))
    },
}
_NAMES = Names(
    kernel="",  # of the tables of its conditional batch norms alone
    bias="",
    spectral_kernel="/w",
    spectral_bias="/biases",
    u="/u",
    norm=("/gamma", "/beta", "/moving_mean", "/moving_variance"),
    class_norm=("/gamma", "/beta", "/mean", "/var"),
    attention=("/sn_conv_theta", "/sn_conv_phi", "/sn_conv_g", "/sn_conv_attn", "/sigma_ratio"),
    pytorch=False,
)
# By the kind of a spectrally normalised layer, where it has names of its own.
_NAMES_OF = {
    layers.Dense: dataclasses.replace(_NAMES, spectral_kernel="/Matrix", spectral_bias="/bias"),
    layers.Embedding: dataclasses.replace(_NAMES, spectral_kernel="/embedding_map"),
}
# Its flags, and the readme: 64 pictures on each of 4 GPUs. Classes of generated pictures are drawn.
_TRAINING = {
    "optimizer": {
        "generator_learning_rate": 1e-4,
        "discriminator_learning_rate": 4e-4,
        "beta_1": 0.0,
        "beta_2": 0.999,
    },
    "train": {"batch_size": 256, "steps": 2_000_000, "fake_labels": "uniform"},
}
_NEEDLESS = r"(.*/Adam|beta[12]_power)(_1)?|[dg]_step|global_step"


def load(given):
    """Returns the `Networks` of a `Given`."""
    if given.discriminator is not None:
        raise InputError("official: leave out --discriminator: CHECKPOINT holds both networks")
    whole = read(given.checkpoint, "official", "generator")
    counter = "g_step" if "g_step" in whole else "global_step"
    step = int(whole.take(counter)) if counter in whole else 0
    state = whole.within("model/")
    for part in (whole, state):
        part.skip(_NEEDLESS)
    networks = Networks(generator(state), step=step, training=_TRAINING, states=[whole, state])
    if any(name.startswith("d_") for name in state.names):
        networks.discriminator = discriminator(state)
    return networks


def generator(state):
    """Returns the generator that a state, of names without "model/", holds."""
    width = state.shape("g_snconv_last/w")[2]
    attention, places = _attention(state, "g_non_local", 128 * width)
    model = network_of(
        ResNetGenerator,
        state,
        image_size=128,
        num_classes=state.shape("g_block1/cbn_0/gamma")[0],
        latent_dim=state.shape("g_snh0/Matrix")[0],
        width=width,
        attention=attention,
        norm_momentum=0.999,
    )
    # Its tables hold the gains themselves.
    _Filler(state, _NAMES, one=0.0).fill(model, {**_GENERATOR, **places})
    return model


def discriminator(state):
    """Returns the discriminator that a state, of names without "model/", holds."""
    width = state.shape("d_optimized_block1/sn_conv1/w")[3]
    attention, places = _attention(state, "d_non_local", 64 * width)
    model = network_of(
        ResNetDiscriminator,
        state,
        image_size=128,
        num_classes=state.shape("d_embedding/embedding_map")[0],
        width=width,
        attention=attention,
        spectral_norm_axis="first",  # of the embedding: the classes
    )
    _Filler(state, _NAMES).fill(model, {**_DISCRIMINATOR, **places})
    return model


def _attention(state, place, size_of_one_channel):
    """The sizes of attention, and its place: the smaller a map, the more channels it has."""
    kernel = f"{place}/sn_conv_theta/w"
    if kernel not in state:
        return (), {}
    size = size_of_one_channel // state.shape(kernel)[2]
    return (size,), {f"attention{size}": place}


class _Filler(Filler):
    """One that knows the names of dense layers and embeddings."""

    def fill_layer(self, layer, place):
        kind = type(getattr(layer, "layer", layer))
        self.names = _NAMES_OF.get(kind, _NAMES)
        super().fill_layer(layer, place)
