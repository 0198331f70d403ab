import numpy as np
import pytest
from layers.contract import check_layer

from keras_sagan.layers import ConditionalBatchNorm

RNG = np.random.default_rng(0)
X = RNG.normal(2.0, 3.0, size=(8, 4, 5, 6)).astype("float32")
LABELS = np.array([0, 1, 2, 2, 1, 0, 1, 1], "int32")


def with_gains():
    layer = ConditionalBatchNorm(3, momentum=0.9)
    layer.build(X.shape)
    layer.gain.assign(RNG.normal(size=(3, 6)))
    layer.bias.assign(RNG.normal(size=(3, 6)))
    return layer


def test_training_normalises_with_the_batch_and_scales_by_class():
    layer = with_gains()
    mean, variance = X.mean(axis=(0, 1, 2), dtype=np.float64), X.var(axis=(0, 1, 2), dtype="f8")
    gain, bias = np.asarray(layer.gain)[LABELS], np.asarray(layer.bias)[LABELS]
    expected = (X - mean) / np.sqrt(variance + 1e-5)
    expected = expected * (1 + gain[:, None, None]) + bias[:, None, None]
    outputs = np.asarray(layer(X, labels=LABELS, training=True))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)  # float32 moments
    moving_mean, moving_variance = layer.norm.get_weights()
    np.testing.assert_allclose(moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(moving_variance, 0.9 + 0.1 * variance, rtol=1e-5)


def test_inference_normalises_with_the_moving_statistics():
    layer = with_gains()
    mean, variance = RNG.normal(size=6), RNG.uniform(0.5, 2, size=6)
    layer.norm.set_weights([mean, variance])
    gain, bias = np.asarray(layer.gain)[LABELS], np.asarray(layer.bias)[LABELS]
    expected = (X - mean) / np.sqrt(variance + 1e-5)
    expected = expected * (1 + gain[:, None, None]) + bias[:, None, None]
    np.testing.assert_allclose(np.asarray(layer(X, labels=LABELS)), expected, rtol=1e-4, atol=1e-5)


def test_starts_as_plain_normalisation():
    layer = ConditionalBatchNorm(3)
    outputs = np.asarray(layer(X, labels=LABELS, training=True))
    assert outputs.mean() == pytest.approx(0, abs=1e-5)
    assert outputs.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("when", ["by an argument", "before", "after"])
def test_a_frozen_layer_uses_and_keeps_its_statistics(when):
    layer = ConditionalBatchNorm(3, trainable=when != "by an argument")
    if when == "after":
        layer.build(X.shape)
    layer.trainable = False
    layer(X, labels=LABELS, training=True)
    for values, expected in zip(layer.norm.get_weights(), (0.0, 1.0), strict=True):
        np.testing.assert_array_equal(values, np.full(6, expected))
    outputs = np.asarray(layer(X, labels=LABELS, training=True))
    np.testing.assert_allclose(outputs, X / np.sqrt(1 + 1e-5), rtol=1e-5)


def test_contract(tmp_path):
    weights = with_gains().get_weights()

    def make():
        layer = ConditionalBatchNorm(3, momentum=0.9)
        layer.build(X.shape)
        layer.set_weights(weights)
        return layer

    check_layer(make, X, tmp_path, tolerance=4e-3, labels=LABELS)
