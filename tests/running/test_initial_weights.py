"""Runs that begin with the networks of other runs, and what of these stays as it is."""

import shutil

import numpy as np
import pytest
from programs import JAX, run, run_here, train_arguments
from run_files import rows, weights

from keras_sagan import GAN
from keras_sagan.errors import InputError
from keras_sagan.models import FAMILIES
from keras_sagan.running import checkpoints, initial_weights, training
from keras_sagan.running import config as config_module
from keras_sagan.running.run_folder import Run
from keras_sagan.sampling import sample

RNG = np.random.default_rng(0)
SMALL = ("model.width=8", "model.latent_dim=8", "train.batch_size=4", "train.steps=4")


def config(*assignments, classes=3):
    classes = "null" if classes is None else classes
    given = [*SMALL, f"model.num_classes={classes}", *assignments]
    return config_module.load("configs/paired_shapes.yaml", given)


def randomise(network):
    for variable in network.variables:
        values = RNG.uniform(0.5, 1, variable.shape)
        variable.assign(values if "variance" in variable.path else values - 0.7)


@pytest.fixture(scope="module")
def old_run(tmp_path_factory):
    """A run of three classes with checkpoints of steps 5 and 6, as if it had been trained."""
    old = Run(tmp_path_factory.mktemp("old") / "run")
    old.create(config())
    gan = training.make_gan(config())
    for step in (5, 6):
        for network in (gan.generator, gan.ema_generator, gan.discriminator):
            randomise(network)
        gan.step = step
        old.save_checkpoint(gan, keep=2)
    return old


def begun(source, *assignments, classes=3):
    """A new GAN with the networks of a run, not compiled, and what is said about it."""
    given = config(*assignments, classes=classes).starting_from(source.path)
    gan = GAN(*given.model.networks())
    (line,) = initial_weights.take_over(gan, given)
    return gan, line


def test_a_new_run_draws_what_the_old_one_drew(old_run):
    given = config().starting_from(old_run.path)
    gan = training.make_gan(given)
    (line,) = initial_weights.take_over(gan, given)
    expected = sample(old_run.load_generator(old_run.checkpoint(6)), range(4), [0, 1, 2, 0])
    np.testing.assert_array_equal(gan.sample(range(4), [0, 1, 2, 0]), expected)
    whole = training.make_gan(config())
    old_run.load_checkpoint(whole)
    for found, old in zip(gan.discriminator.variables, whole.discriminator.variables, strict=True):
        np.testing.assert_array_equal(np.array(found), np.array(old), found.path)
    # The average too, not what was trained.
    averages = zip(gan.generator.variables, whole.ema_generator.variables, strict=True)
    for found, old in averages:
        np.testing.assert_array_equal(np.array(found), np.array(old), found.path)
    assert gan.step == 0 and int(gan.discriminator_optimizer.iterations) == 0
    assert line == f"initial weights: {old_run.path} at step 6"


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (5, "; each of 5 classes begins as the mean of 3"),
        (None, "; the mean of its 3 classes"),
    ],
)
def test_other_classes_are_said_in_the_line(old_run, networks, classes, said):
    gan, line = begun(old_run, classes=classes)
    assert line.endswith(f"at step 6{said}")
    if classes:
        same = sample(gan.generator, [7] * classes, range(classes))
        np.testing.assert_array_equal(same, np.repeat(same[:1], classes, axis=0))


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over(old_run, tmp_path, capsys):
    copy = Run(tmp_path / "run")
    shutil.copytree(old_run.path, copy.path)
    (copy.checkpoint(6) / checkpoints.WEIGHTS).write_bytes(b"")
    gan, line = begun(copy)
    assert line.endswith("at step 5") and "checkpoint of step 5 is used" in capsys.readouterr().err
    expected = sample(old_run.load_generator(old_run.checkpoint(5)), range(2), [0, 1])
    np.testing.assert_array_equal(gan.sample(range(2), [0, 1]), expected)


