"""github.com/POSTECH-CVLab/PyTorch-StudioGAN: `model=G-best-weights-step=N.pth`, `model=D-...`.

The residual SAGAN of its configs, with the tables of `models/resnet.py`. What its code does and
tensors do not tell: batch norms have an epsilon of 1e-4; gains and biases of the classes are dense
layers of one-hot labels, spectrally normalised, and 1 is added to the gains; and the ReLUs work in
place, so that the discriminator's shortcuts take activated features (`relu_shortcut`).
"""

import dataclasses
import itertools
import re
from pathlib import Path

from keras_sagan.errors import InputError
from keras_sagan.importing.conversion import PYTORCH, Filler
from keras_sagan.importing.systems import Networks, network_of, read
from keras_sagan.models import ResNetDiscriminator, ResNetGenerator
from keras_sagan.models.resnet import DISCRIMINATOR_CHANNELS, GENERATOR_CHANNELS

LOOKS_LIKE = {
    "generator": r"^linear0\.weight_orig$",
    "discriminator": r"^linear1\.weight_orig$",
}
NAMES = dataclasses.replace(
    PYTORCH,
    class_norm=(".gain", ".bias", ".bn.running_mean", ".bn.running_var"),
    attention=(".conv1x1_theta", ".conv1x1_phi", ".conv1x1_g", ".conv1x1_attn", ".sigma"),
)
_BLOCK, _ATTENTION = "blocks.{}.0", ".sigma"
# The parts of a block, and the other layers, by our names.
_CONVOLUTIONS = {"shortcut": ".conv2d0", "conv1": ".conv2d1", "conv2": ".conv2d2"}
_NORMS = {"norm1": ".bn1", "norm2": ".bn2"}
_GENERATOR = {"dense": "linear0", "norm": "bn4", "to_rgb": "conv2d5"}
_DISCRIMINATOR = {"dense": "linear1", "class_embedding": "embedding"}


def load(given):
    """Returns the `Networks` of a `Given`."""
    state = read(given.checkpoint, "studiogan", "generator")
    networks = Networks(generator(state), states=[state])
    networks.training = training(networks.generator.image_size)
    if given.discriminator is not None:
        state = read(given.discriminator, "studiogan", "discriminator")
        networks.discriminator = discriminator(state)
        networks.states.append(state)
    if step := re.search(r"step=(\d+)\.pth$", Path(given.checkpoint).name):
        networks.step = int(step[1])
    return networks


def training(image_size, ema=0.0):
    """Returns the sections of a config for the training of its configs of an image size.

    Args:
        image_size: Of the pictures: 32 is CIFAR's config.
        ema: Momentum of the averaged generator; 0 is none.
    """
    rates, beta_1, batch_size, discriminator_steps, steps = (
        ((2e-4, 2e-4), 0.5, 64, 5, 100_000)
        if image_size == 32
        else ((1e-4, 4e-4), 0.0, 256, 1, 1_000_000)
    )
    return {
        "optimizer": {
            "generator_learning_rate": rates[0],
            "discriminator_learning_rate": rates[1],
            "beta_1": beta_1,
            "beta_2": 0.999,
        },
        "loss": {"name": "hinge"},
        "train": {
            "batch_size": batch_size,
            "steps": steps,
            "discriminator_steps": discriminator_steps,
            "ema": ema,
            "fake_labels": "uniform",
        },
    }


def generator(state):
    """Returns the generator that a state holds."""
    blocks, attention = blocks_of(state, _BLOCK, _ATTENTION)
    image_size = size_of(state, len(blocks), GENERATOR_CHANNELS, 1)
    table = f"{blocks[0]}.bn1.gain.weight_orig"
    model = network_of(
        ResNetGenerator,
        state,
        image_size=image_size,
        num_classes=state.shape(table)[1] if table in state else None,
        latent_dim=state.shape("linear0.weight_orig")[1],
        width=state.shape("conv2d5.weight_orig")[1] // GENERATOR_CHANNELS[image_size][-1],
        attention=[4 << after for after in attention],
        class_spectral_norm=True,
        norm_epsilon=1e-4,
        norm_momentum=0.9,
    )
    places = generator_places(blocks, attention, {**_CONVOLUTIONS, **_NORMS})
    Filler(state, NAMES).fill(model, {**places, **_GENERATOR})
    state.skip(r".*\.num_batches_tracked")
    return model


