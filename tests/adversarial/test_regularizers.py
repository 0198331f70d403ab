import types

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_sagan
from keras_sagan.adversarial.regularizers import GradientPenalty, LeCam, R1Penalty, Regularizer

IMAGES = np.random.default_rng(0).uniform(-1, 1, (24, 2, 2, 3)).astype("float32")


def critic_of(*between, **options):
    image = keras.Input((2, 2, 3), name="image")
    x = layers.Flatten()(image)
    for layer in between:
        x = layer(x)
    return keras.Model({"image": image}, layers.Dense(1, **options)(x))


def generator_of(*between, **options):
    latent = keras.Input((4,), name="latent")
    x = latent
    for layer in between:
        x = layer(x)
    x = layers.Dense(12, **options)(x)
    return keras.Model({"latent": latent}, layers.Reshape((2, 2, 3))(x))


def trained(regularizers, generator=None, critic=None, steps=4, **options):
    gan = keras_sagan.GAN(generator or generator_of(), critic or critic_of())
    options = {"ema": None, **options}
    still = (keras.optimizers.SGD(1e-30), keras.optimizers.SGD(1e-30))
    gan.compile(*still, regularizers=regularizers, **options)
    data = np.concatenate([IMAGES] * 2)[: 4 * steps]
    history = gan.fit(data, batch_size=4, epochs=1, shuffle=False, verbose=0).history
    return gan, history


class Counting(Regularizer):
    """A constant, which counts how often it is asked for."""

    def __init__(self, value, **kwargs):
        super().__init__(**kwargs)
        self.value = value
        self.count = self.add_weight(
            name="count", shape=(), initializer="zeros", trainable=False, aggregation="mean"
        )

    def term(self, update):
        self.count.assign_add(1.0)
        return ops.convert_to_tensor(self.value, "float32")


@pytest.mark.parametrize(
    ("every", "times", "network"),
    [
        pytest.param(1, 6, "generator", marks=pytest.mark.slow),
        (1, 6, "discriminator"),
        (4, 2, "generator"),
        pytest.param(4, 2, "discriminator", marks=pytest.mark.slow),
    ],
)
def test_a_term_counts_every_so_many_steps_and_keeps_its_state(network, every, times, tmp_path):
    keras.utils.set_random_seed(0)
    _, plain = trained((), steps=6)
    keras.utils.set_random_seed(0)
    gan, history = trained([Counting(0.5, network=network, every=every)], steps=6)
    (regularizer,) = (r for r in gan.regularizers if isinstance(r, Counting))
    assert float(ops.convert_to_numpy(regularizer.count)) == times
    # Asked at 6 / every steps, `every` times as large: a mean over six steps.
    added = 0.5 * every * times / 6
    for name in ("discriminator", "generator"):
        difference = history[f"{name}_loss"][0] - plain[f"{name}_loss"][0]
        assert difference == pytest.approx(added if name == network else 0, abs=1e-5)

    gan.save_weights(tmp_path / "gan.weights.h5")
    again = keras_sagan.GAN(generator_of(), critic_of())
    new = Counting(0.5, network=network, every=every)
    again.compile(
        keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0), ema=None, regularizers=[new]
    )
    again.load_weights(tmp_path / "gan.weights.h5")
    assert float(ops.convert_to_numpy(new.count)) == times


def test_the_gradient_of_a_term_reaches_the_weights():
    """The penalty of a linear critic is (|w| - 1)^2: minimised alone, the length goes to 1."""

    def length_after(regularizers):
        keras.utils.set_random_seed(0)
        critic = critic_of(kernel_initializer=keras.initializers.RandomNormal(stddev=1.0))
        gan = keras_sagan.GAN(generator_of(), critic)
        nothing = keras_sagan.losses.AdversarialLoss(
            discriminator=lambda real, fake: 0.0 * ops.mean(real),
            generator=lambda real, fake: 0.0 * ops.mean(fake),
        )
        rates = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)
        gan.compile(*rates, loss=nothing, regularizers=regularizers, ema=None)
        gan.fit(IMAGES, batch_size=4, epochs=8, shuffle=False, verbose=0)
        return np.linalg.norm(ops.convert_to_numpy(critic.layers[-1].kernel))

    assert length_after(()) > 2
    assert length_after([GradientPenalty(1.0)]) == pytest.approx(1, abs=1e-3)
    # Four times as much at every fourth step.
    assert length_after([GradientPenalty(1.0, every=4)]) == pytest.approx(1, abs=1e-3)


class Squares(layers.Layer):
    def call(self, inputs):
        return ops.square(inputs)


@pytest.mark.parametrize("quadratic", [False, True])
def test_r1_is_the_mean_square_of_the_gradient_at_real_images(quadratic):
    """Of w x the gradient is w; of w x^2 it is 2 w x. Asked at steps 0 and 2 of four."""
    losses = []
    for regularizers in ((), [R1Penalty(3.0, every=2)]):
        keras.utils.set_random_seed(0)
        gan, history = trained(regularizers, critic=critic_of(*[Squares()] * quadratic))
        losses.append(history["discriminator_loss"][0])
    kernel = ops.convert_to_numpy(gan.discriminator.layers[-1].kernel)[:, 0].astype("float64")
    squares = []
    for step in (0, 2):
        x = IMAGES[4 * step : 4 * step + 4].reshape(4, -1).astype("float64")
        gradient = 2 * kernel * x if quadratic else np.tile(kernel, (4, 1))
        squares.append(np.square(gradient).sum(axis=1).mean())
    expected = 3.0 / 2 * np.mean(squares)  # twice as much at half of the steps
    assert losses[1] - losses[0] == pytest.approx(expected, rel=1e-4)


