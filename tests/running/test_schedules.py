"""Learning rates over the steps, from the config to the optimizers."""

import itertools

import keras
import numpy as np
import pytest
from gans import tiny_gan
from keras import ops
from keras.optimizers import schedules as keras_schedules

from keras_sagan.adversarial.callback_list import LearningRates
from keras_sagan.adversarial.optimizers import Adam, WarmUp
from keras_sagan.errors import InputError
from keras_sagan.running import config as config_module
from keras_sagan.running import schedules, training
from keras_sagan.running.run_folder import Run

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (16, 8, 8, 3)).astype("float32")
LABELS = np.arange(16, dtype="int32") % 3


def config(*assignments):
    given = ["train.steps=100", "optimizer.schedule=constant", *assignments]
    return config_module.load("configs/paired_shapes.yaml", given)


def share(kind, warmup, end, left, step):
    """What there is of a rate: the rise, and the decay as the figures of a config mean it."""
    rise = min(1, step / warmup) if warmup else 1
    done = np.clip((step - warmup) / (end - warmup), 0, 1)
    decayed = {"constant": 1, "linear": 1 - done, "cosine": (1 + np.cos(np.pi * done)) / 2}[kind]
    return rise * (left + (1 - left) * decayed)


@pytest.mark.parametrize(
    ("kind", "warmup", "end", "left"),
    [
        ("constant", 20, None, 0),
        ("cosine", 0, None, 0),
        ("cosine", 20, 80, 0.1),
        ("linear", 0, 60, 0),
        ("linear", 20, None, 0.25),
    ],
)
def test_both_networks_follow_the_shape(kind, warmup, end, left):
    given = config(
        f"optimizer.schedule={kind}",
        f"optimizer.warmup_steps={warmup}",
        f"optimizer.decay_steps={'null' if end is None else end}",
        f"optimizer.final_share={left}",
        "optimizer.generator_learning_rate=2e-4",
        "optimizer.discriminator_learning_rate=8e-4",
        "train.discriminator_steps=3",
    )
    generator, discriminator = schedules.learning_rates(given)
    for step in (0, 1, 7, 19, 20, 21, 40, 59, 60, 79, 80, 99, 100, 250):
        expected = share(kind, warmup, end or 100, left, step)
        # Sums and cosines in float32, of shares up to 1.
        assert float(generator(step)) == pytest.approx(2e-4 * expected, abs=2e-4 * 1e-6)
        # Of which the optimizer makes three updates a step.
        assert float(discriminator(3 * step)) == pytest.approx(8e-4 * expected, abs=8e-4 * 1e-6)


def test_a_constant_rate_is_a_number_as_it_was():
    rates = (f"optimizer.{name}_learning_rate=1e-3" for name in ("generator", "discriminator"))
    given = config("optimizer.decay_steps=7", *rates)
    assert schedules.learning_rates(given) == (1e-3, 1e-3)
    assert schedules.with_decay_steps(given).optimizer.decay_steps is None


def test_a_warm_up_leaves_steps_to_decay_in():
    for more, steps in (("optimizer.decay_steps=50", 50), ("train.steps=40", 40)):
        given = config("optimizer.schedule=linear", "optimizer.warmup_steps=50", more)
        with pytest.raises(InputError, match=f"is 50, which leaves none of the {steps} steps"):
            schedules.with_decay_steps(given)
    schedules.with_decay_steps(config("optimizer.warmup_steps=500"))


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "run")
    run.create(schedules.with_decay_steps(config("optimizer.schedule=cosine")))
    return run


def test_more_steps_do_not_change_the_way_that_was_gone(run):
    assert run.config().optimizer.decay_steps == 100
    run.checkpoint(60).mkdir()
    more = training.resumed_config(run, config("optimizer.schedule=cosine", "train.steps=300"))
    assert more.train.steps == 300 and more.optimizer.decay_steps == 100
    for other in ("optimizer.schedule=linear", "optimizer.decay_steps=300"):
        with pytest.raises(InputError, match=f"{other.partition('=')[0]} is .*was started with"):
            training.resumed_config(run, config("optimizer.schedule=cosine", other))


def test_steps_of_which_nothing_is_learned_are_told():
    linear = ("optimizer.schedule=linear", "optimizer.decay_steps=80")
    for more, done, end in (
        ((), 0, 80),
        ((), 10, 90),
        ((), 30, None),
        (("optimizer.final_share=0.1",), 0, None),
        (("optimizer.schedule=constant",), 0, None),
        (("train.steps=80",), 0, None),
    ):
        given = schedules.with_decay_steps(config(*linear, *more))
        lines = schedules.said(given, done)
        assert [line.partition(" (")[0] for line in lines] == (
            [] if end is None else [f"the learning rates are 0 from step {end} on"]
        )


