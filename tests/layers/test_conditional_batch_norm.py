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


def normalized(table):
    return table / np.linalg.svd(table, compute_uv=False)[0]


def with_normalized_tables():
    layer = ConditionalBatchNorm(3, spectral_norm=True)
    layer.build(X.shape)
    layer.norm.set_weights([RNG.normal(size=6), RNG.uniform(0.5, 2, size=6)])
    for _ in range(60):  # u is near enough to the first singular vector
        layer(X, labels=LABELS, training=True)
    return layer


def expected_of(layer, gain, bias):
    mean, variance = (np.asarray(value, np.float64) for value in layer.norm.get_weights())
    outputs = (X - mean) / np.sqrt(variance + 1e-5)
    return outputs * (1 + gain[:, None, None]) + bias[:, None, None]


def test_tables_can_be_spectrally_normalised():
    layer = with_normalized_tables()
    gain, bias = (
        normalized(np.asarray(table.layer.kernel, np.float64))[LABELS]
        for table in (layer.gain, layer.bias)
    )
    outputs = np.asarray(layer(X, labels=LABELS))
    # Power iteration in float32, after 60 steps, against a float64 SVD.
    np.testing.assert_allclose(outputs, expected_of(layer, gain, bias), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(np.asarray(layer.tables()[0])[LABELS], gain, atol=1e-3)


@pytest.mark.parametrize("make", [with_gains, with_normalized_tables])
def test_an_embedding_adds_up_the_rows(make):
    layer = make()
    vectors = RNG.normal(size=(8, 3)).astype("float32")
    gain, bias = (vectors @ np.asarray(table, np.float64) for table in layer.tables())
    outputs = np.asarray(layer(X, labels=vectors))
    np.testing.assert_allclose(outputs, expected_of(layer, gain, bias), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [with_gains, with_normalized_tables])
def test_a_vector_of_one_class_is_its_label(make):
    layer = make()
    vectors = np.eye(3, dtype="float32")[LABELS]
    expected = np.asarray(layer(X, labels=LABELS))
    np.testing.assert_allclose(np.asarray(layer(X, labels=vectors)), expected, atol=1e-5)


def test_contract_with_normalised_tables(tmp_path):
    weights = with_normalized_tables().get_weights()

    def make():
        layer = ConditionalBatchNorm(3, spectral_norm=True)
        layer.build(X.shape)
        layer.set_weights(weights)
        return layer

    check_layer(make, X, tmp_path, tolerance=4e-3, labels=LABELS)


LATENTS = RNG.normal(size=(8, 7)).astype("float32")


def self_modulated(num_classes):
    layer = ConditionalBatchNorm(num_classes, momentum=0.9, latent_dim=7)
    layer.build(X.shape)
    for weight in (layer.gain, layer.bias, layer.latent_gain, layer.latent_bias):
        weight.assign(RNG.normal(size=weight.shape))
    layer.norm.set_weights([RNG.normal(size=6), RNG.uniform(0.5, 2, size=6)])
    return layer


def conditions(num_classes):
    return {"latent": LATENTS} | ({"labels": LABELS} if num_classes else {})


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("num_classes", [3, None])
def test_gain_and_bias_follow_the_latent(num_classes, training):
    layer = self_modulated(num_classes)
    rows = LABELS if num_classes else np.zeros(8, int)
    gain, bias = (
        np.asarray(table, np.float64)[rows] + LATENTS @ np.asarray(kernel, np.float64)
        for table, kernel in ((layer.gain, layer.latent_gain), (layer.bias, layer.latent_bias))
    )
    mean, variance = (np.asarray(value, np.float64) for value in layer.norm.get_weights())
    if training:
        mean, variance = X.mean(axis=(0, 1, 2), dtype="f8"), X.var(axis=(0, 1, 2), dtype="f8")
    expected = (X - mean) / np.sqrt(variance + 1e-5)
    expected = expected * (1 + gain[:, None, None]) + bias[:, None, None]
    outputs = np.asarray(layer(X, **conditions(num_classes), training=training))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)  # float32 moments


@pytest.mark.parametrize("num_classes", [3, None])
def test_contract_with_self_modulation(num_classes, tmp_path):
    weights = self_modulated(num_classes).get_weights()

    def make():
        layer = ConditionalBatchNorm(num_classes, momentum=0.9, latent_dim=7)
        layer.build(X.shape)
        layer.set_weights(weights)
        return layer

    check_layer(make, X, tmp_path, tolerance=4e-3, **conditions(num_classes))


def test_it_needs_something_to_follow():
    with pytest.raises(ValueError, match="num_classes, latent_dim or both"):
        ConditionalBatchNorm(None)
