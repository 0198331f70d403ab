"""github.com/ajbrock/BigGAN-PyTorch, run as SAGAN: `G.pth`, `G_ema.pth`, `D.pth` of a folder.

Of each there are copies whose names end alike, such as `G_ema_best0.pth`. Classes have a table of
gains and biases in each batch norm, or one embedding (`--shared`). Attention may follow any block.
"""

import dataclasses
import pickletools
import re
import zipfile
from pathlib import Path

from keras_sagan.errors import InputError
from keras_sagan.importing.conversion import PYTORCH, Filler
from keras_sagan.importing.systems import Networks, network_of, read
from keras_sagan.models import ResNetDiscriminator, ResNetGenerator
from keras_sagan.models.resnet import DISCRIMINATOR_CHANNELS, GENERATOR_CHANNELS

LOOKS_LIKE = {
    "generator": r"^blocks\.0\.0\.bn1\.gain\.weight$",
    "discriminator": r"^blocks\.0\.0\.conv1\.u0$",
}
_NAMES = dataclasses.replace(
    PYTORCH,
    spectral_kernel=".weight",
    u=".u0",
    v=None,
    norm=(".gain", ".bias", ".stored_mean", ".stored_var"),
    class_norm=(".gain", ".bias", ".stored_mean", ".stored_var"),
    attention=(".theta", ".phi", ".g", ".o", ".gamma"),
)
_BLOCK = {"conv1": "conv1", "conv2": "conv2", "shortcut": "conv_sc", "norm1": "bn1", "norm2": "bn2"}
# scripts/launch_SAGAN_bs128x2_ema.sh: 100 passes over ImageNet. Classes of generated pictures are
# drawn.
_TRAINING = {
    "optimizer": {
        "generator_learning_rate": 1e-4,
        "discriminator_learning_rate": 4e-4,
        "beta_1": 0.0,
        "beta_2": 0.999,
    },
    "train": {"batch_size": 256, "steps": 500_000, "ema": 0.9999, "fake_labels": "uniform"},
}
_INTEGERS = ("BININT", "BININT1", "BININT2", "LONG1")  # of pickle
# Singular values are for its logs. Only the first of several vectors is used.
_NEEDLESS = r".*\.(sv\d+|u[1-9]\d*|accumulation_counter)"


def load(given):
    """Returns the `Networks` of a `Given`."""
    path = Path(given.checkpoint)
    files = {"generator": path, "discriminator": given.discriminator}
    if path.is_dir():
        names = {"generator": "G", "averaged": "G_ema", "discriminator": "D"}
        found = {network: path / f"{name}.pth" for network, name in names.items()}
        files = {network: file for network, file in found.items() if file.is_file()}
        if "generator" not in files:
            files["generator"] = files.pop("averaged", found["generator"])
        if given.discriminator is not None:
            files["discriminator"] = given.discriminator
    networks = Networks(None, training=_TRAINING)
    for network, file in files.items():
        if file is None:
            continue
        kind = "discriminator" if network == "discriminator" else "generator"
        state = read(file, "biggan-pytorch", kind)
        make = discriminator if kind == "discriminator" else generator
        setattr(networks, network, make(state))
        state.skip(_NEEDLESS)
        networks.states.append(state)
    networks.step = _step(files["generator"])
    return networks


