"""Training under dtype policies and data formats that are not Keras's defaults."""

import keras
import numpy as np
import pytest
from gans import dataset, make_gan, weights_of

from keras_sagan.adversarial.optimizers import Adam


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["bfloat16", "float16"])
def test_pure_policies_train(policy):
    keras.config.set_dtype_policy(policy)
    gan = make_gan(loss="wasserstein")  # with its gradient of a gradient
    before = weights_of(gan.generator)
    history = gan.fit(dataset(), steps_per_epoch=2, verbose=0).history
    assert np.isfinite(history["generator_loss"] + history["discriminator_loss"]).all()
    after = [np.asarray(w, "float32") for w in weights_of(gan.generator)]
    assert all(np.isfinite(weights).all() for weights in after)
    moved = [np.any(new != old) for new, old in zip(after, before, strict=True)]
    assert np.mean(moved) > 0.5
    assert gan.sample(range(2)).std() > 0
    # What moves by a thousandth of a difference must be kept more exactly.
    assert {v.dtype for v in gan.ema_generator.trainable_variables} == {"float32"}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_adam_moves_weights_of_half_precision_as_those_of_float32(dtype):
    steps = {}
    for each in ("float32", dtype):
        weight = keras.Variable(np.zeros(3), dtype=each)
        optimizer = Adam(1e-2, beta_1=0.0, beta_2=0.9)
        optimizer.build([weight])
        # Whose squares float16 does not have.
        for gradient in ([1e-5, -1e-4, 1.0], [2e-5, -1e-4, 0.5]):
            gradients = [keras.ops.convert_to_tensor(gradient, each)]
            optimizer.apply(gradients, [weight])
        steps[each] = np.asarray(keras.ops.cast(weight.value, "float32"))
    # Gradients and sums of 8 bits; epsilon is 1e-7.
    np.testing.assert_allclose(steps[dtype], steps["float32"], rtol=2e-2)


@pytest.mark.slow
def test_pictures_are_channels_last_whatever_keras_says(channels_first):
    gan = make_gan()
    weights = gan.get_weights()
    first = gan.fit(dataset(), steps_per_epoch=1, verbose=0).history
    pictures = gan.sample(range(2))
    keras.config.set_image_data_format("channels_last")
    gan = make_gan()
    gan.set_weights(weights)
    last = gan.fit(dataset(), steps_per_epoch=1, verbose=0).history
    for name in ("discriminator_loss", "generator_loss"):
        np.testing.assert_allclose(first[name], last[name], rtol=1e-5)
    assert pictures.shape == (2, 32, 32, 3)
    assert np.abs(gan.sample(range(2)).astype(int) - pictures).max() <= 1