def test_lecam_is_that_of_its_equation():
    """Averages without the bias of their start, by the weighted mean that they stand for."""
    rng = np.random.default_rng(0)
    lecam = LeCam(0.7, decay=0.9)
    seen = []
    for _ in range(4):
        real, fake = rng.normal(1, 1, (5, 1)), rng.normal(-2, 1, (5, 1))
        seen.append((real.mean(), fake.mean()))
        update = types.SimpleNamespace(
            real_logits=ops.convert_to_tensor(real, "float32"),
            fake_logits=ops.convert_to_tensor(fake, "float32"),
            weight=1.0,
        )
        found = float(ops.convert_to_numpy(lecam.term(update)))
        ages = np.arange(len(seen))[::-1]
        of_real, of_fake = np.average(seen, axis=0, weights=0.9**ages)
        expected = np.square(real - of_fake).mean() + np.square(fake - of_real).mean()
        assert found == pytest.approx(0.7 * expected, rel=1e-5)


def test_the_gradient_of_lecam_follows_the_logits_but_not_the_averages():
    """Of a linear critic's step on LeCam alone, by hand."""
    generator, critic = generator_of(), critic_of()
    gan = keras_sagan.GAN(generator, critic)
    nothing = keras_sagan.losses.AdversarialLoss(
        discriminator=lambda real, fake: 0.0 * ops.mean(real),
        generator=lambda real, fake: 0.0 * ops.mean(fake),
    )
    rates = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)
    gan.compile(*rates, loss=nothing, regularizers=[LeCam(0.5)], ema=None)
    dense = critic.layers[-1]
    before = ops.convert_to_numpy(dense.kernel)[:, 0].astype("float64")
    gan.fit(IMAGES[:4], batch_size=4, verbose=0)
    gan._step.assign(0)
    latents = keras_sagan.latents.normal(gan._draw("discriminator0/latents", 4), 4)
    x = {"real": IMAGES[:4], "fake": ops.convert_to_numpy(generator({"latent": latents}))}
    x = {of: images.reshape(4, -1).astype("float64") for of, images in x.items()}
    logits = {of: images @ before for of, images in x.items()}
    pulls = {
        of: 2 * (logits[of] - logits[other].mean()) @ x[of] / 4
        for of, other in (("real", "fake"), ("fake", "real"))
    }
    expected = before - 0.1 * 0.5 * (pulls["real"] + pulls["fake"])
    np.testing.assert_allclose(ops.convert_to_numpy(dense.kernel)[:, 0], expected, atol=1e-5)


def test_weight_decay_of_the_networks_counts_once():
    """Keras's l2(a) adds a |W|^2, whatever the number of calls of a step."""
    decay = keras.regularizers.L2(0.1)
    for joint_batch in (True, False):
        losses = {}
        for regularizer in (None, decay):
            keras.utils.set_random_seed(0)
            options = {"kernel_regularizer": regularizer}
            gan, history = trained(
                (), generator_of(**options), critic_of(**options), joint_batch=joint_batch
            )
            losses[regularizer] = history
        for name, model in (("discriminator", gan.discriminator), ("generator", gan.generator)):
            kernel = next(w for w in model.trainable_variables if w.name == "kernel")
            expected = 0.1 * np.sum(np.square(ops.convert_to_numpy(kernel), dtype="float64"))
            found = losses[decay][f"{name}_loss"][0] - losses[None][f"{name}_loss"][0]
            assert found == pytest.approx(expected, rel=1e-4)


class Adding(layers.Layer):
    """Adds the mean square of what passes to the loss."""

    def call(self, inputs):
        self.add_loss(ops.mean(ops.square(inputs)))
        return inputs


@pytest.mark.parametrize("joint_batch", [True, False])
def test_losses_that_layers_add_count_for_their_own_network(joint_batch):
    """The critic's sees real and fake images in equal parts, the generator's its latents."""
    losses = []
    for between in ([], [Adding()]):
        keras.utils.set_random_seed(0)
        generator = generator_of(*([Adding()] if between else []))
        gan, history = trained((), generator, critic_of(*between), 1, joint_batch=joint_batch)
        losses.append(history)
    draw = gan._draw  # the seeds of the next step; those of step 0 by the step itself
    gan._step.assign(0)
    latents = [
        np.asarray(keras_sagan.latents.normal(draw(f"{update}/latents", 4), 4), "float64")
        for update in ("discriminator0", "generator")
    ]
    fake = np.asarray(gan.generator({"latent": latents[0].astype("float32")}), "float64")
    expected = {
        "discriminator": (np.square(IMAGES[:4]).mean() + np.square(fake).mean()) / 2,
        "generator": np.square(latents[1]).mean(),
    }
    for name, value in expected.items():
        found = losses[1][f"{name}_loss"][0] - losses[0][f"{name}_loss"][0]
        assert found == pytest.approx(value, rel=1e-4), name


def test_a_spectrally_normalised_layer_hands_on_what_it_adds():
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    layer = keras_sagan.layers.SpectralNorm(layers.Dense(3, activity_regularizer="l2"))
    for training in (False, True):
        outputs = np.asarray(layer(x, training=training), "float64")
        (loss,) = layer.losses
        assert float(loss) == pytest.approx(0.01 * np.square(outputs).sum() / 6, rel=1e-4)


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="got 'critic'"):
        Regularizer(network="critic")
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        GradientPenalty(every=0)
    with pytest.raises(ValueError, match="decay must be from 0 to below 1, got 1"):
        LeCam(decay=1)
