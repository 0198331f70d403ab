"""Generators and discriminators of any Keras kind."""

import keras
import numpy as np
import pytest
from keras import layers
from kinds import KINDS, PARAMETERS, Own, body, graphs, sequential

import keras_sagan
from keras_sagan.models import named_generator
from keras_sagan.sampling import Sampler

IMAGES = np.random.default_rng(0).uniform(-1, 1, (8, 2, 2, 3)).astype("float32")
LABELS = np.arange(8, dtype="int32") % 3


@pytest.mark.parametrize("kind", PARAMETERS)
def test_networks_of_any_kind_are_trained_averaged_and_sampled(kind):
    make, form = KINDS[kind]
    generator, critic = make()
    gan = keras_sagan.GAN(generator, critic)
    # Not the hinge loss, in whose first step biases get no gradient.
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), "least_squares", ema=0.5)
    before = [network.get_weights() for network in (generator, critic)]
    labels = LABELS if gan.conditional else None
    gan.fit(IMAGES, labels, batch_size=4, verbose=0)
    for network, old in zip((generator, critic), before, strict=True):
        # All but the bias before a batch normalisation, which its mean takes out again.
        moved = [np.abs(a - b).max() > 0 for a, b in zip(old, network.get_weights(), strict=True)]
        assert np.mean(moved) > 0.7
    average, live = (
        np.concatenate([w.ravel() for w in m.get_weights()]) for m in (gan.sampler, generator)
    )
    assert average.shape == live.shape and np.abs(average - live).max() > 1e-4

    latent = keras_sagan.latents.numpy_normal(range(6), 4)
    of_sampler = {"latent": latent, **({"label": LABELS[:6]} if gan.conditional else {})}
    check_pictures(gan.sample(range(6)), gan.sampler(of_sampler))
    expected = generator(*form(latent, LABELS[:6]))
    check_pictures(Sampler(generator).sample(range(6)), expected)
    gan.compile(ema=None)
    check_pictures(gan.sample(range(6)), expected)
    assert np.abs(np.asarray(gan.sampler(of_sampler)) - np.asarray(expected)).max() < 1e-6


def check_pictures(pictures, outputs):
    """Within a level, as values on the edge of one may be rounded to either."""
    levels = np.clip(np.round((np.asarray(outputs, "float64") + 1) * 127.5), 0, 255)
    assert np.abs(pictures - levels).max() <= 1 and pictures.std() > 5


def test_the_networks_given_are_those_of_the_gan():
    generator, critic = graphs(lambda x, label: [x, label])
    gan = keras_sagan.GAN(generator, critic)
    assert gan.generator is generator and gan.discriminator is critic
    assert len(gan.weights) == len(generator.weights) + len(critic.weights) + 2  # the counters


def test_what_cannot_be_understood_is_named():
    _, critic = sequential(build=False)
    generator = keras.Sequential(body(12, (2, 2, 3)), name="mine")
    with pytest.raises(ValueError, match="the generator mine does not tell .* latent_dim"):
        keras_sagan.GAN(generator, critic)
    a, b = keras.Input((4,)), keras.Input((4,))
    x = layers.Reshape((2, 2, 3))(layers.Dense(12)(layers.Concatenate()([a, b])))
    with pytest.raises(ValueError, match='the generator mine has inputs of shapes .*"label"'):
        named_generator(keras.Model([a, b], x, name="mine"))
    with pytest.raises(ValueError, match="the generator mine has 2 outputs: it must have one"):
        named_generator(keras.Model(a, [a, layers.Dense(2)(a)], name="mine"))
    wide = keras.Sequential([keras.Input((4,)), layers.Dense(48), layers.Reshape((4, 4, 3))])
    with pytest.raises(
        ValueError, match=r"of shape \(4, 4, 3\), the discriminator takes \(2, 2, 3\)"
    ):
        keras_sagan.GAN(wide, keras.Sequential([keras.Input((2, 2, 3)), layers.Dense(1)]))

    class Failing(Own):
        def call(self, inputs):
            raise ArithmeticError("of my own making")

    failing = Failing(12, (2, 2, 3))
    failing.latent_dim = 4
    with pytest.raises(ValueError, match="failing cannot be called on latent; .*of my own making"):
        named_generator(failing)


def test_classes_set_on_a_generator_stay_with_its_averages():
    generator, critic = graphs(lambda x, label: {"latent": x, "label": label})
    gan = keras_sagan.GAN(generator, critic)
    gan.compile()
    np.testing.assert_array_equal(gan.sample(range(3)), gan.sample(range(3), [0, 1, 2]))
    with pytest.raises(ValueError, match="labels must be from 0 to 2, got 3"):
        gan.sample([0], [3])
