"""The systems whose checkpoints can be imported, and which of them a checkpoint looks like."""

import dataclasses
import importlib
import re

from keras_sagan.errors import InputError
from keras_sagan.importing import SYSTEMS, files


@dataclasses.dataclass(frozen=True)
class Given:
    """What was typed.

    Args:
        checkpoint: Path of the generator's checkpoint, or of both networks'.
        discriminator: Path of the discriminator's, or None.
        conf: Path of the text that describes the generator, or None.
        discriminator_conf: Path of that of the discriminator, or None.
    """

    checkpoint: object
    discriminator: object = None
    conf: object = None
    discriminator_conf: object = None


@dataclasses.dataclass
class Networks:
    """What a system's checkpoint holds, as networks of ours.

    Args:
        generator: The generator as it was trained.
        averaged: Its moving average, from which pictures are drawn; None if there is none.
        discriminator: The discriminator, or None.
        step: Updates of the generator so far; 0 if that is not told.
        training: Sections of a config (optimizer, loss, train) as the system published them.
        notes: Lines for the user: what was assumed.
        states: The `State`s that were read.
    """

    generator: object
    averaged: object = None
    discriminator: object = None
    step: int = 0
    training: dict = dataclasses.field(default_factory=dict)
    notes: list = dataclasses.field(default_factory=list)
    states: list = dataclasses.field(default_factory=list)


def module(system):
    """Returns the module of a system, which has

    - `load(given)`, from a `Given` to `Networks`;
    - `LOOKS_LIKE`, by network ("generator", "discriminator") a regular expression that is found in
      names of no other system's tensors. The first one counts that is found.
    """
    return importlib.import_module(f"keras_sagan.importing.{SYSTEMS[system]}")


def read(path, system, network):
    """Reads a network's checkpoint; see `files.read`.

    Args:
        path: Its path.
        system: A name in `SYSTEMS`.
        network: "generator" or "discriminator".

    Raises:
        InputError: It looks like something else.
    """
    state = files.read(path)
    if _kind(state, system) != network:
        kinds = {other: _kind(state, other) for other in SYSTEMS}
        kinds = [f"a {kind} of {other}" for other, kind in kinds.items() if kind]
        told = f": it looks like {' or '.join(kinds)}" if kinds else ""
        raise InputError(f"{path} is no {network} of {system}{told}")
    return state


def _kind(state, system):
    """Which network of a system the names of a state are of: the first that fits, or None."""
    for network, pattern in module(system).LOOKS_LIKE.items():
        if any(re.search(pattern, name) for name in state.names):
            return network
    return None


def network_of(make, what, **arguments):
    """Calls a class of networks of ours with what was read off a checkpoint.

    Args:
        make: The class.
        what: The `State`, which errors name.
        **arguments: Of the class.

    Raises:
        InputError: No such network, such as one of another size.
    """
    try:
        return make(**arguments)
    except ValueError as error:
        text = " ".join(str(error).split())
        raise InputError(f"{what.source}: no network of ours has these shapes: {text}") from error
