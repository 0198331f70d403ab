"""Keras's callbacks and arguments of `compile` with a GAN, which has two networks."""

import keras
import numpy as np
import pytest
from gans import small_gan as make_gan
from keras import callbacks

from keras_sagan import GAN
from keras_sagan.adversarial.callback_list import AttentionGammas
from keras_sagan.models import FAMILIES

IMAGES = np.random.default_rng(0).uniform(-1, 1, (8, 2, 2, 3)).astype("float32")
LABELS = np.arange(8, dtype="int32") % 3


def fit(gan, callbacks, epochs=3, **options):
    return gan.fit(
        IMAGES, LABELS, batch_size=4, epochs=epochs, callbacks=callbacks, verbose=0, **options
    )


def rates(gan):
    optimizers = (gan.generator_optimizer, gan.discriminator_optimizer)
    return [float(each.learning_rate) for each in optimizers]


def test_every_callback_of_rates_sets_both():
    gan = make_gan(
        generator_optimizer=keras.optimizers.Adam(0.1),
        discriminator_optimizer=keras.optimizers.Adam(0.4),
    )
    tenth = callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 * rate)
    history = fit(gan, tenth, epochs=2).history  # a single callback, not a list
    assert rates(gan) == pytest.approx([0.001, 0.004])
    assert history["learning_rate_generator"] == pytest.approx([0.01, 0.001])
    assert history["learning_rate_discriminator"] == pytest.approx([0.04, 0.004])
    plateau = callbacks.ReduceLROnPlateau(
        "val_generator_loss", factor=0.5, patience=1, mode="min", min_delta=1e9
    )
    fit(gan, [plateau], epochs=2, validation_data=(IMAGES, LABELS))
    assert rates(gan) == pytest.approx([0.0005, 0.002])


def test_gammas_of_full_attention_are_logged_by_the_names_of_its_layers():
    options = {"image_size": 32, "width": 8, "attention": (8,)}
    generator, discriminator = (network(**options) for network in FAMILIES["full_attention"])
    generator.get_layer("full4").gamma.assign(0.25)
    discriminator.get_layer("full16").gamma.assign(-0.5)
    gammas, logs = AttentionGammas(), {}
    gammas.set_model(GAN(generator, discriminator))
    gammas.on_epoch_end(0, logs)
    assert logs == {
        "generator_full4_gamma": 0.25,
        "generator_full8_gamma": 0.0,
        "generator_attention8_gamma": 0.0,
        "discriminator_full16_gamma": -0.5,
        "discriminator_full8_gamma": 0.0,
        "discriminator_attention8_gamma": 0.0,
    }


def test_early_stopping_brings_the_best_weights_back():
    gan = make_gan(ema=0.5)
    scores, seen = [3.0, 1.0, 2.0, 5.0, 0.0], []

    class Score(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["score"] = scores[epoch]
            seen.append([w.copy() for w in self.model.get_weights()])

    stop = callbacks.EarlyStopping("score", mode="min", patience=2, restore_best_weights=True)
    history = fit(gan, [Score(), stop], epochs=5).history
    assert history["score"] == scores[:4] and history["step"] == [2, 4, 6, 8]
    assert gan.step == 4
    for best, weight in zip(seen[1], gan.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, best)
    assert any(np.any(a != b) for a, b in zip(seen[1], seen[3], strict=True))


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (lambda: callbacks.SwapEMAWeights(), "SwapEMAWeights does not work .* averages"),
        (lambda: callbacks.TerminateOnNaN(), "TerminateOnNaN .*StopOnNonFiniteLoss"),
        (lambda: callbacks.EarlyStopping(), "EarlyStopping monitors 'val_loss', .* two losses"),
        (
            lambda: callbacks.EarlyStopping("val_real_logits", mode="min"),
            "monitors 'val_real_logits': give fit validation_data",
        ),
        (
            lambda: callbacks.ReduceLROnPlateau("generator_loss"),
            "ReduceLROnPlateau monitors 'generator_loss'.* mode='min' or mode='max'",
        ),
        (
            lambda: callbacks.ModelCheckpoint("x.keras", save_best_only=True),
            "ModelCheckpoint monitors 'val_loss'",
        ),
    ],
)
def test_callbacks_that_would_do_nothing_are_refused_before_the_first_step(callback, message):
    gan = make_gan()
    with pytest.raises(ValueError, match=message):
        fit(gan, [callback()])
    assert gan.step == 0


def test_callbacks_of_others_may_monitor_in_their_own_way():
    class Mine(callbacks.Callback):
        monitor = "real_logits"

    class MyOwn(callbacks.Callback):
        monitor = ("real_logits", "fake_logits")

    gan = make_gan()
    fit(gan, [Mine(), MyOwn()])
    assert gan.step > 0


def test_checkpoints_of_keras_hold_the_whole_gan(tmp_path):
    gan = make_gan(ema=0.5)
    fit(gan, callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras")), epochs=2)
    loaded = keras.saving.load_model(tmp_path / "2.keras")
    assert loaded.step == gan.step == 4
    np.testing.assert_array_equal(loaded.sample(range(6)), gan.sample(range(6)))


@pytest.mark.slow
def test_a_run_that_keras_backs_up_goes_on(tmp_path):
    class Stop(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    expected = make_gan(ema=0.5)
    fit(expected, None, epochs=3, shuffle=False)
    first, second = make_gan(ema=0.5), make_gan(ema=0.5)
    with pytest.raises(KeyboardInterrupt):
        fit(first, [callbacks.BackupAndRestore(tmp_path), Stop()], shuffle=False)
    fit(second, callbacks.BackupAndRestore(tmp_path), epochs=3, shuffle=False)
    assert second.step == 6
    for a, b in zip(second.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # sums of another order


def test_optimizers_go_by_name_too():
    gan = make_gan()
    gan.compile("adam", "rmsprop")
    assert type(gan.generator_optimizer) is keras.optimizers.Adam
    assert type(gan.discriminator_optimizer) is keras.optimizers.RMSprop
    gan.compile("adam", "adam")
    fit(gan, None, epochs=1)
    assert gan.step == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adam"}, "two optimizers: give compile generator_optimizer and"),
        ({"metrics": ["accuracy"]}, "GAN.compile does not take metrics"),
        ({"loss_weights": [1.0]}, "GAN.compile does not take loss_weights"),
    ],
)
def test_arguments_for_one_model_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make_gan(**options)


def test_one_optimizer_for_both_networks_is_named():
    adam = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="are one object: make two"):
        make_gan(generator_optimizer=adam, discriminator_optimizer=adam)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a"])
def test_a_seed_that_cannot_be_is_named(seed):
    networks = make_gan().generator, make_gan().discriminator
    with pytest.raises(ValueError, match="seed must be an integer from 0 to 4294967295, or None"):
        GAN(*networks, seed=seed)


def test_no_seed_is_one_at_random_which_is_kept():
    networks = make_gan().generator, make_gan().discriminator
    seeds = {GAN(*networks, seed=None).seed for _ in range(3)}
    assert len(seeds) == 3 and all(0 <= seed < 2**32 for seed in seeds)
    gan = GAN(*networks, seed=np.int64(3))
    assert gan.get_config()["seed"] == 3
