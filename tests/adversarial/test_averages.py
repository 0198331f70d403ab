"""The averaged generator."""

import keras
import numpy as np
import pytest
from gans import dataset, make_gan, weights_of

import keras_sagan


def test_averaged_weights_follow_the_rule():
    """Against averages of what a callback saw after each step, in float64."""
    gan = make_gan(compile=False)
    gan.compile(keras.optimizers.Adam(1e-2, 0.0, 0.9), ema=0.2)
    expected = {}

    class Follow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            t = gan.step - 1
            for variable in gan.generator.variables:
                momentum = min(0.2, t / (t + 14))
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


@pytest.mark.slow
def test_averaged_statistics_forget_where_they_began():
    """Moving variances begin at 1; spectrally normalised layers have far smaller ones."""
    gan = make_gan(num_classes=None, compile=False)
    gan.compile(keras.optimizers.SGD(1e-30), keras.optimizers.SGD(1e-30), ema=0.999)
    gan.fit(dataset(), steps_per_epoch=300, verbose=0)
    live = gan.generator.get_layer("norm16").moving_variance
    average = gan.sampler.get_layer("norm16").moving_variance
    # Keras's rule alone would leave e^-0.3 of the 1, a hundred times the variance itself.
    assert np.median(np.array(average) / np.array(live)) < 3


@pytest.mark.slow
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