@pytest.mark.parametrize("with_discriminator", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_imported_runs_are_taken_over_too(tmp_path, with_discriminator):
    imported = Run(tmp_path / "run")
    imported.create(config(classes=None))
    options = {"image_size": 32, "width": 8, "attention": (8, 16)}
    classes = FAMILIES["dcgan"]
    networks = classes[0](latent_dim=8, **options), classes[1](**options)
    for network in networks:
        randomise(network)
    models = {checkpoints.GENERATOR: networks[0]}
    if with_discriminator:
        models[checkpoints.DISCRIMINATOR] = networks[1]
    checkpoints.write_models(models, imported.checkpoint(9))
    plain = ("model.mapping_layers=0", "model.self_modulation=false")
    given = ("model.attention=[16, 8]", "model.discriminator_hidden_units=0", *plain)
    gan, line = begun(imported, *given, classes=None)
    np.testing.assert_array_equal(gan.sample(range(4)), sample(networks[0], range(4)))
    pairs = zip(gan.discriminator.get_weights(), networks[1].get_weights(), strict=True)
    same = [np.array_equal(found, old) for found, old in pairs]
    assert all(same) if with_discriminator else not any(same)
    assert ("discriminator is a new one" in line) != with_discriminator
    if with_discriminator:
        _, line = begun(imported, *given, classes=2)
        assert line.endswith("begins as it; the discriminator's class_embedding is new")


@pytest.fixture(scope="module")
def loaded(old_run):
    folder = old_run.checkpoint(6)
    return old_run.load_generator(old_run.checkpoint(6)), checkpoints.load_discriminator(
        folder, old_run.config()
    )


@pytest.fixture
def networks(loaded, monkeypatch):
    """Those of the old run, loaded once for all tests."""
    monkeypatch.setattr(Run, "load_generator", lambda run, folder: loaded[0])
    monkeypatch.setattr(checkpoints, "load_discriminator", lambda folder, config: loaded[1])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.width=16", "model.width is 16, but .* has 8: set that, or begin with another"),
        ("model.latent_dim=16", "model.latent_dim is 16, but .* has 8"),
        ("model.attention=[16]", r"model.attention is \[16\], but .* has \[8"),
        ("model.discriminator_width=16", "model.discriminator_width is 16, but .* has 8"),
        ("model.discriminator_attention=[4]", r"model.discriminator_attention is \[4\], but"),
        ("model.image_size=64", "model.image_size is 64, but .* has 32"),
        ("model.family=resnet", "model.family is resnet, but .* has dcgan"),
        ("model.norm_epsilon=1e-4", "model.norm_epsilon is 0.0001, but .* has 1e-05"),
        (
            "model.discriminator_hidden_units=0",
            "model.discriminator_hidden_units is 0, but .* has 128",
        ),
    ],
)
def test_other_networks_are_named_by_their_key(old_run, networks, assignment, message):
    with pytest.raises(InputError, match=message) as error:
        begun(old_run, assignment)
    assert "\n" not in str(error.value) and str(old_run.path) in str(error.value)


def test_what_training_alone_needs_may_differ(old_run, networks, loaded):
    free = ("model.norm_momentum=0.9", "model.discriminator_attention_gamma=0.3")
    gan, _ = begun(old_run, *free, "train.freeze_discriminator=1")
    gammas = [each.get_layer("attention8").gamma for each in (gan.discriminator, loaded[1])]
    assert float(np.array(gammas[0])) == float(np.array(gammas[1]))