def test_an_imported_run_decays_over_the_steps_that_are_left(tmp_path):
    run = Run(tmp_path / "run")
    run.create(config())
    run.checkpoint(60).mkdir()
    (run.checkpoint(60) / "SHA256SUMS").write_text("")
    begun = training.resumed_config(run, config("optimizer.schedule=linear"))
    assert begun.optimizer.decay_steps == 40
    # Stopped before its first checkpoint.
    run.write_config(begun)
    again = training.resumed_config(run, config("optimizer.schedule=linear", "train.steps=200"))
    assert again.optimizer.decay_steps == 40


def scheduled():
    decay = keras_schedules.PolynomialDecay(0.1, 6, end_learning_rate=0.01)
    cosine = keras_schedules.CosineDecay(0.2, 12)
    return tiny_gan(
        generator_optimizer=Adam(WarmUp(decay, 2), 0.0, 0.9),
        discriminator_optimizer=Adam(WarmUp(cosine, 4), 0.0, 0.9),
        discriminator_steps=2,
    )


def train(gan, first, steps, **options):
    rows = slice(4 * first, 4 * (first + steps))
    options = {"batch_size": 4, "shuffle": False, "verbose": 0, **options}
    return gan.fit(IMAGES[rows], LABELS[rows], **options).history


def state(gan):
    optimizers = (gan.generator_optimizer, gan.discriminator_optimizer)
    variables = [*gan.variables, *(v for each in optimizers for v in each.variables)]
    return [np.array(variable) for variable in variables]


def test_what_goes_on_under_a_schedule_is_what_never_stopped(tmp_path):
    """To the bit: sums of so few numbers are not divided among threads."""
    whole, first, second = scheduled(), scheduled(), scheduled()
    history = train(whole, 0, 4)
    # Rates of the next update: number 4 of the generator, 8 of the discriminator.
    assert history["generator_learning_rate"] == pytest.approx([0.1 - 0.09 * 2 / 6], rel=1e-6)
    expected = 0.1 * (1 + np.cos(np.pi * 4 / 12))
    assert history["discriminator_learning_rate"] == pytest.approx([expected], rel=1e-6)
    train(first, 0, 2)
    first.save_weights(tmp_path / "gan.weights.h5")
    second.load_weights(tmp_path / "gan.weights.h5")
    train(second, 2, 2)
    for found, expected in zip(state(second), state(whole), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_updates_are_of_the_size_that_the_schedule_says():
    """A step of Adam with betas of 0 is the rate, by the sign of the gradient."""
    rate = WarmUp(keras_schedules.PolynomialDecay(0.1, 4, end_learning_rate=0.0), 2)
    variable = keras.Variable(np.zeros(1, "float32"))
    optimizer = Adam(rate, 0.0, 0.0)
    optimizer.build([variable])
    places = [0.0]
    for _ in range(7):
        optimizer.apply([ops.convert_to_tensor(np.ones(1, "float32"))], [variable])
        places.append(float(ops.convert_to_numpy(variable)[0]))
    sizes = [first - second for first, second in itertools.pairwise(places)]
    # Epsilon takes 1e-7 of each, float32 as much of their sum.
    assert sizes == pytest.approx([0, 0.05, 0.1, 0.075, 0.05, 0.025, 0], abs=1e-7)


def test_rates_that_stay_are_not_logged():
    rates, logs = LearningRates(), {}
    rates.set_model(tiny_gan(generator_optimizer=Adam(WarmUp(0.1, 4))))
    rates.on_epoch_end(0, logs)
    assert logs == {"generator_learning_rate": 0}


def test_a_callback_that_would_set_them_ends_before_the_first_step():
    gan = scheduled()
    with pytest.raises(TypeError, match="created with a `LearningRateSchedule`"):
        train(gan, 0, 1, callbacks=keras.callbacks.LearningRateScheduler(lambda epoch: 0.1))
    assert gan.step == 0


def test_under_a_loss_scale_the_rates_are_those_of_the_optimizer_within():
    rate = WarmUp(0.1, 4)
    optimizer = keras.optimizers.LossScaleOptimizer(Adam(rate, 0.0, 0.9))
    optimizer.build([keras.Variable(np.zeros(2, "float32"))])
    optimizer.inner_optimizer.iterations.assign(1)
    assert float(optimizer.learning_rate) == pytest.approx(0.025)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert float(copy.inner_optimizer.learning_rate) == 0
    assert copy.inner_optimizer.get_config() == optimizer.inner_optimizer.get_config()
