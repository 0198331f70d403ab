"""Checkpoints of github.com/akanimax/attn_gan_pytorch and fagan: `GAN_GEN_*.pth`, `GAN_DIS_*.pth`.

Each network is described by a `.conf`, a YAML list of its layers, by whose numbers the tensors are
named. Those that it publishes are the compact networks (its config 1) and the Full Attention GAN's.
"""

import dataclasses
import re
from pathlib import Path

import yaml

from keras_sagan.errors import InputError
from keras_sagan.importing import heykeetae
from keras_sagan.importing.conversion import Filler
from keras_sagan.importing.systems import Networks, network_of, read
from keras_sagan.models import FAMILIES
from keras_sagan.models.dcgan import discriminator_stages, generator_stages

SYSTEM = "attn-gan-pytorch"
LOOKS_LIKE = {
    "generator": r"^model\.\d+\.1\.running_mean$",
    "discriminator": r"^model\.\d+\.(0|query_conv)\.",
}
# Its attention and spectral norm are those of heykeetae's code.
_NAMES = dataclasses.replace(heykeetae.NAMES, full_attention=(".residual_conv", ".batch_norm"))
_NUMBER = r"\d{1,6}(?:\.\d*)?"
_CALL = re.compile(rf"(\w*)\(({_NUMBER}(?:,{_NUMBER})*)\)")  # "(3, 64)", "lrelu(0.1)"
_OPTIONS = {"generator": "--conf", "discriminator": "--discriminator-conf"}
# fagan's train.py: 12 passes over the 202,599 pictures of CelebA.
_TRAINING = {
    "loss": {"name": "relativistic_average_hinge"},
    "train": {"batch_size": 32, "steps": 76_000},
}


def load(given):
    """Returns the `Networks` of a `Given`."""
    paths = {"generator": (given.checkpoint, given.conf)}
    if given.discriminator is not None:
        paths["discriminator"] = (given.discriminator, given.discriminator_conf)
    states = {network: read(path, SYSTEM, network) for network, (path, _) in paths.items()}
    confs = {network: Conf(path, network) for network, (_, path) in paths.items()}
    networks = Networks(**build(states, confs), training=_TRAINING, states=[*states.values()])
    networks.notes.append(
        "the checkpoint tells neither its loss nor its steps: fagan's relativistic average hinge "
        "is assumed, and steps count from 0"
    )
    return networks


def build(states, confs):
    """Returns the networks.

    Args:
        states: A `State` by network: "generator", and perhaps "discriminator".
        confs: A `Conf` likewise.

    Raises:
        InputError: They are no networks of ours, or do not go together.
    """
    if len({conf.image_size for conf in confs.values()}) > 1:
        told = " and ".join(f"{conf.path} of {conf.image_size}" for conf in confs.values())
        raise InputError(f"the networks are of pictures of two sizes: {told}")
    # What our configs have once, for both networks.
    shared = {
        "spectral_norm": _first_value(confs, False, "spectral_norm"),
        "full_spectral_norm": _first_value(confs, True, "use_spectral_norm"),
        "full_batch_norm": _first_value(confs, True, "use_batch_norm"),
    }
    has_full_attention = any(conf.full_attention for conf in confs.values())
    classes = FAMILIES["full_attention" if has_full_attention else "dcgan"]
    models = {}
    for network, make in zip(("generator", "discriminator"), classes, strict=True):
        if network in confs:
            conf, state = confs[network], states[network]
            conf.check(shared)
            arguments = {**conf.arguments(), "spectral_norm": shared["spectral_norm"]}
            if has_full_attention:
                arguments |= {**shared, "full_attention": conf.full_attention}
            if has_full_attention or network == "generator":
                arguments["norm_momentum"] = 0.9
            model = network_of(make, state, **arguments, spectral_norm_axis="first")
            _fill(model, state, conf)
            models[network] = model
    return models


