import keras
import numpy as np
import pytest
from layers.contract import check_layer

from keras_sagan.layers import BatchNorm

RNG = np.random.default_rng(0)
X = RNG.normal(2.0, 3.0, size=(8, 4, 5, 6)).astype("float32")


def with_weights(**arguments):
    layer = BatchNorm(momentum=0.9, **arguments)
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 2.0, size=w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("affine", [True, False])
def test_training_equals_the_equations(affine):
    layer = with_weights(center=affine, scale=affine)
    *affine_weights, old_mean, old_variance = layer.get_weights()
    gamma, beta = affine_weights or (1.0, 0.0)
    mean, variance = X.mean(axis=(0, 1, 2), dtype="f8"), X.var(axis=(0, 1, 2), dtype="f8")
    expected = (X - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    outputs = np.asarray(layer(X, training=True))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)  # float32 moments
    moving_mean, moving_variance = layer.get_weights()[-2:]
    np.testing.assert_allclose(moving_mean, 0.9 * old_mean + 0.1 * mean, rtol=1e-5)
    # Divided by the number of locations, not one less: 160 of them show the difference.
    np.testing.assert_allclose(moving_variance, 0.9 * old_variance + 0.1 * variance, rtol=1e-5)


def test_gradients_equal_keras():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("elsewhere the layer is Keras's")
    import tensorflow as tf

    weights = tf.constant(RNG.normal(size=X.shape), "float32")
    found = []
    for make in (BatchNorm, keras.layers.BatchNormalization):
        layer = make(momentum=0.9, epsilon=1e-5)
        layer.build(X.shape)
        layer.set_weights(with_weights().get_weights())
        x = tf.constant(X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(layer(x, training=True) * weights)
        found.append(tape.gradient(value, [x, layer.gamma.value, layer.beta.value]))
    for gradient, expected in zip(*found, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)


def test_a_frozen_layer_uses_and_keeps_its_statistics():
    layer = with_weights()
    layer.trainable = False
    before = layer.get_weights()
    gamma, beta, mean, variance = before
    expected = (X - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    np.testing.assert_allclose(np.asarray(layer(X, training=True)), expected, rtol=1e-4, atol=1e-5)
    for new, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("training", [True, False])
def test_contract(training, tmp_path):
    check_layer(with_weights, X, tmp_path, tolerance=2e-3, training=training)


def test_synchronized_layers_load_on_every_backend():
    layer = BatchNorm.from_config(BatchNorm(synchronized=True).get_config())
    outputs = np.asarray(layer(X, training=True))
    assert outputs.mean() == pytest.approx(0, abs=1e-5)
