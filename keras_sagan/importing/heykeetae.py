"""github.com/heykeetae/Self-Attention-GAN: `N_G.pth` and `N_D.pth` after N steps.

The DCGAN of 64x64 pictures. Its spectral norm takes the first axis of PyTorch's kernels, which of
transposed convolutions are the input channels.
"""

import dataclasses
import re
from pathlib import Path

from keras_sagan.importing.conversion import PYTORCH, Filler
from keras_sagan.importing.systems import Networks, network_of, read
from keras_sagan.models import DCGANDiscriminator, DCGANGenerator

LOOKS_LIKE = {
    "generator": r"^(module\.)?l1\.1\.running_mean$",
    "discriminator": r"^(module\.)?l1\.0\.module\.weight_bar$",
}
# The attention of either network has fixed channels, and so the networks have a fixed width.
_GENERATOR = {
    "conv4": "l1.0",
    "norm4": "l1.1",
    "conv8": "l2.0",
    "norm8": "l2.1",
    "conv16": "l3.0",
    "norm16": "l3.1",
    "attention16": "attn1",
    "conv32": "l4.0",
    "norm32": "l4.1",
    "attention32": "attn2",
    "to_rgb": "last.0",
}
_DISCRIMINATOR = {
    "conv32": "l1.0",
    "conv16": "l2.0",
    "conv8": "l3.0",
    "attention8": "attn1",
    "conv4": "l4.0",
    "attention4": "attn2",
    "to_logits": "last.0",
}
NAMES = dataclasses.replace(
    PYTORCH,
    spectral_kernel=".module.weight_bar",
    spectral_bias=".module.bias",
    u=".module.weight_u",
    v=".module.weight_v",
    attention=(".query_conv", ".key_conv", ".value_conv", None, ".gamma"),
)
_TRAINING = {"train": {"batch_size": 64, "steps": 1_000_000}}


def load(given):
    """Returns the `Networks` of a `Given`."""
    state = _read(given.checkpoint, "generator")
    networks = Networks(generator(state), training=_TRAINING, states=[state])
    if given.discriminator is not None:
        state = _read(given.discriminator, "discriminator")
        networks.discriminator = discriminator(state)
        networks.states.append(state)
    if step := re.match(r"(\d+)_G\.pth$", Path(given.checkpoint).name):
        networks.step = int(step[1])
    return networks


def generator(state):
    """Returns the generator that a state holds."""
    latent_dim, channels, *_ = state.shape("l1.0.module.weight_bar")
    model = network_of(
        DCGANGenerator,
        state,
        image_size=64,
        latent_dim=latent_dim,
        width=channels // 8,
        spectral_norm_axis="first",
        norm_momentum=0.9,
    )
    Filler(state, NAMES).fill(model, _GENERATOR)
    state.skip(r".*\.num_batches_tracked")
    return model


def discriminator(state):
    """Returns the discriminator that a state holds."""
    width = state.shape("l1.0.module.weight_bar")[0]
    model = network_of(
        DCGANDiscriminator, state, image_size=64, width=width, spectral_norm_axis="first"
    )
    Filler(state, NAMES).fill(model, _DISCRIMINATOR)
    return model


def _read(path, network):
    state = read(path, "heykeetae", network)
    # With nn.DataParallel, all names begin alike.
    return state.within("module.") if state.names[0].startswith("module.") else state
