import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_sagan
from keras_sagan.adversarial.fakes import uniform_labels

CLASSES = 3


def networks():
    """A critic that gives the label, whatever the image, and a generator of flat pictures."""
    image, label = (
        keras.Input((2, 2, 3), name="image"),
        keras.Input((), dtype="int32", name="label"),
    )
    value = layers.Lambda(lambda x: ops.cast(x, "float32")[:, None])(label)
    zero = layers.Dense(1, kernel_initializer="zeros")(layers.Flatten()(image))
    critic = keras.Model({"image": image, "label": label}, layers.Add()([value, zero]))
    latent, label = keras.Input((4,), name="latent"), keras.Input((), dtype="int32", name="label")
    pixels = layers.Reshape((2, 2, 3))(layers.Dense(12)(latent))
    generator = keras.Model({"latent": latent, "label": label}, pixels)
    generator.num_classes = CLASSES
    return generator, critic


def fit(**options):
    gan = keras_sagan.GAN(*networks())
    gan.compile(keras.optimizers.SGD(1e-30), keras.optimizers.SGD(1e-30), ema=None, **options)
    images = np.zeros((3000, 2, 2, 3), "float32")
    labels = np.full(3000, 2, "int32")
    return gan.fit(images, labels, batch_size=1000, shuffle=False, verbose=0).history


def test_real_labels_are_those_of_the_batch():
    history = fit()
    assert history["real_logits"] == history["fake_logits"] == [pytest.approx(2)]


def test_uniform_labels_are_fresh_ones_for_fakes_alone():
    history = fit(fake_labels="uniform")
    assert history["real_logits"] == [pytest.approx(2)]
    # The mean of 0, 1 and 2, over 3000 draws: a standard error of 0.015.
    assert history["fake_logits"] == [pytest.approx(1, abs=0.06)]


def test_labels_and_latents_by_functions():
    seen = []

    def all_ones(seeds, length):
        seen.append(length)
        return ops.ones((ops.shape(seeds)[0], length))

    history = fit(fake_labels=lambda seeds, labels: labels - 1, fake_latents=all_ones)
    assert history["fake_logits"] == [pytest.approx(1)]
    assert set(seen) == {4}


def test_each_class_is_as_frequent_and_the_largest_draw_is_one():
    labels = np.asarray(uniform_labels(ops.arange(100_000, dtype="int32"), 10))
    counts = np.bincount(labels, minlength=10)
    assert labels.dtype == np.int32 and len(counts) == 10
    # A standard deviation of 95 about 10,000.
    assert np.abs(counts - 10_000).max() < 500


def test_what_cannot_be_is_named():
    generator, critic = networks()
    gan = keras_sagan.GAN(generator, critic)
    with pytest.raises(ValueError, match="got 'fresh'"):
        gan.compile(ema=None, fake_labels="fresh")
    del generator.num_classes
    with pytest.raises(ValueError, match="tells its num_classes"):
        gan.compile(ema=None, fake_labels="uniform")
