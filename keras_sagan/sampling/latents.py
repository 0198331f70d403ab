"""Portable latents: a pure function from (seed, index) to a normal number.

With 32-bit integers that wrap around, `>>` shifting in zeros, and

    hash(x):  x ^= x >> 16;  x *= 0x7feb352d;  x ^= x >> 15;  x *= 0x846ca68b;  x ^= x >> 16

(lowbias32 of Chris Wellons), draw number n of a seed is

    bits(seed, n)    = hash(hash(seed ^ 0x9e3779b9) + n * 0x9e3779b1)
    uniform(seed, n) = ((bits >> 9) + 0.5) / 2^23                        in (0, 1)
    latent(seed, i)  = sqrt(-2 ln uniform(seed, 2 i)) cos(2 pi uniform(seed, 2 i + 1))

in float32 (Box-Muller). The functions here use `keras.ops` on int32 and so run on every backend
and in graphs; on NumPy arrays with `numpy_normal` there is nothing but NumPy.
"""

import math

import numpy as np

SEED_XOR = 0x9E3779B9
INDEX_MULTIPLIER = 0x9E3779B1
_HASH_MULTIPLIERS = (0x7FEB352D, 0x846CA68B)


def signed(x):
    """Returns a number of 32 bits as the int32 of the same bits."""
    return int(np.uint32(x).view(np.int32))


def hash32(x):
    """`hash` above on int32 tensors, in `keras.ops`."""
    from keras import ops

    def xor_shift(x, bits):
        return ops.bitwise_xor(x, _logical_shift(x, bits))

    x = xor_shift(x, 16) * signed(_HASH_MULTIPLIERS[0])
    x = xor_shift(x, 15) * signed(_HASH_MULTIPLIERS[1])
    return xor_shift(x, 16)


def _logical_shift(x, bits):
    """`>>` that shifts in zeros, on int32 tensors: those of `keras.ops` copy the sign."""
    from keras import ops

    # The remainder, never negative, is in one operation of TF Lite what masking is in several.
    return ops.mod(ops.right_shift(x, bits), 1 << (32 - bits))


def uniform(seeds, count):
    """Returns the first draws of each seed, in (0, 1).

    Args:
        seeds: (batch,) int32.
        count: Draws a seed.

    Returns:
        (batch, count) float32.
    """
    return _draws(seeds, np.arange(count))


def _draws(seeds, numbers):
    """Returns the draws of those numbers, (batch, numbers) float32."""
    from keras import ops

    seeds = ops.convert_to_tensor(seeds, dtype="int32")
    steps = (numbers.astype(np.uint32) * np.uint32(INDEX_MULTIPLIER)).view(np.int32)
    steps = ops.convert_to_tensor(steps)
    state = hash32(ops.bitwise_xor(ops.reshape(seeds, (-1, 1)), signed(SEED_XOR)))
    # 23 bits and a half are what float32 holds exactly.
    top = ops.cast(_logical_shift(hash32(state + steps), 9), "float32")
    return (top + 0.5) * 2.0**-23


def normal(seeds, latent_dim):
    """Returns the latent of each seed, normally distributed.

    Args:
        seeds: (batch,) int32.
        latent_dim: Length of a latent.

    Returns:
        (batch, latent_dim) float32.
    """
    from keras import ops

    numbers = 2 * np.arange(latent_dim)
    draws = _draws(seeds, np.concatenate([numbers, numbers + 1]))
    of_radius, of_angle = ops.split(draws, 2, axis=1)
    return ops.sqrt(-2.0 * ops.log(of_radius)) * ops.cos(2.0 * math.pi * of_angle)


def numpy_hash(x):
    """`hash` above on NumPy uint32 arrays."""
    x = np.asarray(x, np.uint32)
    x = (x ^ (x >> 16)) * np.uint32(_HASH_MULTIPLIERS[0])
    x = (x ^ (x >> 15)) * np.uint32(_HASH_MULTIPLIERS[1])
    return x ^ (x >> 16)


def numpy_uniform(seeds, count):
    """`uniform` in NumPy alone: (batch,) integers to (batch, count) float32."""
    seeds = np.asarray(seeds, np.int64).astype(np.uint32)
    index = np.arange(count, dtype=np.uint32) * np.uint32(INDEX_MULTIPLIER)
    bits = numpy_hash(numpy_hash(seeds ^ np.uint32(SEED_XOR))[:, None] + index)
    return ((bits >> 9).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def numpy_normal(seeds, latent_dim):
    """`normal` in NumPy alone: (batch,) integers to (batch, latent_dim) float32."""
    draws = numpy_uniform(seeds, 2 * latent_dim)
    radius = np.sqrt(np.float32(-2.0) * np.log(draws[:, 0::2]))
    return radius * np.cos(np.float32(2.0 * math.pi) * draws[:, 1::2])