def _fill(model, state, conf):
    try:
        Filler(state, _NAMES).fill(model, conf.places())
    except InputError as error:
        raise InputError(f"{error} (is {conf.path} its .conf?)") from error
    state.skip(r".*\.num_batches_tracked")
    for stage in conf.stages:  # full attention has a batch norm whether it uses it or not
        if stage.is_full and not stage.entry.get("use_batch_norm"):
            state.skip(rf"{re.escape(stage.place)}\.batch_norm\..*")


def _first_value(confs, of_full_attention, key):
    """What the first layer that may have a norm says of it."""
    for conf in confs.values():
        for i, stage in enumerate(conf.stages[:-1]):
            picture = i == 0 and conf.network == "discriminator"
            if stage.is_full is of_full_attention and not (picture and key == "use_batch_norm"):
                return bool(stage.entry.get(key))
    return True


@dataclasses.dataclass
class Stage:
    """A layer that makes a map of another size, and the self-attention that follows it.

    Args:
        number: Of the layer in the .conf, from 0 on.
        entry: What the .conf says of it.
        attention: Number of the self-attention, or None.
    """

    number: int
    entry: dict
    attention: int | None = None

    @property
    def is_full(self):
        """Whether it is full attention."""
        return self.entry["name"] == "full_attention"

    @property
    def place(self):
        """What the names of its tensors begin with."""
        return f"model.{self.number}"