def generator(state):
    """Returns the generator that a state holds."""
    names = _names_of_norms(state)
    blocks = _count_blocks(state)
    image_size = 4 << blocks
    if image_size == 64:
        raise InputError(
            f"{state.source}: pictures of 64x64: BigGAN-PyTorch has channels there that no network "
            "here has"
        )
    attention = {8 << i: place for i, place in _attention(state, blocks)}
    table = "blocks.0.0.bn1.gain.weight"
    shared = state.shape("shared.weight") if "shared.weight" in state else None
    if shared and state.shape(table)[1] != shared[1]:
        raise InputError(f"{state.source}: it splits its latents (--hier), as no network here does")
    multiples = GENERATOR_CHANNELS.get(image_size, (1,))
    model = network_of(
        ResNetGenerator,
        state,
        image_size=image_size,
        num_classes=shared[0] if shared else state.shape(table)[0],
        latent_dim=state.shape("linear.weight")[1],
        width=state.shape("output_layer.0.gain")[0] // multiples[-1],
        attention=tuple(attention),
        class_spectral_norm=shared is not None,
        class_embedding_dim=shared[1] if shared else None,
        norm_momentum=0.9,
    )
    places = {
        "dense": "linear",
        "class_embedding": "shared",
        "norm": "output_layer.0",
        "to_rgb": "output_layer.2",
        **{f"attention{size}": place for size, place in attention.items()},
    }
    for i in range(blocks):
        for ours, theirs in _BLOCK.items():
            places[f"block{8 << i}_{ours}"] = f"blocks.{i}.0.{theirs}"
    Filler(state, names).fill(model, places)
    return model


def discriminator(state):
    """Returns the discriminator that a state holds."""
    blocks = _count_blocks(state)
    image_size = 2 << blocks
    multiples, halvings = DISCRIMINATOR_CHANNELS.get(image_size, ((1,), 0))
    attention = {}
    for i, place in _attention(state, blocks):
        size = image_size >> min(i + 1, halvings)
        if size in attention:
            raise InputError(
                f"{state.source}: {attention[size]} and {place} are both attention at {size}: the "
                "discriminator here has it once"
            )
        attention[size] = place
    classes, channels = state.shape("embed.weight")
    model = network_of(
        ResNetDiscriminator,
        state,
        image_size=image_size,
        num_classes=classes,
        width=channels // multiples[-1],
        attention=tuple(attention),
        spectral_norm_axis="first",  # of the embedding: the classes
    )
    places = {
        "dense": "linear",
        "class_embedding": "embed",
        **{f"attention{size}": place for size, place in attention.items()},
    }
    for i in range(blocks):
        for ours, theirs in _BLOCK.items():
            places[f"block{i + 1}_{ours}"] = f"blocks.{i}.0.{theirs}"
    Filler(state, _NAMES).fill(model, places)
    return model


def _count_blocks(state):
    numbers = (re.match(r"blocks\.(\d+)\.", name) for name in state.names)
    return 1 + max(int(number[1]) for number in numbers if number)


def _attention(state, blocks):
    """The numbers of the blocks that attention follows, and its places."""
    places = ((i, f"blocks.{i}.1") for i in range(blocks))
    return [(i, place) for i, place in places if f"{place}.theta.weight" in state]


def _names_of_norms(state):
    """The names, in which those of the statistics depend on the kind of batch norm."""
    norm = "output_layer.0"
    if f"{norm}.bn.running_mean" in state:
        raise InputError(
            f"{state.source}: trained with --cross_replica, whose batch norm multiplies by the "
            "gains in training, and adds them when it samples: no network here does"
        )
    if f"{norm}.bn.stored_mean" not in state:
        return _NAMES
    if state.take(f"{norm}.bn.accumulation_counter").any():
        raise InputError(
            f"{state.source}: its batch norms hold sums (--accumulate_stats) and not averages: "
            "save it without"
        )
    tables, statistics = (".gain", ".bias"), (".bn.stored_mean", ".bn.stored_var")
    return dataclasses.replace(_NAMES, norm=tables + statistics, class_norm=tables + statistics)


def _step(path):
    """The updates that the `state_dict.pth` beside a generator's file tells; 0 without."""
    suffix = re.fullmatch(r"G(?:_ema)?((?:_.*)?\.pth)", Path(path).name)
    if suffix is None:
        return 0
    beside = Path(path).with_name(f"state_dict{suffix[1]}")
    if not beside.is_file():
        return 0
    # Read, and not loaded: the file also holds the settings, some of which are objects.
    content = beside.read_bytes()
    if zipfile.is_zipfile(beside):
        with zipfile.ZipFile(beside) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            content = archive.read(name)
    operations = ((code.name, value) for code, value, _ in pickletools.genops(content))
    for _, value in operations:
        if value == "itr":
            return next(number for name, number in operations if name in _INTEGERS)
    return 0