def discriminator(state):
    """Returns the discriminator that a state holds."""
    blocks, attention = blocks_of(state, _BLOCK, _ATTENTION)
    image_size = size_of(state, len(blocks), DISCRIMINATOR_CHANNELS)
    table = "embedding.weight_orig"
    model = network_of(
        ResNetDiscriminator,
        state,
        image_size=image_size,
        num_classes=state.shape(table)[0] if table in state else None,
        width=discriminator_width(state, "linear1.weight_orig", image_size),
        attention=discriminator_attention(state, attention, image_size),
        spectral_norm_axis="first",
        relu_shortcut=True,
    )
    places = discriminator_places(blocks, attention, _CONVOLUTIONS, image_size)
    Filler(state, NAMES).fill(model, {**places, **_DISCRIMINATOR})
    return model


def blocks_of(state, place, mark):
    """Returns where the blocks lie, and where attention does, by how many blocks are before it.

    Args:
        state: A `State`.
        place: What the names in block or attention number {} begin with.
        mark: What the name of attention's scalar ends in.
    """
    blocks, attention = [], {}
    for i in itertools.count():
        here = place.format(i)
        if f"{here}{mark}" in state:
            attention[len(blocks)] = here
        elif any(name.startswith(f"{here}.") for name in state.names):
            blocks.append(here)
        else:
            return blocks, attention


def size_of(state, blocks, table, first=0):
    """Returns the image size of a network with so many blocks.

    Args:
        state: A `State`, which errors name.
        blocks: Their number.
        table: `GENERATOR_CHANNELS` or `DISCRIMINATOR_CHANNELS`.
        first: How many entries of the table belong to no block.

    Raises:
        InputError: No network of ours has as many.
    """
    for size, multiples in table.items():
        multiples = multiples[0] if isinstance(multiples[0], tuple) else multiples
        if len(multiples) - first == blocks:
            return size
    raise InputError(f"{state.source}: has {blocks} residual blocks, as no network of ours")


def generator_places(blocks, attention, parts):
    """Returns where our layers in blocks lie.

    Args:
        blocks: Of `blocks_of`.
        attention: Likewise.
        parts: What our layers of a block are called within it.
    """
    places = {f"attention{4 << after}": place for after, place in attention.items()}
    for i, block in enumerate(blocks):
        places.update({f"block{8 << i}_{part}": block + name for part, name in parts.items()})
    return places


def discriminator_places(blocks, attention, parts, image_size):
    """Returns what `generator_places` does, of a discriminator."""
    places = {f"attention{image_size >> after}": place for after, place in attention.items()}
    for i, block in enumerate(blocks, 1):
        places.update({f"block{i}_{part}": block + name for part, name in parts.items()})
    return places


def discriminator_attention(state, attention, image_size):
    """Returns the sizes that attention follows.

    Raises:
        InputError: It follows another than the first block of its size.
    """
    halvings = DISCRIMINATOR_CHANNELS[image_size][1]
    for after, place in attention.items():
        if after > halvings:
            raise InputError(
                f"{state.source}: {place} is attention after block {after}; ours follows the "
                f"first block of a size, here at most {halvings}"
            )
    return [image_size >> after for after in attention]


def discriminator_width(state, dense, image_size):
    """Returns the width by the inputs of the dense layer whose kernel has the name `dense`."""
    return state.shape(dense)[1] // DISCRIMINATOR_CHANNELS[image_size][0][-1]
