"""The seeds of training, against their equations in Python's own integers."""

import numpy as np
import pytest
from keras import ops

from keras_sagan.sampling import draws


def hash32(x):
    """lowbias32, on an integer."""
    x = (x ^ x >> 16) * 0x7FEB352D & 0xFFFFFFFF
    x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


def expected(seed, step, name, index):
    key = hash32(seed & 0xFFFFFFFF ^ 0x9E3779B9)
    for byte in name.encode():
        key = hash32(key ^ byte)
    state = hash32(key + step * 0x9E3779B1 & 0xFFFFFFFF)
    return hash32(state + index * 0x9E3779B1 & 0xFFFFFFFF)


@pytest.mark.parametrize(("seed", "step"), [(0, 0), (7, 123_456), (2**31 - 1, 2**31 - 1)])
@pytest.mark.parametrize("name", ["generator/latents", "é"])
def test_draws_are_those_of_the_equations(seed, step, name):
    found = np.asarray(draws.seeds(seed, ops.convert_to_tensor(step, "int32"), name, 5, first=3))
    assert found.dtype == np.int32
    values = [expected(seed, step, name, index) for index in range(3, 8)]
    np.testing.assert_array_equal(found.view(np.uint32), np.array(values, np.uint32))


def test_parts_of_a_batch_are_those_of_the_whole():
    whole = np.asarray(draws.seeds(0, 5, "a", 8))
    parts = [np.asarray(draws.seeds(0, 5, "a", 4, first)) for first in (0, 4)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_seeds_steps_and_names_share_nothing():
    streams = [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"), (0, 0, "ab"), (0, 0, "ba")]
    drawn = [np.asarray(draws.seeds(*stream, 1000)) for stream in streams]
    assert len(np.unique(drawn)) == 6000
