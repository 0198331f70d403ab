import itertools

import keras
import numpy as np
import pytest
from keras import ops

import keras_sagan
from keras_sagan import models
from keras_sagan.adversarial import losses
from keras_sagan.layers import SpectralNorm
from keras_sagan.sampling import draws, latents

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, size=(64, 32, 32, 3)).astype("uint8")
LABELS = RNG.integers(0, 3, size=64).astype("int32")


def make_gan(num_classes=3, loss="hinge", compile=True, seed=0, **options):
    keras.utils.set_random_seed(1)
    shared = {"image_size": 32, "num_classes": num_classes, "width": 8, "attention": (8,)}
    gan = keras_sagan.GAN(
        models.DCGANGenerator(latent_dim=16, **shared),
        models.DCGANDiscriminator(**shared),
        seed=seed,
    )
    if compile:
        gan.compile(loss=loss, **options)
    return gan


def dataset(batch=8, labels=True, first=0):
    """Endless batches, from one on."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS) if labels else IMAGES)
        return data.repeat().batch(batch, drop_remainder=True).skip(first)
    arrays = (IMAGES, LABELS) if labels else (IMAGES,)
    rows = (np.arange(i * batch, (i + 1) * batch) % len(IMAGES) for i in itertools.count(first))
    return (tuple(array[i] for array in arrays) for i in rows)


def weights_of(model):
    return [np.array(w) for w in model.get_weights()]


def test_fit_reports_what_matters():
    history = make_gan().fit(dataset(), epochs=2, steps_per_epoch=3, verbose=0).history
    expected = {
        "discriminator_loss",
        "generator_loss",
        "real_logits",
        "fake_logits",
        "generator_attention8_gamma",
        "discriminator_attention8_gamma",
        "step",
        "steps_per_second",
        "images_per_second",
    }
    assert set(history) == expected
    assert history["step"] == [3, 6]
    for images, steps in zip(
        history["images_per_second"], history["steps_per_second"], strict=True
    ):
        assert images == pytest.approx(8 * steps)
    assert all(np.isfinite(values).all() for values in history.values())


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_every_loss_trains_both_networks(loss):
    gan = make_gan(loss=loss)
    before = weights_of(gan.generator), weights_of(gan.discriminator)
    history = gan.fit(dataset(), steps_per_epoch=2, verbose=0).history
    assert np.isfinite(history["generator_loss"] + history["discriminator_loss"]).all()
    for model, old in zip((gan.generator, gan.discriminator), before, strict=True):
        changed = [np.any(a != b) for a, b in zip(old, weights_of(model), strict=True)]
        assert np.mean(changed) > 0.9


def one_step(gan, labels=True):
    gan.fit(dataset(labels=labels), steps_per_epoch=1, verbose=0)


def test_a_step_is_that_of_the_equations():
    """One hinge step with SGD, recomputed with plain tapes and two discriminator passes."""
    import tensorflow as tf

    gan = make_gan(compile=False)
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2))
    twin = make_gan(compile=False)
    real = tf.constant(IMAGES[:8].astype("float32") / 127.5 - 1)
    label = tf.constant(LABELS[:8])
    latent = tf.random.normal((8, 16))
    for _ in range(100):  # sigma converges, so that one iteration more or less does not tell
        gan.generator({"latent": latent, "label": label}, training=True)
        gan.discriminator({"image": real, "label": label}, training=True)
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


def u_vectors(model):
    return [np.asarray(x.u) for x in model._flatten_layers() if isinstance(x, SpectralNorm)]


@pytest.mark.parametrize("loss", ["hinge", "wasserstein", "relativistic_average_hinge"])
def test_one_power_iteration_a_discriminator_update(loss):
    gan = make_gan(compile=False)
    # Without learning, W stays and u follows from the number of iterations alone.
    gan.compile(keras.optimizers.SGD(1e-30), keras.optimizers.SGD(1e-30), loss=loss)
    twin = make_gan(compile=False).discriminator
    twin.set_weights(gan.discriminator.get_weights())
    one_step(gan)
    twin({"image": np.zeros((1, 32, 32, 3)), "label": np.zeros(1, int)}, training=True)
    for ours, theirs in zip(u_vectors(gan.discriminator), u_vectors(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


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
    penalty = gan._terms("discriminator", "discriminator0", images, [[]])
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


def test_averaged_weights_follow_the_rule():
    """Against averages of what a callback saw after each step, in float64."""
    gan = make_gan(compile=False)
    gan.compile(keras.optimizers.Adam(1e-2, 0.0, 0.9), ema=0.2)
    expected = {}

    class Follow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            t = gan.step - 1
            for variable in gan.generator.variables:
                # Of batch statistics and u, the start is forgotten faster.
                momentum = 0.2 if variable.trainable else min(0.2, t / (t + 9))
                now = np.array(variable, "float64")
                before = expected.get(variable.path, now)
                expected[variable.path] = momentum * before + (1 - momentum) * now

    gan.fit(dataset(), steps_per_epoch=5, verbose=0, callbacks=[Follow()])
    moved = []
    for average, live in zip(gan.sampler.variables, gan.generator.variables, strict=True):
        assert average.path == live.path
        np.testing.assert_allclose(average, expected[live.path], rtol=1e-4, atol=1e-6)
        moved.append(np.abs(np.array(average) - np.array(live)).max() > 1e-6)
    assert np.mean(moved) > 0.9


@pytest.mark.parametrize("policy", ["float32", "bfloat16"])
def test_generators_of_any_layers_are_averaged(policy):
    """Dropout has a seed, which is an integer; under "bfloat16" weights are of that type too."""
    keras.config.set_dtype_policy(policy)
    latent, image = keras.Input((4,)), keras.Input((2, 2, 3))
    pixels = keras.layers.Dropout(0.5)(keras.layers.Dense(12)(latent))
    generator = keras.Model({"latent": latent}, keras.layers.Reshape((2, 2, 3))(pixels))
    logits = keras.layers.Dense(1)(keras.layers.Flatten()(image))
    gan = keras_sagan.GAN(generator, keras.Model({"image": image}, logits))
    gan.compile(keras.optimizers.SGD(0.1), ema=0.5)
    before = weights_of(generator)[0].astype("float32")
    gan.fit(np.ones((12, 2, 2, 3), "float32"), batch_size=4, verbose=0)
    live, average = (weights_of(model)[0].astype("float32") for model in (generator, gan.sampler))
    assert not np.array_equal(live, before) and not np.array_equal(live, average)
    assert np.isfinite(average).all()


def test_averaged_statistics_forget_where_they_began():
    """Moving variances begin at 1; spectrally normalised layers have far smaller ones."""
    gan = make_gan(num_classes=None, compile=False)
    gan.compile(keras.optimizers.SGD(1e-30), keras.optimizers.SGD(1e-30), ema=0.999)
    gan.fit(dataset(), steps_per_epoch=300, verbose=0)
    live = gan.generator.get_layer("norm16").moving_variance
    average = gan.sampler.get_layer("norm16").moving_variance
    # Keras's rule alone would leave e^-0.3 of the 1, a hundred times the variance itself.
    assert np.median(np.array(average) / np.array(live)) < 3


def test_samples_come_from_the_averaged_weights():
    gan = make_gan()
    gan.fit(dataset(), steps_per_epoch=2, verbose=0)
    images = gan.sample(range(5), labels=[0, 1, 2, 0, 1])
    assert images.shape == (5, 32, 32, 3) and images.dtype == np.uint8
    latent = latents.numpy_normal(np.arange(5), 16)
    outputs = gan.sampler({"latent": latent, "label": np.array([0, 1, 2, 0, 1])})
    expected = np.clip(np.round((np.asarray(outputs) + 1) * 127.5), 0, 255)
    assert np.abs(images - expected).max() <= 1
    np.testing.assert_array_equal(gan.sample([3], labels=[0])[0], gan.sample([1, 3], [2, 0])[1])
    by_default = gan.sample(range(5))  # labels 0, 1, 2, 0, 1: seed modulo the classes
    np.testing.assert_array_equal(by_default, images)
    middle = gan.sample([7, 8], [0, 0], truncation=0.0)
    np.testing.assert_array_equal(middle[0], middle[1])


def test_sample_names_wrong_labels():
    gan = make_gan()
    with pytest.raises(ValueError, match="from 0 to 2, got 3"):
        gan.sample([1, 2], labels=[0, 3])
    with pytest.raises(ValueError, match="2 seeds but labels of shape \\(1,\\)"):
        gan.sample([1, 2], labels=[0])
    with pytest.raises(ValueError, match="no classes"):
        make_gan(num_classes=None).sample([1], labels=[0])


def test_models_must_agree_on_labels():
    with pytest.raises(ValueError, match="both take labels, or neither"):
        keras_sagan.GAN(
            models.DCGANGenerator(image_size=32, num_classes=3),
            models.DCGANDiscriminator(image_size=32),
        )
    with pytest.raises(ValueError, match="dataset of \\(images, labels\\)"):
        one_step(make_gan(), labels=False)


def test_without_classes_labels_are_left_out():
    logits = []
    for labels in (True, False):
        gan = make_gan(num_classes=None)
        history = gan.fit(dataset(labels=labels), steps_per_epoch=1, verbose=0).history
        logits.append(history["real_logits"])
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-5)


def test_float_arrays_train_as_uint8_datasets_do():
    expected = make_gan().fit(dataset(), steps_per_epoch=3, verbose=0).history
    gan = make_gan()
    images = IMAGES[:24].astype("float32") / 127.5 - 1
    history = gan.fit(images, LABELS[:24], batch_size=8, shuffle=False, verbose=0).history
    for name in ("discriminator_loss", "generator_loss", "real_logits"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)
    with pytest.raises(ValueError, match="fit needs a dataset of \\(images, labels\\)"):
        gan.fit(images, batch_size=8, verbose=0)


def test_seed_decides_the_latents():
    losses_of = {}
    for seed in (0, 0, 1):
        gan = make_gan(seed=seed)
        history = gan.fit(dataset(), steps_per_epoch=2, verbose=0).history
        losses_of.setdefault(seed, []).append(history["discriminator_loss"][0])
    assert losses_of[0][0] == pytest.approx(losses_of[0][1], rel=1e-5)
    assert losses_of[0][0] != losses_of[1][0]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(policy):
    keras.config.set_dtype_policy(policy)
    gan = make_gan()
    scaled = isinstance(gan.generator_optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    history = gan.fit(dataset(), steps_per_epoch=4, epochs=2, verbose=0).history
    assert np.isfinite(history["generator_loss"] + history["discriminator_loss"]).all()
    assert gan.sample([0]).std() > 0


def test_any_functional_models_will_do():
    latent = keras.Input((4,), name="latent")
    x = keras.layers.Dense(8 * 8 * 3, activation="tanh")(latent)
    generator = keras.Model({"latent": latent}, keras.layers.Reshape((8, 8, 3))(x))
    image = keras.Input((8, 8, 3), name="image")
    critic = keras.Model({"image": image}, keras.layers.Dense(1)(keras.layers.Flatten()(image)))
    gan = keras_sagan.GAN(generator, critic)
    gan.compile()
    gan.fit(IMAGES[:, :8, :8], batch_size=8, verbose=0)
    assert gan.sample(range(3)).shape == (3, 8, 8, 3)


def test_weights_hold_everything_that_training_needs(tmp_path):
    first = make_gan()
    first.fit(dataset(), steps_per_epoch=3, verbose=0)
    first.save_weights(tmp_path / "gan.weights.h5")
    second = make_gan()
    second.load_weights(tmp_path / "gan.weights.h5")
    assert second.step == 3
    for gan in (first, second):
        gan.fit(dataset(first=3), steps_per_epoch=1, verbose=0)
    for a, b in zip(first.variables, second.variables, strict=True):
        # One step, within the rounding of sums taken in another order by another thread.
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(first.sample(range(4)), second.sample(range(4)), atol=1)


def test_fit_in_parts_equals_fit_at_once():
    """Keras by itself puts the averages in the place of the weights at the end of each fit."""
    at_once, in_parts = make_gan(), make_gan()
    at_once.fit(dataset(), steps_per_epoch=2, verbose=0)
    for part in range(2):
        in_parts.fit(dataset(first=part), steps_per_epoch=1, verbose=0)
    for a, b in zip(weights_of(at_once.generator), weights_of(in_parts.generator), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_several_steps_an_execution_are_the_same_steps():
    one, four = make_gan(), make_gan(steps_per_execution=4)
    one.fit(dataset(), steps_per_epoch=4, verbose=0)
    four.fit(dataset(), steps_per_epoch=4, verbose=0)
    assert four.step == 4 and four.images_seen == 32
    for a, b in zip(weights_of(one.sampler), weights_of(four.sampler), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_saved_gan_loads(tmp_path):
    gan = make_gan()
    gan.fit(dataset(), steps_per_epoch=2, verbose=0)
    expected = gan.sample(range(4))
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras", safe_mode=True, compile=False)
    for a, b in zip(weights_of(gan.generator), weights_of(loaded.generator), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(loaded.sample(range(4)), expected)
    loaded.compile()
    np.testing.assert_array_equal(loaded.sample(range(4)), expected)
    loaded.fit(dataset(), steps_per_epoch=1, verbose=0)
    assert loaded.sample(range(4)).std() > 0


def test_compiling_again_keeps_the_averages():
    gan = make_gan()
    gan.fit(dataset(), steps_per_epoch=2, verbose=0)
    expected = gan.sample(range(4))
    gan.compile(ema=0.9)
    np.testing.assert_array_equal(gan.sample(range(4)), expected)
    gan.compile(ema=None)
    assert gan.sampler is gan.generator
    gan.fit(dataset(), steps_per_epoch=1, verbose=0)


def test_averages_that_cannot_be_are_named():
    gan = make_gan(compile=False)
    with pytest.raises(ValueError, match="ema must be from 0 to below 1, or None; got 1"):
        gan.compile(ema=1)
    averaging = keras.optimizers.Adam(use_ema=True)
    for optimizer in (averaging, keras.optimizers.LossScaleOptimizer(averaging)):
        with pytest.raises(ValueError, match="give compile an ema"):
            gan.compile(optimizer)


def test_a_batch_that_cannot_be_split_is_named():
    gan = make_gan(discriminator_steps=3)
    with pytest.raises(ValueError, match="batch of 8 images .* discriminator_steps=3"):
        gan.fit(dataset(), steps_per_epoch=1, verbose=0)


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