def test_runs_that_are_none_are_named(old_run, tmp_path):
    with pytest.raises(InputError, match=r"^train.init_from: .*missing holds no run"):
        begun(Run(tmp_path / "missing"))
    shutil.copytree(old_run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(InputError, match=r"^train.init_from: .*run holds no checkpoint yet"):
        begun(Run(tmp_path / "run"))


@pytest.mark.slow
def test_mistakes_on_the_command_line_write_nothing(old_run, tmp_path):
    folder = tmp_path / "run"
    command = train_arguments(folder, "model.width=16")
    for more, message in {
        ("--init-from", tmp_path / "none"): "none holds no run",
        ("--init-from", old_run.path): "model.width is 16, but",
        ("--init-from", old_run.path, "--resume"): "--init-from starts a new run, and --resume",
        ("--set", "train.freeze_discriminator=4"): "is 4, but the discriminator has 3 stages",
        ("--set", "optimizer.warmup_steps=9", "optimizer.schedule=cosine"): "none of the 6 steps",
    }.items():
        process = run_here(*command, *more)
        assert process.returncode == 2, process.stderr
        (line,) = process.stderr.splitlines()
        assert line.startswith("error: ") and message in line
        assert not folder.exists()


@pytest.mark.slow
def test_a_run_needs_the_other_until_its_first_checkpoint(old_run, tmp_path, cats_and_dogs):
    """It has two classes, the other one three; it was stopped before its first."""
    source = tmp_path / "source"
    shutil.copytree(old_run.path, source)
    begun = Run(tmp_path / "run")
    given = [*SMALL, "train.steps=1", "samples.columns=2", "optimizer.schedule=cosine"]
    loaded = config_module.load(
        "configs/paired_shapes.yaml", [*given, "model.num_classes=2"], cats_and_dogs
    )
    begun.create(loaded.starting_from(source))
    resume = ("train.py", "--resume", "--run-dir", begun.path)
    process = run_here(*resume)
    assert process.returncode == 0, process.stderr
    said = f"initial weights: {source} at step 6; each of 2 classes begins as the mean of 3\n"
    assert process.stdout.count("initial weights") == process.stdout.count(said) == 1
    assert begun.config().train.init_from == str(source)
    assert begun.config().optimizer.decay_steps == 1
    assert float(rows(begun.path)[-1]["generator_learning_rate"]) == 0
    shutil.rmtree(source)
    shutil.rmtree(begun.checkpoints)
    process = run_here(*resume)
    assert process.returncode == 2
    assert process.stderr == (
        f"error: train.init_from: {source} holds no run (it has no config.yaml)\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", ["dcgan", "resnet", "full_attention"])
def test_frozen_stages_do_not_move_at_all(family):
    given = config(f"model.family={family}", "model.attention=[8]", "train.freeze_discriminator=2")
    gan, free = (
        training.make_gan(each)
        for each in (given, config(f"model.family={family}", "model.attention=[8]"))
    )
    before = {v.path: np.array(v) for v in gan.discriminator.variables}
    images = RNG.uniform(-1, 1, (8, 32, 32, 3)).astype("float32")
    gan.fit(images, np.arange(8) % 3, batch_size=4, verbose=0)

    def moved(layers):
        variables = [v for layer in layers for v in layer.variables]
        return [not np.array_equal(np.array(v), before[v.path]) for v in variables]

    first, second, *others = gan.discriminator.stages()
    assert not any(moved([*first, *second])) and len(moved(first)) >= 3
    assert all(any(moved(stage)) for stage in others)
    assert all(moved([gan.discriminator.get_layer("class_embedding")]))
    counts = [len(each.discriminator_optimizer.variables) for each in (gan, free)]
    assert counts[0] < counts[1]


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, JAX], ids=["tensorflow", "jax"])
def test_a_run_under_a_schedule_goes_on_bit_for_bit(tmp_path, old_run, environment):
    """Begun with another run's networks, one stage of which is frozen; stopped in the middle."""
    options = [*SMALL, "model.num_classes=10", "train.deterministic=true", "train.log_every=1"]
    options += ["train.freeze_discriminator=1", "train.discriminator_steps=2"]
    options += ["optimizer.schedule=cosine", "optimizer.decay_steps=5", "optimizer.warmup_steps=1"]
    options += ["optimizer.generator_learning_rate=1e-3"]
    source = tmp_path / "source"
    shutil.copytree(old_run.path, source)
    for name, steps in {"straight": 4, "stopped": 2}.items():
        arguments = train_arguments(tmp_path / name, *options, f"train.steps={steps}")
        process = run(*arguments, "--init-from", source, env=environment)
        assert process.returncode == 0, process.stderr
    shutil.rmtree(source)  # which is not needed any more
    resume = ("train.py", "--resume", "--run-dir", tmp_path / "stopped")
    process = run(*resume, "--set", "train.steps=4", env=environment)
    assert process.returncode == 0, process.stderr
    straight, stopped = (weights(tmp_path / name, 4) for name in ("straight", "stopped"))
    assert straight.keys() == stopped.keys() and len(straight) > 100
    for name, value in straight.items():
        np.testing.assert_array_equal(stopped[name], value, name)
    old = weights(old_run.path, 6)
    frozen = [name for name in old if name.startswith("discriminator/layers/spectral_norm/")]
    assert len(frozen) == 3  # kernel, bias, u
    for name in frozen:
        np.testing.assert_array_equal(straight[name], old[name], name)
    for name in ("straight", "stopped"):
        rates = [float(row["generator_learning_rate"]) for row in rows(tmp_path / name)]
        shares = [(1 + np.cos(np.pi * step / 4)) / 2 for step in range(4)]
        assert rates == pytest.approx([1e-3 * share for share in shares], rel=1e-5)
