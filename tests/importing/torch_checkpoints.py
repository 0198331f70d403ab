"""Checkpoints of PyTorch that are rebuilt from what was recorded, and what an import must give.

For the systems whose spectral norm keeps `weight_bar`: see `record/heykeetae.py`.
"""

import json

import numpy as np
from outputs import outputs_of
from record.heykeetae import FIXTURES, pictures, state, thinned_pictures


def recorded(name):
    """Returns the arrays of a fixture, by name."""
    with np.load(FIXTURES / f"{name}.npz") as file:
        return dict(file)


def tensors(record, network):
    """Returns the state of a "generator" or "discriminator", as tensors of torch by name."""
    import torch

    shapes = json.loads(str(record[network]))
    filled = state(network, shapes, int(record["seed"]))
    return {name: torch.from_numpy(filled[name]) for name in shapes}


def zeros(record, network):
    """Returns the same without its values, which take seconds."""
    import torch

    shapes = json.loads(str(record[network]))
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def assert_as_recorded(networks, record):
    """Fails unless both networks compute what the code computed that they come from.

    Float32 leaves 1e-5 of it: sums run in another order, and u is converged as far as float32 is.
    """
    images, attended = outputs_of(networks.generator, {"latent": record["latents"]})
    np.testing.assert_allclose(thinned_pictures(images), record["images"], atol=1e-4)
    maps = [name for name in record if name.startswith("map")]
    assert len(attended) == len(maps)
    for name, attention in zip(sorted(maps), attended, strict=True):
        np.testing.assert_allclose(attention, record[name], atol=1e-4)
    logits = networks.discriminator({"image": pictures(int(record["seed"]))})
    np.testing.assert_allclose(np.ravel(logits), record["logits"], atol=1e-3)
