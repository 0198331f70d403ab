"""Generators with layers that Keras does not know by name."""

import keras
import numpy as np
import others
import pytest

import keras_sagan


def gan_of(generator):
    image = keras.Input(generator.output.shape[1:], name="image")
    critic = keras.layers.Dense(1)(keras.layers.Flatten()(image))
    return keras_sagan.GAN(generator, keras.Model({"image": image}, critic))


@pytest.mark.parametrize("name", others.CASES)
def test_their_copy_for_averages_is_theirs(name):
    generator = others.generator_of(*others.CASES[name]())
    gan = gan_of(generator)
    gan.compile()
    assert gan.sampler is not generator and gan.sampler.name == generator.name
    theirs = {id(variable) for variable in generator.variables}
    assert not theirs & {id(variable) for variable in gan.sampler.variables}
    latent = keras_sagan.latents.numpy_normal(range(3), 8)
    expected = np.asarray(generator({"latent": latent}))
    np.testing.assert_array_equal(gan.sampler({"latent": latent}), expected)


def test_a_model_of_its_own_class_stays_of_it():
    generator = keras_sagan.models.DCGANGenerator(image_size=32, latent_dim=8, width=8)
    gan = keras_sagan.GAN(generator, keras_sagan.models.DCGANDiscriminator(image_size=32, width=8))
    gan.compile()
    assert type(gan.sampler) is type(generator)
    assert gan.sampler.get_config() == generator.get_config()


@pytest.mark.parametrize(
    "name",
    [
        "weight standardisation",
        "a Lambda",
        "a nested model",
        "a subclass of keras's BatchNormalization",
    ],
)
def test_they_are_averaged_and_sampled(name):
    generator = others.generator_of(*others.CASES[name]())
    gan = gan_of(generator)
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), ema=0.5)
    gan.fit(np.ones((8, 4, 6, 3), "float32"), batch_size=4, verbose=0)
    latent = keras_sagan.latents.numpy_normal(range(3), 8)
    pictures = np.asarray(gan.sampler({"latent": latent}))
    pictures = np.clip(np.round((pictures + 1) * 127.5), 0, 255)
    assert np.abs(gan.sample(range(3)) - pictures).max() <= 1
