"""The state of somebody else's network from names, shapes and a seed alone.

So that a fixture need not hold weights: what recorded the outputs of a peer's code filled it by
this rule, and a test fills a checkpoint by the same.
"""

import re
import zlib

import numpy as np

# What a tensor of a kind is drawn from.
_DRAWS = {
    # Not normalised by fan-in alone: leaky units and attention are to matter.
    "kernel": lambda rng, shape: rng.normal(size=shape) / np.sqrt(max(np.prod(shape[1:]), 1)),
    "bias": lambda rng, shape: 0.1 * rng.normal(size=shape),
    "mean": lambda rng, shape: 0.1 * rng.normal(size=shape),
    # Small: spectrally normalised kernels make features small, and a picture should not be grey.
    "variance": lambda rng, shape: rng.uniform(0.02, 0.08, size=shape),
    "gain": lambda rng, shape: rng.uniform(0.5, 1.5, size=shape),
    "offset": lambda rng, shape: 0.3 * rng.normal(size=shape),  # a table of gains less 1
    "gamma": lambda rng, shape: rng.uniform(0.4, 0.8, size=shape),
    "count": lambda rng, shape: np.full(shape, 7),
}


def filled(shapes, kinds, seed):
    """Returns a value for each tensor but the spectral vectors: see `converged`.

    Args:
        shapes: Shapes by name.
        kinds: (regular expression, kind) pairs; the first whose expression is found in a name
            says what the tensor is. A kind of None is left to the caller.
        seed: A number; the same name and seed give the same values.
    """
    values = {}
    for name, shape in shapes.items():
        kind = next(kind for pattern, kind in kinds if re.search(pattern, name))
        if kind is None:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        value = _DRAWS[kind](rng, tuple(shape))
        values[name] = np.asarray(value, np.int64 if kind == "count" else np.float32)
    return values


def converged(matrix):
    """Returns the first singular vectors of a matrix (rows, columns): (rows,) and (columns,)."""
    left, _, right = np.linalg.svd(np.asarray(matrix, np.float64), full_matrices=False)
    return left[:, 0].astype(np.float32), right[0].astype(np.float32)


def thinned_map(attention):
    """Returns some five queries, of all parts of a map (batch, queries, keys)."""
    return attention[:, :: attention.shape[1] // 5 + 1]
