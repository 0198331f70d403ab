"""What one step computes."""

import keras
import numpy as np
import pytest
from gans import IMAGES, LABELS, dataset, make_gan, one_step, weights_of
from keras import ops

import keras_sagan
from keras_sagan import latents, models
from keras_sagan.adversarial import losses
from keras_sagan.layers import SpectralNorm
from keras_sagan.sampling import draws


def spectral_norms(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, SpectralNorm)]


@pytest.mark.slow
@pytest.mark.parametrize("loss", losses.LOSSES)
def test_every_loss_trains_both_networks(loss):
    gan = make_gan(loss=loss)
    before = weights_of(gan.generator), weights_of(gan.discriminator)
    history = gan.fit(dataset(), steps_per_epoch=2, verbose=0).history
    assert np.isfinite(history["generator_loss"] + history["discriminator_loss"]).all()
    for model, old in zip((gan.generator, gan.discriminator), before, strict=True):
        changed = [np.any(a != b) for a, b in zip(old, weights_of(model), strict=True)]
        assert np.mean(changed) > 0.9


def test_a_step_is_that_of_the_equations():
    """One hinge step with SGD, recomputed with plain tapes and two discriminator passes."""
    import tensorflow as tf

    gan = make_gan(compile=False)
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2))
    twin = make_gan(compile=False)
    real = tf.constant(IMAGES[:8].astype("float32") / 127.5 - 1)
    label = tf.constant(LABELS[:8])
    latent = tf.random.normal((8, 16))
    # Sigma converges, so that one iteration more or less does not tell.
    for model, images in (
        (gan.generator, {"latent": latent}),
        (gan.discriminator, {"image": real}),
    ):
        for layer in spectral_norms(model):
            layer.power_iterations = 100
        model({**images, "label": label}, training=True)
        for layer in spectral_norms(model):
            layer.power_iterations = 1
    for ours, theirs in ((gan.generator, twin.generator), (gan.discriminator, twin.discriminator)):
        theirs.set_weights(ours.get_weights())
    one_step(gan)

    z = [
        tf.constant(latents.numpy_normal(np.asarray(draws.seeds(0, 0, name, 8)), 16))
        for name in ("discriminator0/latents", "generator/latents")
    ]
    g, d = twin.generator, twin.discriminator
    fake = g({"latent": z[0], "label": label}, training=True)
    with tf.GradientTape() as tape:
        real_logits = d({"image": real, "label": label}, training=False)
        fake_logits = d({"image": fake, "label": label}, training=False)
        loss = tf.reduce_mean(tf.nn.relu(1 - real_logits)) + tf.reduce_mean(
            tf.nn.relu(1 + fake_logits)
        )
    variables = d.trainable_variables
    for v, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        v.assign(v - 0.2 * tf.convert_to_tensor(gradient))
    with tf.GradientTape() as tape:
        fake = g({"latent": z[1], "label": label}, training=True)
        loss = -tf.reduce_mean(d({"image": fake, "label": label}, training=False))
    variables = g.trainable_variables
    for v, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        v.assign(v - 0.1 * tf.convert_to_tensor(gradient))

    for ours, theirs in ((gan.generator, g), (gan.discriminator, d)):
        for a, b in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
            # What 100 power iterations leave; a step moves weights by a hundred times as much.
            np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        "wasserstein",
        pytest.param("hinge", marks=pytest.mark.slow),
        pytest.param("relativistic_average_hinge", marks=pytest.mark.slow),
    ],
)
def test_one_power_iteration_a_discriminator_update(loss):
    gan = make_gan(compile=False)
    # Without learning, W stays and u follows from the number of iterations alone.
    gan.compile(keras.optimizers.SGD(1e-30), keras.optimizers.SGD(1e-30), loss=loss)
    twin = make_gan(compile=False).discriminator
    twin.set_weights(gan.discriminator.get_weights())
    one_step(gan)
    twin({"image": np.zeros((1, 32, 32, 3)), "label": np.zeros(1, int)}, training=True)
    pairs = zip(spectral_norms(gan.discriminator), spectral_norms(twin), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(np.array(ours.u), np.array(theirs.u), rtol=1e-4, atol=1e-6)


def test_discriminator_steps_use_new_images_and_one_generator_step():
    gan = make_gan(discriminator_steps=2)
    gan.fit(dataset(batch=16), steps_per_epoch=3, verbose=0)
    assert int(gan.discriminator_optimizer.iterations) == 6
    assert int(gan.generator_optimizer.iterations) == gan.step == 3
    assert gan.images_seen == 48


def test_gradient_penalty_against_numpy():
    """For a linear critic w.x the gradient is w everywhere, so the penalty is (|w| - 1)^2."""
    image = keras.Input((32, 32, 3), name="image")
    dense = keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.1))
    critic = keras.Model({"image": image}, dense(keras.layers.Flatten()(image)))
    generator = models.DCGANGenerator(image_size=32, latent_dim=16, width=8)
    gan = keras_sagan.GAN(generator, critic)
    gan.compile(loss="wasserstein")
    images = (ops.zeros((4, 32, 32, 3)), None, ops.ones((4, 32, 32, 3)), None)
    penalty = gan._terms("discriminator", "discriminator0", images, (None, None), [[]])
    norm = np.linalg.norm(np.asarray(dense.kernel, np.float64))
    assert float(penalty) == pytest.approx(10 * (norm - 1) ** 2, rel=1e-4)


