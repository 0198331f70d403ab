"""Losses on held-out images."""

import keras
import numpy as np
import pytest
from gans import small_gan as make_gan
from keras import ops

import keras_sagan
from keras_sagan import latents
from keras_sagan.sampling import draws

IMAGES = np.random.default_rng(0).uniform(-1, 1, (10, 2, 2, 3)).astype("float32")
LABELS = np.arange(10, dtype="int32") % 3


def state(gan):
    optimizers = (gan.generator_optimizer, gan.discriminator_optimizer)
    metrics = {id(variable) for variable in gan.metrics_variables}
    variables = [*gan.variables, *(v for each in optimizers for v in each.variables)]
    return [np.array(variable) for variable in variables if id(variable) not in metrics]


def test_held_out_images_are_judged_as_by_hand_and_nothing_changes():
    gan = make_gan(ema=0.5)
    gan.fit(IMAGES, LABELS, batch_size=5, verbose=0)
    before = state(gan)
    found = gan.evaluate(IMAGES[:7], LABELS[:7], batch_size=3, verbose=0, return_dict=True)
    for a, b in zip(before, state(gan), strict=True):
        np.testing.assert_array_equal(a, b)
    latent = np.asarray(latents.normal(draws.seeds(gan.seed, 0, "evaluation/latents", 7), 4))
    fakes = gan.generator({"latent": latent, "label": LABELS[:7]})
    real, fake = (
        np.asarray(gan.discriminator({"image": images, "label": LABELS[:7]}), "float64")
        for images in (IMAGES[:7], np.asarray(fakes))
    )
    expected = {
        "discriminator_loss": np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean(),
        "generator_loss": -fake.mean(),
        "real_logits": real.mean(),
        "fake_logits": fake.mean(),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-5), name  # of sums in float32
    again = gan.evaluate(IMAGES[:7], LABELS[:7], batch_size=7, verbose=0)
    assert dict(zip(gan.metrics_names, again, strict=True)) == pytest.approx(found, abs=1e-5)
    on_batch = gan.test_on_batch(IMAGES[:7], LABELS[:7], return_dict=True)
    assert on_batch == pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize("split", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_held_out_images_are_judged_after_each_epoch(split):
    """And training goes on as it would without them."""
    plain, gan = (
        make_gan(
            generator_optimizer=keras.optimizers.SGD(0.05),
            discriminator_optimizer=keras.optimizers.SGD(0.05),
        )
        for _ in range(2)
    )
    expected = plain.fit(IMAGES[:6], LABELS[:6], batch_size=3, epochs=2, shuffle=False, verbose=0)
    options = {"batch_size": 3, "epochs": 2, "shuffle": False, "verbose": 0}
    if split:
        history = gan.fit(IMAGES, LABELS, validation_split=0.4, **options).history
    else:
        held_out = (IMAGES[6:], LABELS[6:])
        history = gan.fit(IMAGES[:6], LABELS[:6], validation_data=held_out, **options).history
    last = gan.evaluate(IMAGES[6:], LABELS[6:], verbose=0, return_dict=True)
    for name, value in last.items():
        assert history[name] == pytest.approx(expected.history[name], abs=1e-5)
        assert history[f"val_{name}"][1] == pytest.approx(value, abs=1e-5)
        assert history[f"val_{name}"][0] != history[f"val_{name}"][1]
    assert {name for name in history if name.startswith("val_")} == {f"val_{n}" for n in last}


@pytest.mark.parametrize(
    "weights", [{"class_weight": {0: 1, 1: 2, 2: 3}}, {"sample_weight": np.ones(10)}]
)
def test_weights_of_images_are_refused_before_the_first_step(weights):
    gan = make_gan()
    with pytest.raises(ValueError, match="takes neither class_weight nor sample_weight"):
        gan.fit(IMAGES, LABELS, batch_size=5, verbose=0, **weights)
    assert gan.step == 0
    with pytest.raises(ValueError, match="a third part of the data"):
        gan.evaluate(IMAGES, LABELS, sample_weight=np.ones(10), verbose=0)


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ((100 * IMAGES[6:], LABELS[6:]), r"in \[-1, 1\], got values from"),
        ((IMAGES[6:], LABELS[6:] + 3), "labels must be from 0 to 2"),
        ((IMAGES[6:],), "the models take labels"),
        ((IMAGES[6:], LABELS[6:], np.ones(4)), "takes neither class_weight nor sample_weight"),
        ((IMAGES[6:, :1], LABELS[6:]), "images are 1x2x3"),
    ],
)
def test_held_out_images_are_looked_at_before_the_first_step(held_out, message):
    gan = make_gan()
    with pytest.raises(ValueError, match=message):
        gan.fit(IMAGES, LABELS, batch_size=5, validation_data=held_out, verbose=0)
    assert gan.step == 0
    if len(held_out) == 2:
        with pytest.raises(ValueError, match=message):
            gan.evaluate(*held_out, verbose=0)


def test_losses_of_a_networks_own_layers_count():
    """Weight decay and `add_loss`, in a network of its own class."""

    class Decayed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(
                12, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(0.5)
            )
            self.shape = keras.layers.Reshape((2, 2, 3))

        def call(self, inputs):
            self.add_loss(7.0 + 0.0 * ops.sum(inputs))
            return self.shape(self.dense(inputs))

    generator = Decayed()
    generator.latent_dim = 4
    critic = keras.Sequential(
        [
            keras.Input((2, 2, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(1, "linear", True, "zeros"),
        ]
    )
    gan = keras_sagan.GAN(generator, critic)
    gan.compile(keras.optimizers.SGD(1e-30), keras.optimizers.SGD(1e-30))
    history = gan.fit(IMAGES, batch_size=5, verbose=0).history
    # 48 weights of 1, and logits of 0.
    assert history["generator_loss"] == [pytest.approx(0.5 * 48 + 7)]
    assert ops.shape(gan.sampler({"latent": np.zeros((2, 4))})) == (2, 2, 2, 3)
