"""What `fit` takes and reports."""

import keras
import numpy as np
import pytest
from gans import IMAGES, LABELS, dataset, make_gan, one_step

import keras_sagan
from keras_sagan import models


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


def test_models_must_agree_on_labels():
    with pytest.raises(ValueError, match="both take labels, or neither"):
        keras_sagan.GAN(
            models.DCGANGenerator(image_size=32, num_classes=3),
            models.DCGANDiscriminator(image_size=32),
        )
    with pytest.raises(ValueError, match="dataset of \\(images, labels\\)"):
        one_step(make_gan(), labels=False)


@pytest.mark.slow
def test_without_classes_labels_are_left_out():
    logits = []
    for labels in (True, False):
        gan = make_gan(num_classes=None)
        history = gan.fit(dataset(labels=labels), steps_per_epoch=1, verbose=0).history
        logits.append(history["real_logits"])
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-5)


@pytest.mark.slow
def test_float_arrays_train_as_uint8_datasets_do():
    expected = make_gan().fit(dataset(), steps_per_epoch=3, verbose=0).history
    gan = make_gan()
    images = IMAGES[:24].astype("float32") / 127.5 - 1
    history = gan.fit(images, LABELS[:24], batch_size=8, shuffle=False, verbose=0).history
    for name in ("discriminator_loss", "generator_loss", "real_logits"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)
    with pytest.raises(ValueError, match="fit needs a dataset of \\(images, labels\\)"):
        gan.fit(images, batch_size=8, verbose=0)


@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)]
)
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
