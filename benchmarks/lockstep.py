"""What runs of one training share: what they are fed, and what each writes after every step.

NumPy alone, so that a peer's process may run in any environment.
"""

import itertools
from pathlib import Path

import numpy as np

INPUTS = "inputs.npz"
START = "start.npz"
# Logits of an update, one an image, in the order of the batch.
LOGITS = ("real_logits", "fake_logits", "generator_logits")
LOSSES = ("discriminator_loss", "generator_loss")
NETWORKS = ("generator", "discriminator")


def inputs(settings):
    """Returns what each step is fed, by name, with the step as the first axis; see `parity.py`.

    Args:
        settings: "folder"; "reordered": whether each batch is turned round, which changes nothing
            but the order in which numbers are added up.
    """
    with np.load(Path(settings["folder"]) / INPUTS) as file:
        arrays = dict(file)
    if settings.get("reordered"):
        arrays = {name: array[:, ::-1].copy() for name, array in arrays.items()}
    return arrays


def start(settings, own):
    """Returns the weights to start from, by "network/name".

    Args:
        settings: "folder"; "nudged", if given, by what share of themselves they are changed.
        own: A function that gives those of a peer as it makes them; the first process to ask
            lays them down for all.
    """
    path = Path(settings["folder"]) / START
    if not path.exists():
        np.savez(path, **own())
    with np.load(path) as file:
        found = dict(file)
    if share := settings.get("nudged"):
        rng = np.random.default_rng(0)
        for name, value in found.items():
            found[name] = value * (1.0 + share * rng.normal(size=value.shape))
    return found


def turns(settings, steps):
    """Returns a task that takes a step and writes what it gave and left, each time it is called.

    Args:
        settings: "folder"; "run", the name of what is written; "reordered".
        steps: A generator of dictionaries of arrays: weights by "network/name", and but for the
            first, which is the state before the first step, the `LOSSES` and the `LOGITS`.
    """
    numbers = itertools.count()

    def task():
        record = dict(next(steps))
        if settings.get("reordered"):
            record.update({name: record[name][::-1] for name in LOGITS if name in record})
        path = record_path(settings["folder"], settings["run"], next(numbers))
        np.savez(path, **record)

    return task


def record_path(folder, run, step):
    """The file of a run after a step; 0 is before the first."""
    return Path(folder) / f"{run} {step}.npz"


def taken(folder, run, step):
    """Returns what a run wrote after a step, and removes the file."""
    path = record_path(folder, run, step)
    with np.load(path) as file:
        record = dict(file)
    path.unlink()
    return record
