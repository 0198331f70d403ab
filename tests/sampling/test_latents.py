import math

import keras
import numpy as np
import pytest

from keras_sagan.sampling import latents


def python_latent(seed, i):
    """The documented function, in Python's own integers."""

    def hashed(x):
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ (x >> 16)

    def uniform(n):
        bits = hashed((hashed(seed % 2**32 ^ 0x9E3779B9) + n * 0x9E3779B1) % 2**32)
        return ((bits >> 9) + 0.5) / 2**23

    return np.sqrt(-2 * np.log(uniform(2 * i))) * np.cos(2 * np.pi * uniform(2 * i + 1))


SEEDS = np.array([0, 1, 7, 123456789, 2**31 - 1, -1, -(2**31)])


def test_numpy_is_what_is_documented():
    z = latents.numpy_normal(SEEDS, 5)
    expected = [[python_latent(int(seed), i) for i in range(5)] for seed in SEEDS]
    assert z.dtype == np.float32
    # The cosine of a float32 angle of up to 2 pi, times a radius of up to 6.
    np.testing.assert_allclose(z, expected, atol=5e-6)


def test_graph_equals_numpy():
    # The integer part is exact; logarithm and cosine differ by rounding between libraries.
    np.testing.assert_array_equal(
        np.asarray(latents.uniform(SEEDS, 64)), latents.numpy_uniform(SEEDS, 64)
    )
    inputs = keras.Input((), dtype="int32")
    model = keras.Model(inputs, Normal()(inputs))
    z = model.predict(SEEDS.astype("int32"), verbose=0)
    np.testing.assert_allclose(z, latents.numpy_normal(SEEDS, 64), atol=5e-6)


class Normal(keras.layers.Layer):
    def call(self, seeds):
        return latents.normal(seeds, 64)


# A million draws: 8192 seeds, near each other or far apart, of 128 numbers.
SETS_OF_SEEDS = {
    "neighbours": np.arange(8192),
    "the last": np.arange(2**31 - 8192, 2**31),
    "far apart": np.arange(8192) * 2**18,
    "negative": -np.arange(1, 8193),
}


@pytest.fixture(scope="module", params=SETS_OF_SEEDS)
def million(request):
    return latents.numpy_normal(SETS_OF_SEEDS[request.param], 128).astype(np.float64)


def test_moments(million):
    n = million.size
    # Four standard errors of each estimate for independent normal draws.
    assert million.mean() == pytest.approx(0, abs=4 / np.sqrt(n))
    assert million.var() == pytest.approx(1, abs=4 * np.sqrt(2 / n))
    assert (million**3).mean() == pytest.approx(0, abs=4 * np.sqrt(15 / n))
    assert (million**4).mean() == pytest.approx(3, abs=4 * np.sqrt(96 / n))  # kurtosis


def test_kolmogorov_smirnov(million):
    x = np.sort(million.ravel())
    cumulative = 0.5 * (1 + np.array([math.erf(value) for value in x / np.sqrt(2)]))
    steps = np.arange(len(x) + 1) / len(x)
    distance = max(np.abs(cumulative - steps[1:]).max(), np.abs(cumulative - steps[:-1]).max())
    # Exceeded with probability 1e-4 (Kolmogorov: 2 exp(-2 d^2) = 1e-4) by truly normal draws.
    assert distance < np.sqrt(-0.5 * np.log(0.5e-4) / len(x))


@pytest.mark.parametrize("lag", [1, 2, 64])
def test_neighbours_are_uncorrelated(million, lag):
    n = million.size
    for x in (million, np.abs(million) - np.abs(million).mean()):  # values, and their sizes
        assert np.mean(x[lag:] * x[:-lag]) == pytest.approx(0, abs=4 / np.sqrt(n))
        assert np.mean(x[:, lag:] * x[:, :-lag]) == pytest.approx(0, abs=4 / np.sqrt(n))


def test_no_two_latents_are_alike(million):
    unit = million[:2048] / np.linalg.norm(million[:2048], axis=1, keepdims=True)
    cosines = unit @ unit.T - np.eye(2048)
    # 2 million pairs of cosines of standard deviation 1 / sqrt(128): the largest is near 5 of them.
    assert np.abs(cosines).max() < 6.5 / np.sqrt(128)


def test_a_normal_tail_is_there(million):
    # Of a million draws 63 lie beyond 4, give or take 8.
    assert 35 < (np.abs(million) > 4).sum() * 1e6 / million.size < 95
