import keras
import numpy as np
import pytest

from keras_sagan import latents


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


def test_moments_and_independence_of_a_million_draws():
    z = latents.numpy_normal(np.arange(8192), 128).astype(np.float64)
    n = z.size
    # Four standard errors of each estimate for independent normal draws.
    assert z.mean() == pytest.approx(0, abs=4 / np.sqrt(n))
    assert z.var() == pytest.approx(1, abs=4 * np.sqrt(2 / n))
    assert (z**4).mean() == pytest.approx(3, abs=4 * np.sqrt(96 / n))
    assert np.mean(z[1:] * z[:-1]) == pytest.approx(0, abs=4 / np.sqrt(n))
    assert np.mean(z[:, 1:] * z[:, :-1]) == pytest.approx(0, abs=4 / np.sqrt(n))