def test_batch_statistics_keep_real_and_fake_apart():
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.BatchNormalization()(image)
    critic = keras.Model({"image": image}, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    gan = keras_sagan.GAN(models.DCGANGenerator(image_size=32, latent_dim=16, width=8), critic)
    gan.compile()
    real, fake = ops.ones((2, 32, 32, 3)), keras.random.normal((2, 32, 32, 3))
    logits, _ = gan._logits_of_both(real, None, fake, None)
    expected = critic({"image": real}, training=True)
    np.testing.assert_allclose(logits[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_seed_decides_the_latents():
    losses_of = {}
    for seed in (0, 0, 1):
        gan = make_gan(seed=seed)
        history = gan.fit(dataset(), steps_per_epoch=2, verbose=0).history
        losses_of.setdefault(seed, []).append(history["discriminator_loss"][0])
    assert losses_of[0][0] == pytest.approx(losses_of[0][1], rel=1e-5)
    assert losses_of[0][0] != losses_of[1][0]


@pytest.mark.slow
def test_several_steps_an_execution_are_the_same_steps():
    if keras.config.backend() == "torch":
        pytest.skip("Keras's trainer takes one at a time there, and says so")
    one, four = make_gan(), make_gan(steps_per_execution=4)
    one.fit(dataset(), steps_per_epoch=4, verbose=0)
    four.fit(dataset(), steps_per_epoch=4, verbose=0)
    assert four.step == 4 and four.images_seen == 32
    for a, b in zip(weights_of(one.sampler), weights_of(four.sampler), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_xla_compiles_the_same_step():
    if keras.config.backend() != "tensorflow":
        pytest.skip("on JAX every step is compiled, and PyTorch has no XLA")
    plain, compiled = make_gan(compile=False), make_gan(compile=False)
    for gan, jit_compile in ((plain, False), (compiled, True)):
        optimizers = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)
        gan.compile(*optimizers, jit_compile=jit_compile)
        gan.fit(dataset(), steps_per_epoch=2, verbose=0)
    for a, b in zip(weights_of(plain), weights_of(compiled), strict=True):
        # Sums in another order, twice through gradients: float32 keeps six to seven digits.
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_fit_in_parts_equals_fit_at_once():
    """Keras by itself puts the averages in the place of the weights at the end of each fit."""
    at_once, in_parts = make_gan(), make_gan()
    at_once.fit(dataset(), steps_per_epoch=2, verbose=0)
    for part in range(2):
        in_parts.fit(dataset(first=part), steps_per_epoch=1, verbose=0)
    for a, b in zip(weights_of(at_once.generator), weights_of(in_parts.generator), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_weight_without_a_gradient_stays_as_it_is():
    class Unused(keras.layers.Layer):
        def build(self, shape):
            self.unused = self.add_weight(name="unused", shape=(2,), initializer="ones")

        def call(self, inputs):
            return 1.0 * inputs

    latent, image = keras.Input((4,)), keras.Input((2, 2, 3))
    pixels = keras.layers.Dense(12)(Unused()(latent))
    generator = keras.Model({"latent": latent}, keras.layers.Reshape((2, 2, 3))(pixels))
    logits = keras.layers.Dense(1)(keras.layers.Flatten()(image))
    gan = keras_sagan.GAN(generator, keras.Model({"image": image}, logits))
    gan.compile(keras.optimizers.SGD(0.1), ema=None)
    before = [weight.copy() for weight in generator.get_weights()]
    gan.fit(np.zeros((4, 2, 2, 3), "float32"), batch_size=4, verbose=0)
    after = generator.get_weights()
    np.testing.assert_array_equal(after[0], before[0])
    assert np.abs(after[1] - before[1]).max() > 0


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's graphs")
def test_gradients_are_of_the_weights_before_the_update():
    """Behind a linear critic TensorFlow may change a weight before the gradient has read it.

    It does in some of the graphs that are made of the same code, so ten are made.
    """
    keras.utils.set_random_seed(0)
    layers = keras.layers
    latent, image = keras.Input((4,), name="latent"), keras.Input((2, 2, 3), name="image")
    hidden, pixels = layers.Dense(5), layers.Dense(12)
    generator = keras.Model({"latent": latent}, layers.Reshape((2, 2, 3))(pixels(hidden(latent))))
    critic = layers.Dense(1)
    gan = keras_sagan.GAN(generator, keras.Model({"image": image}, critic(layers.Flatten()(image))))
    rate = 0.5
    gan.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate), ema=None)
    start = gan.get_weights()
    before = np.array(pixels.kernel, "float64")
    images = np.random.default_rng(0).uniform(-1, 1, (4, 2, 2, 3)).astype("float32")
    for _ in range(10):
        gan.set_weights(start)
        bias = np.array(hidden.bias, "float64")
        gan.make_train_function(force=True)
        gan.fit(images, batch_size=4, verbose=0)
        # The loss is minus the mean logit, of the critic that has made its step.
        gradient = -(before @ np.array(critic.kernel, "float64"))[:, 0]
        np.testing.assert_allclose(np.array(hidden.bias), bias - rate * gradient, atol=1e-6)
