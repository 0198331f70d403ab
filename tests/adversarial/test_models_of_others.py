"""Generators with layers that Keras does not know by name."""

import keras
import numpy as np
import others
import pytest

import keras_sagan


@pytest.mark.parametrize(
    "name",
    ["weight standardisation", "a Lambda", "a nested model", "a subclass of BatchNormalization"],
)
def test_they_are_averaged_and_sampled(name):
    generator = others.generator_of(*others.CASES[name]())
    image = keras.Input((4, 6, 3), name="image")
    critic = keras.layers.Dense(1)(keras.layers.Flatten()(image))
    gan = keras_sagan.GAN(generator, keras.Model({"image": image}, critic))
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), ema=0.5)
    assert gan.sampler is not generator
    expected = [np.array(weight) for weight in generator.get_weights()]
    for found, weight in zip(gan.sampler.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, weight)
    gan.fit(np.ones((8, 4, 6, 3), "float32"), batch_size=4, verbose=0)
    latent = keras_sagan.latents.numpy_normal(range(3), 8)
    pictures = np.asarray(gan.sampler({"latent": latent}))
    pictures = np.clip(np.round((pictures + 1) * 127.5), 0, 255)
    assert np.abs(gan.sample(range(3)) - pictures).max() <= 1
