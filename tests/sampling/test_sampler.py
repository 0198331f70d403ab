import keras
import numpy as np
import pytest
from generators import check_same_pictures, trained

from keras_sagan import models
from keras_sagan.sampling import Sampler, latents, sample


def drawn(generator, seeds, labels=None, truncation=1.0):
    """Pictures of the generator as it was trained, by the formulas of the README."""
    inputs = {"latent": latents.numpy_normal(np.array(seeds), 8) * np.float32(truncation)}
    if labels is not None:
        inputs["label"] = np.array(labels, np.int32)
    images = np.asarray(generator(inputs, training=False), np.float64)
    return np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("family", [pytest.param("resnet", marks=pytest.mark.slow), "dcgan"])
def test_pictures_are_those_of_the_generator(family):
    generator = trained(family)
    images = sample(generator, range(10), truncation=0.8, batch_size=4)
    check_same_pictures(images, drawn(generator, range(10), np.arange(10) % 3, 0.8))
    assert images.std() > 20
    plain = trained(family, num_classes=None)
    check_same_pictures(sample(plain, [3, 2**31 - 1]), drawn(plain, [3, 2**31 - 1]))


def test_a_generator_in_mixed_precision_draws_what_it_would_in_float32():
    full = trained()
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = trained()
    mixed.set_weights(full.get_weights())
    check_same_pictures(sample(mixed, range(4)), drawn(full, range(4), np.arange(4) % 3))


def test_any_functional_generator_will_do():
    """With layers of its own, functions of keras.ops and a model within."""
    inner = keras.Sequential([keras.layers.Dense(48), keras.layers.BatchNormalization()])
    latent = keras.Input((8,), name="latent")
    x = keras.ops.tanh(inner(latent) * 0.5)
    generator = keras.Model({"latent": latent}, keras.layers.Reshape((4, 4, 3))(x))
    inner.layers[1].moving_mean.assign(np.linspace(-1, 1, 48))
    check_same_pictures(sample(generator, range(5)), drawn(generator, range(5)))


class Passes(keras.layers.Layer):
    """Counts how often its call is traced."""

    traced = 0

    def call(self, inputs):
        Passes.traced += 1
        return inputs


def counting_generator():
    latent = keras.Input((8,), name="latent")
    x = Passes()(keras.layers.Dense(48, activation="tanh")(latent))
    return keras.Model({"latent": latent}, keras.layers.Reshape((4, 4, 3))(x))


def test_batches_of_one_size_are_traced_once_and_follow_the_weights():
    generator = counting_generator()
    sampler = Sampler(generator)
    Passes.traced = 0
    rng = np.random.default_rng(0)
    for _ in range(3):
        for variable in generator.variables:
            variable.assign(rng.normal(size=variable.shape))
        sampler.update()
        for count in (8, 11, 16):  # a last batch of 3 is padded
            images = sampler.sample(range(count), batch_size=8)
            expected = drawn_traces_apart(generator, count)
            # A level apart at most; of so few values one may be more than a thousandth.
            assert np.abs(images.astype(int) - expected).max() <= 1
    assert Passes.traced == 1
    sampler.sample(range(3))
    sampler.sample(range(4))  # both in a batch of 4
    assert Passes.traced == 2


def drawn_traces_apart(generator, count):
    traced = Passes.traced
    images = drawn(generator, range(count))
    Passes.traced = traced
    return images


def test_weights_stay_until_the_next_update():
    generator = trained()
    sampler = Sampler(generator)
    before = sampler.sample(range(3))
    for variable in generator.trainable_variables:
        variable.assign(np.asarray(variable) * 0.5)
    np.testing.assert_array_equal(sampler.sample(range(3)), before)
    sampler.update()
    check_same_pictures(sampler.sample(range(3)), drawn(generator, range(3), range(3)))


def test_batches_are_drawn_when_they_are_asked_for(monkeypatch):
    sampler = Sampler(trained())
    computed = []
    predict = sampler._model.predict_on_batch
    monkeypatch.setattr(
        sampler._model,
        "predict_on_batch",
        lambda x: computed.append(len(x["latent"])) or predict(x),
    )
    batches = sampler.batches(range(1_000_000), batch_size=4)
    assert computed == []
    first, second = next(batches), next(batches)
    assert computed == [4, 4] and first.shape == second.shape == (4, 32, 32, 3)
    assert sum(len(images) for images in sampler.batches(range(10), batch_size=4)) == 10
    assert computed == [4, 4, 4, 4, 4]


def test_mistakes_are_named_before_anything_is_drawn():
    sampler = Sampler(trained())
    for seeds, labels, message in (
        ([], None, "no seeds"),
        ([1, 2], [0, 3], "from 0 to 2, got 3"),
        ([1, 2], [0, 1.5], "whole numbers, got 1.5"),
        ([1, 2], [0], r"2 seeds but labels of shape \(1,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            sampler.batches(seeds, labels)
    for seeds, message in (
        (5, r"such as range\(16\), got 5"),
        ([[1, 2]], r"such as range\(16\)"),
        ([0.5], "integers of 32 bits, got 0.5"),
        ([2**32], "integers of 32 bits, got 4294967296"),
    ):
        with pytest.raises(ValueError, match=message):
            sampler.batches(seeds)
    for truncation in (float("nan"), None, "1"):
        with pytest.raises(ValueError, match=f"a finite number, got {truncation}"):
            sampler.batches([1], truncation=truncation)
    with pytest.raises(ValueError, match="no classes"):
        sample(trained(num_classes=None), [1], labels=[0])
    latent, label = keras.Input((8,), name="latent"), keras.Input((), name="label", dtype="int32")
    x = keras.layers.Dense(48)(keras.layers.Concatenate()([latent, keras.ops.one_hot(label, 3)]))
    silent = keras.Model({"latent": latent, "label": label}, keras.layers.Reshape((4, 4, 3))(x))
    with pytest.raises(ValueError, match="does not tell its num_classes"):
        sample(silent, [1])
    assert sample(silent, [1], labels=[2]).shape == (1, 4, 4, 3)


def test_published_generators_fit_the_sampler():
    for generator in (
        models.DCGANGenerator(image_size=64, width=8),
        models.ResNetGenerator(image_size=64, width=8, num_classes=5),
    ):
        assert sample(generator, range(2)).shape == (2, 64, 64, 3)
