"""Random numbers of training: a pure function of (seed, step, name of the stream, index).

A training step draws several things: latents of each update, labels, points between pictures. Each
has a stream of its own, known by its name, so that one more stream changes none of the others, a
run that goes on draws what it would have drawn, and replicas draw their parts of one batch. With
`hash` of `latents.py` and its 32-bit integers,

    key(seed, name) = k_n,  where  k_0 = hash(seed ^ 0x9e3779b9)  and  k_i = hash(k_(i-1) ^ b_i)
    draw(seed, step, name, index) = hash(hash(key + step * 0x9e3779b1) + index * 0x9e3779b1)

with b_1 ... b_n the bytes of the name in UTF-8. A draw is a seed for `latents.normal` and
`latents.uniform`, one for each picture of the batch.
"""

import numpy as np

from keras_sagan.sampling import latents


def key(seed, name):
    """Returns the key of a stream, a number of 32 bits.

    Args:
        seed: An integer.
        name: Name of the stream.
    """
    # An array, since NumPy warns where a single number wraps around.
    value = latents.numpy_hash(np.array([seed & 0xFFFFFFFF ^ latents.SEED_XOR], np.uint32))
    for byte in name.encode():
        value = latents.numpy_hash(value ^ np.uint32(byte))
    return int(value[0])


def seeds(seed, step, name, count, first=0):
    """Returns the seeds of a stream at a step, in `keras.ops`.

    Args:
        seed: An integer, known when the step is traced.
        step: () int32.
        name: Name of the stream.
        count: How many.
        first: Index of the first of them.

    Returns:
        (count,) int32.
    """
    from keras import ops

    multiplier = latents.signed(latents.INDEX_MULTIPLIER)
    state = latents.hash32(latents.signed(key(seed, name)) + ops.cast(step, "int32") * multiplier)
    index = ops.arange(count, dtype="int32") + first
    return latents.hash32(state + index * multiplier)
