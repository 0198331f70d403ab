"""github.com/open-mmlab/mmgeneration: its SAGAN, generator, average and discriminator in one file.

The networks of StudioGAN's configs under other names. Some of what its configs choose shows in the
tensors (classes, width, attention, which layers are spectrally normalised, and in which of two
styles). The rest is read from the text of the config in `meta`: the epsilon of batch norms, whether
1 is added to the gains of the classes, whether ReLUs work in place, and the order of the colours,
which is BGR in the published ones.
"""

import ast
import dataclasses
import re

import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.importing.conversion import PYTORCH, Filler
from keras_sagan.importing.state import State
from keras_sagan.importing.studiogan import (
    blocks_of,
    discriminator_attention,
    discriminator_places,
    discriminator_width,
    generator_places,
    size_of,
    training,
)
from keras_sagan.importing.systems import Networks, network_of, read
from keras_sagan.models import ResNetDiscriminator, ResNetGenerator
from keras_sagan.models.resnet import DISCRIMINATOR_CHANNELS, GENERATOR_CHANNELS

LOOKS_LIKE = {
    "generator": r"^generator\.noise2feat\.weight_orig$",
    "discriminator": r"^discriminator\.from_rgb\.shortcut\.conv\.weight",
}
NAMES = dataclasses.replace(
    PYTORCH,
    v=None,  # PyTorch's style has it, the other does not
    class_norm=(".weight_embedding", ".bias_embedding", ".norm.running_mean", ".norm.running_var"),
    attention=(".theta.conv", ".phi.conv", ".g.conv", ".o.conv", ".gamma"),
)
_BLOCK, _ATTENTION = "conv_blocks.{}", ".gamma"
_CONVOLUTIONS = {"shortcut": ".shortcut.conv", "conv1": ".conv_1.conv", "conv2": ".conv_2.conv"}
_GENERATOR = {"dense": "noise2feat", "norm": "to_rgb.bn", "to_rgb": "to_rgb.conv"}
_DISCRIMINATOR = {"dense": "decision", "class_embedding": "proj_y"}
_NEEDLESS = r".*\.(num_batches_tracked|weight_v|sv0)"
# Arguments of its networks that are read here, or show in the tensors, or change no picture.
_KNOWN = {
    *("type", "output_scale", "input_scale", "num_classes", "base_channels", "out_channels"),
    *("input_channels", "noise_size", "attention_cfg", "attention_after_nth_block", "act_cfg"),
    *("use_cbn", "auto_sync_bn", "with_spectral_norm", "with_embedding_spectral_norm"),
    *("sn_style", "norm_eps", "sn_eps", "init_cfg", "pretrained"),
}
_WITH_ONE = ("STUDIO", "BIGGAN")
_WITHOUT_ONE = ("SAGAN", "SNGAN", "SNGAN-PROJ", "GAN-PROJ")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What tensors do not tell, by default as in its studio configs.

    Args:
        norm_epsilon: Epsilon of the batch norms.
        one: What is added to the gains of the classes.
        relu_shortcut: Whether the discriminator's ReLUs work in place.
        bgr: Whether the colours of pictures are in the order blue, green, red.
    """

    norm_epsilon: float = 1e-4
    one: int = 1
    relu_shortcut: bool = False
    bgr: bool = True


def load(given):
    """Returns the `Networks` of a `Given`."""
    if given.discriminator is not None:
        raise InputError(
            f"{given.discriminator}: a checkpoint of mmgeneration holds both networks, and there "
            "is no other to give"
        )
    state = read(given.checkpoint, "mmgeneration", "generator")
    settings, notes = _settings(state)
    state.skip(_NEEDLESS)
    states, models = [state], {}
    makers = {"generator": generator, "generator_ema": generator, "discriminator": discriminator}
    for network, make in makers.items():
        part = state.within(f"{network}.")
        if part.names:
            states.append(_translated(part, settings))
            models[network] = make(states[-1], settings)
    averaged = models.get("generator_ema")
    networks = Networks(
        models["generator"],
        averaged,
        models.get("discriminator"),
        training=training(models["generator"].image_size, 0.0 if averaged is None else 0.999),
        notes=notes,
        states=states,
    )
    # It counts the discriminator's updates.
    iterations = _meta(state).get("iter")
    if isinstance(iterations, int):
        networks.step = iterations // networks.training["train"]["discriminator_steps"]
    return networks


def generator(state, settings):
    """Returns the generator that a state holds.

    Args:
        state: A `State` of `_translated`.
        settings: The `Settings`.
    """
    blocks, attention = blocks_of(state, _BLOCK, _ATTENTION)
    image_size = size_of(state, len(blocks), GENERATOR_CHANNELS, 1)
    place = f"{blocks[0]}.norm_1.weight_embedding.weight"
    normalized = f"{place}_orig" in state
    num_classes = None
    if normalized:  # as a dense layer
        num_classes = state.shape(f"{place}_orig")[1]
    elif place in state:
        num_classes = state.shape(place)[0]
    model = network_of(
        ResNetGenerator,
        state,
        image_size=image_size,
        num_classes=num_classes,
        latent_dim=state.shape("noise2feat.weight_orig")[1],
        width=state.shape("to_rgb.conv.weight_orig")[1] // GENERATOR_CHANNELS[image_size][-1],
        attention=[4 << after for after in attention],
        class_spectral_norm=normalized,
        norm_epsilon=settings.norm_epsilon,
        norm_momentum=0.9,
    )
    end = "" if num_classes else ".norm"
    norms = {"norm1": f".norm_1{end}", "norm2": f".norm_2{end}"}
    places = generator_places(blocks, attention, {**_CONVOLUTIONS, **norms})
    Filler(state, NAMES, settings.one).fill(model, {**places, **_GENERATOR})
    return model


def discriminator(state, settings):
    """Returns the discriminator that a state holds.

    Args:
        state: A `State` of `_translated`.
        settings: The `Settings`.

    Raises:
        InputError: That of 64x64 pictures, among others.
    """
    rest, attention = blocks_of(state, _BLOCK, _ATTENTION)
    blocks = ["from_rgb", *rest]
    attention = {after + 1: place for after, place in attention.items()}
    image_size = size_of(state, len(blocks), DISCRIMINATOR_CHANNELS)
    if image_size == 64:
        raise InputError(
            f"{state.source}: its discriminator halves 64x64 pictures five times, and ours four"
        )
    table = "proj_y.weight_orig"
    model = network_of(
        ResNetDiscriminator,
        state,
        image_size=image_size,
        num_classes=state.shape(table)[0] if table in state else None,
        width=discriminator_width(state, "decision.weight_orig", image_size),
        attention=discriminator_attention(state, attention, image_size),
        spectral_norm_axis="first",
        relu_shortcut=settings.relu_shortcut,
    )
    places = discriminator_places(blocks, attention, _CONVOLUTIONS, image_size)
    Filler(state, NAMES).fill(model, {**places, **_DISCRIMINATOR})
    return model


def _translated(state, settings):
    """Returns the tensors of a network as the rules of `conversion` know them."""
    names = (name for name in state.names if not re.fullmatch(_NEEDLESS, name))
    tensors = {name: state.take(name) for name in names}
    for name in [name for name in tensors if name.endswith(".u0")]:  # BigGAN's spectral norm
        stem = name.removesuffix("u0")
        if f"{stem}weight" in tensors:
            tensors[f"{stem}weight_orig"] = tensors.pop(f"{stem}weight")
            tensors[f"{stem}weight_u"] = tensors.pop(name).reshape(-1)
    for name in [name for name in tensors if re.search(r"_embedding\.weight_u$", name)]:
        _translate_table(tensors, name.removesuffix("weight_u"), settings)
    if settings.bgr:
        for name in ("to_rgb.conv.weight_orig", "to_rgb.conv.bias", "to_rgb.conv.weight_u"):
            if name in tensors:
                tensors[name] = tensors[name][::-1]
        for name in ("from_rgb.conv_1.conv.weight_orig", "from_rgb.shortcut.conv.weight_orig"):
            if name in tensors:
                tensors[name] = tensors[name][:, ::-1]
    return State(tensors, state.source, state.others)


def _translate_table(tensors, stem, settings):
    """A normalised embedding (classes, channels), whose `u` lies along the classes.

    It becomes a dense layer of one-hot labels with `u` along the channels, or, where no 1 is added
    to it, which ours does, a table that is normalised once and for all.
    """
    if f"{stem}weight_orig" not in tensors:
        return
    kernel = tensors.pop(f"{stem}weight_orig")
    u = tensors.pop(f"{stem}weight_u")
    along_channels = u @ kernel
    sigma = np.linalg.norm(along_channels)
    if settings.one:
        tensors[f"{stem}weight_orig"] = kernel.T
        tensors[f"{stem}weight_u"] = along_channels / sigma
    else:
        tensors[f"{stem}weight"] = kernel / sigma


def _meta(state):
    meta = state.others.get("meta")
    return meta if isinstance(meta, dict) else {}


def _settings(state):
    """Returns the `Settings` of a checkpoint, and what to tell the user of them."""
    text = _meta(state).get("config")
    values = _assigned(text) if isinstance(text, str) else {}
    if "model" not in values:
        default = Settings()
        return default, [
            f"{state.source} holds no config: taken as in the studio configs (epsilon "
            f"{default.norm_epsilon} in batch norms, 1 added to gains, no ReLUs in place, BGR)"
        ]
    try:
        settings = _of_model(values["model"])
        bgr = _is_bgr(values.get("train_pipeline", []))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise InputError(f"{state.source}: {error}") from error
        raise InputError(f"{state.source}: its config has another form than was known") from error
    notes = []
    if not settings.one and any(re.search(r"_embedding\.(u0|weight_u)$", n) for n in state.names):
        notes = [
            "no 1 is added to its gains, as it is to ours: the tables of gains and biases were "
            "divided by their norms, and are not normalised anew in training"
        ]
    return dataclasses.replace(settings, bgr=bgr), notes


def _of_model(model):
    for network in ("generator", "discriminator"):
        unknown = set(model[network]) - _KNOWN
        activation = model[network].get("act_cfg", {"type": "ReLU"})["type"]
        if unknown or activation != "ReLU":
            what = ", ".join(sorted(unknown)) or f"act_cfg of type {activation}"
            raise InputError(f"its config gives the {network} {what}, which ours does not have")
    initial = model["generator"].get("init_cfg", {}).get("type", "BigGAN").upper()
    if initial not in _WITH_ONE + _WITHOUT_ONE:
        raise InputError(f"its config has an unknown init_cfg, {initial}")
    return Settings(
        norm_epsilon=float(model["generator"].get("norm_eps", Settings.norm_epsilon)),
        one=int(initial in _WITH_ONE),
        relu_shortcut=bool(model["discriminator"].get("act_cfg", {}).get("inplace", False)),
    )


def _is_bgr(pipeline):
    """Whether the pictures of a data pipeline are BGR.

    Those read from files are, since OpenCV reads them so; those of CIFAR's arrays are RGB. What it
    calls `to_rgb` reverses either.
    """
    steps = {step["type"]: step for step in pipeline}
    if "Normalize" not in steps:
        return Settings.bgr
    return ("LoadImageFromFile" in steps) != steps["Normalize"].get("to_rgb", True)


def _assigned(text):
    """Returns what a config, the text of a Python file, assigns to the names that matter here.

    Nothing of it runs: of Python it knows constants, lists, tuples, dictionaries and `dict(...)`.
    """
    try:
        body = ast.parse(text).body
        return {
            target.id: _value(node.value)
            for node in body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id in ("model", "train_pipeline")
        }
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return {}


def _value(node):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict):
        keys = [ast.literal_eval(key) for key in node.keys]
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(element) for element in node.elts]
    return ast.literal_eval(node)