class Conf:
    """A `.conf`, as the stages of a network.

    Args:
        path: Its path.
        network: "generator" or "discriminator".

    Raises:
        InputError: There is no such file, or what it holds is no network of ours.
    """

    def __init__(self, path, network):
        if path is None:
            raise InputError(f"{SYSTEM} needs the {network}'s .conf: give {_OPTIONS[network]} FILE")
        self.path = Path(path)
        self.network = network
        self.entries = _entries(self.path)
        self.stages = self._stages()
        self.image_size = 4 << len(self.stages) - 1
        sizes = [4 << i for i in range(len(self.stages) - 1)]
        self.sizes = sizes if self._generates else sizes[::-1]  # of the map that a stage gives
        self.width = self._channels(self.stages[-1])[0] if self._generates else self._first[1]

    @property
    def full_attention(self):
        """Sizes of the maps that full attention gives."""
        return tuple(size for size, stage in self._sized if stage.is_full)

    def arguments(self):
        """Returns the arguments of our networks that it tells, of either family."""
        attention = tuple(size for size, stage in self._sized if stage.attention is not None)
        arguments = {"image_size": self.image_size, "width": self.width, "attention": attention}
        return arguments | ({"latent_dim": self._first[0]} if self._generates else {})

    def places(self):
        """Returns what the names of tensors begin with, by our name of the layer."""
        last = self.stages[-1]
        places = {"to_rgb" if self._generates else "to_logits": f"{last.place}.0"}
        for size, stage in self._sized:
            places |= {
                f"full{size}": stage.place,
                f"conv{size}": f"{stage.place}.0",
                f"norm{size}": f"{stage.place}.1",
                f"attention{size}": f"model.{stage.attention}",
            }
        return places

    def check(self, shared):
        """Raises InputError where it says what our networks do not have.

        Args:
            shared: "spectral_norm", "full_spectral_norm" and "full_batch_norm" of both networks.
        """
        channels = self._expected_channels()
        for i, stage in enumerate(self.stages):
            pair = channels[i : i + 2]
            self._compare(stage.number, self._expected(i, pair, shared))
            if stage.attention is not None:
                attention = {"channels": pair[1], "bias": True, "squeeze_factor": 8}
                self._compare(stage.attention, {**attention, "activation": None})

    @property
    def _generates(self):
        return self.network == "generator"

    @property
    def _first(self):
        return self._channels(self.stages[0])

    @property
    def _sized(self):
        return list(zip(self.sizes, self.stages, strict=False))  # the last gives no map

    def _stages(self):
        stages = []
        for number, entry in enumerate(self.entries):
            name, after = entry["name"], self.entries[number - 1]["name"] if number else None
            gives_map = after in ("self_attention", "full_attention")
            if gives_map and name != "ignore_attn_maps":
                raise self._refused(number, f"ignore_attn_maps must follow {after}")
            if name in ("conv", "conv_transpose", "full_attention"):
                stages.append(Stage(number, entry))
            elif name == "self_attention" and stages and stages[-1].attention is None:
                stages[-1].attention = number
            elif not (name == "ignore_attn_maps" and gives_map):
                raise self._refused(number, "the networks here have no such layer there")
        if len(stages) < 2 or stages[-1].is_full or stages[-1].attention is not None:
            raise InputError(f"{self.path}: a {self.network} ends in a convolution after others")
        return stages

    def _expected_channels(self):
        """What the layers take, and what the last one gives."""
        table = generator_stages if self._generates else discriminator_stages
        try:
            stages, _ = table(self.image_size, self.width, ())
        except ValueError as error:
            raise InputError(f"{self.path}: {len(self.stages)} stages: {error}") from error
        ends = (self._first[0], 3) if self._generates else (3, 1)
        return [ends[0], *stages.values(), ends[1]]

    def _expected(self, i, channels, shared):
        """What a stage must be."""
        last, generates = i == len(self.stages) - 1, self._generates
        picture = i == 0 and not generates
        valid = i == 0 if generates else last
        common = {
            "channels": f"({channels[0]}, {channels[1]})",
            "kernel_dims": "(4, 4)",
            "stride": "(1, 1)" if valid else "(2, 2)",
            "padding": "(0, 0)" if valid else "(1, 1)",
            "bias": True,
        }
        if self.stages[i].is_full:
            return {
                "transpose_conv": generates,
                **common,
                "squeeze_factor": 1 if picture else 8,
                "use_spectral_norm": shared["full_spectral_norm"],
                "use_batch_norm": shared["full_batch_norm"] and not picture,
                "activation": "lrelu(0.1)" if picture else "lrelu(0.3)",
            }
        hidden, end = ("relu", "tanh") if generates else ("lrelu(0.1)", "lrelu(1.0)")
        return {
            "name": "conv_transpose" if generates else "conv",
            **common,
            "spectral_norm": shared["spectral_norm"] and not last,
            "batch_norm": generates and not last,
            "activation": end if last else hidden,
        }

    def _compare(self, number, expected):
        entry = self.entries[number]
        for key, value in expected.items():
            given = entry.get(key)
            if _parsed(given) != _parsed(value) and not (value is False and given is None):
                told = "not given" if given is None else given
                wanted = "none" if value is None else value
                raise self._refused(number, f"{key} is {told}, and the networks here have {wanted}")

    def _channels(self, stage):
        channels = _parsed(stage.entry.get("channels"))
        if not (isinstance(channels, tuple) and len(channels) == 3):
            raise self._refused(stage.number, "channels must be as (64, 128)")
        return tuple(int(number) for number in channels[1:])

    def _refused(self, number, why):
        name = self.entries[number]["name"]
        return InputError(f"{self.path}: entry {number + 1} ({name}): {why}")


def _entries(path):
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        raise InputError(f"{path}: {reason}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    entries = content.get("architecture") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: has no list of layers, architecture")
    for number, entry in enumerate(entries):
        if not (isinstance(entry, dict) and isinstance(entry.get("name"), str)):
            raise InputError(f"{path}: entry {number + 1} has no name")
        entry["name"] = entry["name"].lower()
    return entries


def _parsed(value):
    """What a text such as "(3, 64)" or "lrelu(0.1)" says; anything else as it is."""
    if not isinstance(value, str):
        return value
    text = value.lower().replace(" ", "")
    match = _CALL.fullmatch(text)
    return (match[1], *map(float, match[2].split(","))) if match else text
