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
        # int32 shifts in copies of the sign bit; the second term takes them out again.
        shifted = ops.right_shift(x, bits)
        sign = ops.right_shift(x, 31) * signed(1 << (32 - bits))
        return ops.bitwise_xor(x, ops.bitwise_xor(shifted, sign))

    x = xor_shift(x, 16) * signed(_HASH_MULTIPLIERS[0])
    x = xor_shift(x, 15) * signed(_HASH_MULTIPLIERS[1])
    return xor_shift(x, 16)


def uniform(seeds, count):
    """Returns the first draws of each seed, in (0, 1).

    Args:
        seeds: (batch,) int32.
        count: Draws a seed.

    Returns:
        (batch, count) float32.
    """
    from keras import ops

    seeds = ops.convert_to_tensor(seeds, dtype="int32")
    index = ops.arange(count, dtype="int32") * signed(INDEX_MULTIPLIER)
    state = hash32(ops.bitwise_xor(seeds, signed(SEED_XOR)))
    bits = hash32(state[:, None] + index[None, :])
    # 23 bits and a half are what float32 holds exactly. The shift keeps the sign.
    top = ops.cast(ops.right_shift(bits, 9), "float32")
    top = top + 2.0**23 * ops.cast(top < 0, "float32")
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

    draws = uniform(seeds, 2 * latent_dim)
    radius = ops.sqrt(-2.0 * ops.log(draws[:, 0::2]))
    return radius * ops.cos(2.0 * math.pi * draws[:, 1::2])


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
