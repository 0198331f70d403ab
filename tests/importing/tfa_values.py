"""What the weights of a Keras 2 network are filled with, for who records and who tests."""

import numpy as np
from filling import filled

SEED, LATENT = 14, 16
_KINDS = [
    ("kernel", "kernel"),
    ("bias|beta|moving_mean|sn_u", "bias"),
    (r"norm\w*/(gamma|moving_variance)", "gain"),
    ("gamma", "gamma"),
]


def values_of(shapes):
    """Returns a value for each weight of Keras 2, by name.

    Kernels are larger than those that the wrapper stores: how far they have moved since must not
    matter.
    """
    # `filled` expects output channels first.
    turned = {name: (*shape[-1:], *shape[:-1]) for name, shape in shapes.items()}
    values = filled(turned, _KINDS, SEED)
    for name, value in values.items():
        if value.shape[1:3] == (4, 4):
            value *= 2  # few of the inputs of a stride-2 kernel meet, and units halve them
        values[name] = np.moveaxis(value, 0, -1) if value.ndim else value
    return values


def inputs_of(shape, role):
    """Returns two latents, or two images in [-1, 1], for a network such as "dcgan32"."""
    rng = np.random.default_rng(SEED)
    if role == "generator":
        return rng.normal(size=(2, LATENT)).astype(np.float32)
    size = int(shape[-2:])
    squares = rng.uniform(-1, 1, size=(2, 4, 4, 3)).astype(np.float32)
    return squares.repeat(size // 4, axis=1).repeat(size // 4, axis=2)


def thinned(name, array):
    """Returns the part of an output that a fixture keeps."""
    if name.startswith("map"):
        return array[:, ::16]
    return array[:, ::2, ::2] if array.ndim == 4 else array
