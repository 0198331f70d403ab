"""Sampling with a GAN, and saving it."""

import warnings

import keras
import numpy as np
import pytest
from gans import dataset, make_gan, tiny_gan, weights_of

from keras_sagan import latents


@pytest.fixture(scope="module")
def trained_gan():
    gan = make_gan()
    gan.fit(dataset(), steps_per_epoch=3, verbose=0)
    return gan


def test_samples_come_from_the_averaged_weights(trained_gan):
    gan = trained_gan
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


def test_weights_hold_everything_that_training_needs(trained_gan, tmp_path):
    first, second = trained_gan, make_gan()
    step = first.step
    first.save_weights(tmp_path / "gan.weights.h5")
    second.load_weights(tmp_path / "gan.weights.h5")
    assert second.step == step > 0
    for gan in (first, second):
        gan.fit(dataset(first=step), steps_per_epoch=1, verbose=0)
    for a, b in zip(first.variables, second.variables, strict=True):
        # One step, within the rounding of sums taken in another order by another thread.
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(first.sample(range(4)), second.sample(range(4)), atol=1)


def test_a_saved_gan_loads(trained_gan, tmp_path):
    gan = trained_gan
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


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="oneDNN is TensorFlow's")
def test_compile_says_once_that_onednn_is_off(monkeypatch):
    from keras_sagan.adversarial import tensorflow_step

    tensorflow_step._say_that_onednn_is_off.cache_clear()
    monkeypatch.setattr(tensorflow_step, "leaves_onednn_off", lambda: True)
    monkeypatch.setattr(tensorflow_step, "has_only_cpus", lambda: False)
    with warnings.catch_warnings(action="error"):
        tiny_gan()
        monkeypatch.setattr(tensorflow_step, "has_only_cpus", lambda: True)
        with pytest.warns(UserWarning, match="TF_ENABLE_ONEDNN_OPTS=1 before"):
            tiny_gan()
        tiny_gan()
