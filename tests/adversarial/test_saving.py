"""A GAN in a `.keras` file."""

import ast
import functools
from pathlib import Path

import keras
import numpy as np
import pytest
from gans import small_gan as make_gan
from keras import ops
from programs import JAX, REPOSITORY, run

import keras_sagan
from keras_sagan import latents, losses

IMAGES = np.random.default_rng(0).uniform(-1, 1, (24, 2, 2, 3)).astype("float32")
LABELS = np.arange(24, dtype="int32") % 3


@keras.saving.register_keras_serializable("tests")
def other_labels(seeds, labels):
    return (labels + 1) % 3


@keras.saving.register_keras_serializable("tests")
class Drift(keras_sagan.regularizers.Regularizer):
    """Pulls logits towards a mean that it keeps."""

    def __init__(self, weight, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.mean = self.add_weight(shape=(), trainable=False, initializer="zeros")

    def term(self, update):
        logits = ops.mean(update.critic(update.real, update.real_labels))
        self.mean.assign(0.5 * self.mean + 0.5 * logits)
        return self.weight * ops.square(logits - self.mean)


def train(gan, first, steps):
    rows = slice(4 * first, 4 * (first + steps))
    gan.fit(IMAGES[rows], LABELS[rows], batch_size=4, shuffle=False, verbose=0)


def state(gan):
    optimizers = (gan.generator_optimizer, gan.discriminator_optimizer)
    variables = [*gan.variables, *(v for each in optimizers for v in each.variables)]
    return [np.array(variable) for variable in variables]


def test_a_loaded_gan_goes_on_training_where_it_was(tmp_path):
    gan = make_gan(
        generator_optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 9)),
        loss=losses.least_squares(),
        discriminator_steps=2,
        ema=0.5,
        regularizers=[Drift(0.1, every=2)],
        fake_labels=other_labels,
        fake_latents=latents.uniform,
        steps_per_execution=1,
    )
    train(gan, 0, 3)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.step == 3 and loaded.images_seen == 12 and loaded.seed == 7
    np.testing.assert_array_equal(loaded.sample(range(6)), gan.sample(range(6)))
    for each in (gan, loaded):
        train(each, 3, 3)
    assert len(state(gan)) == len(state(loaded)) > 25
    # To the bit: sums of so few numbers are not divided among threads.
    for expected, found in zip(state(gan), state(loaded), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_losses_are_those_of_before_in_a_file(loss):
    options = {"gradient_penalty": 3.0} if loss == "wasserstein" else {}
    pair = losses.LOSSES[loss](**options)
    config = keras.saving.serialize_keras_object(pair)
    loaded = keras.saving.deserialize_keras_object(config)
    real, fake = ops.array([[0.3], [-2.0]]), ops.array([[1.4], [0.2]])
    for network in ("discriminator", "generator"):
        assert getattr(loaded, network) is getattr(pair, network)
        assert np.isfinite(float(getattr(loaded, network)(real, fake)))
    assert loaded.relativistic == pair.relativistic
    assert [r.get_config() for r in loaded.regularizers] == [
        r.get_config() for r in pair.regularizers
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fake_labels": lambda seeds, labels: labels}, "whose fake_labels is <lambda> cannot"),
        (
            {"fake_latents": functools.partial(latents.normal)},
            "whose fake_latents is functools.partial.* cannot be saved",
        ),
        (
            {"loss": losses.AdversarialLoss(losses.hinge().discriminator, lambda r, f: f)},
            "whose loss of the generator is <lambda> cannot be saved",
        ),
    ],
)
def test_functions_without_a_name_are_not_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make_gan(**options).save(tmp_path / "gan.keras")


@keras.saving.register_keras_serializable("tests")
class OfList(keras.Model):
    """A generator of its own class, which tells its argument."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.embedding = keras.layers.Embedding(3, units)
        self.dense, self.shape = keras.layers.Dense(12), keras.layers.Reshape((2, 2, 3))

    def call(self, inputs):
        latent, label = inputs
        return self.shape(self.dense(ops.concatenate([latent, self.embedding(label)], -1)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@pytest.mark.slow
def test_networks_of_their_own_class_are_saved_with_what_was_set_on_them(tmp_path):
    generator = OfList(5)
    generator.latent_dim, generator.num_classes = 4, 3
    gan = keras_sagan.GAN(generator, make_gan().discriminator)
    gan.compile(ema=0.5)
    train(gan, 0, 2)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.generator.num_classes == 3
    np.testing.assert_array_equal(loaded.sample(range(6)), gan.sample(range(6)))
    for each in (gan, loaded):
        train(each, 2, 2)
    for expected, found in zip(state(gan), state(loaded), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_networks_that_a_file_would_not_hold_are_named(tmp_path):
    class Mine(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.dense = keras.layers.Dense(units)

        def call(self, inputs):
            return self.dense(keras.layers.Flatten()(inputs))

    latent = keras.Input((4,), name="latent")
    x = keras.layers.Reshape((2, 2, 3))(keras.layers.Dense(12)(latent))
    gan = keras_sagan.GAN(keras.Model({"latent": latent}, x), Mine(1))
    gan.compile()
    with pytest.raises(ValueError, match="cannot be saved: Mine needs a get_config"):
        gan.save(tmp_path / "gan.keras")


def test_all_classes_that_files_name_are_known_after_one_import():
    found = set()
    for path in (REPOSITORY / "keras_sagan").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any(
                "register" in ast.unparse(decorator) for decorator in node.decorator_list
            ):
                found.add(node.name)
    known = {name for names in keras_sagan._REGISTERED.values() for name in names}
    assert known == found and "GAN" in known


@pytest.mark.parametrize("first", ["", "importlib.util.find_spec('keras'); "])
def test_they_are_known_whoever_imports_keras(first):
    code = f"import keras_sagan, importlib.util; {first}import keras; "
    code += "print(keras.saving.get_registered_object('keras_sagan>SelfAttention2D') is not None)"
    process = run("-c", code, env={"KERAS_BACKEND": "numpy"})
    assert process.stdout == "True\n", process.stderr


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_another_process_goes_on_after_import_keras_sagan_alone(tmp_path, backend):
    """On one thread and with deterministic operations, to the bit."""
    environment = {
        "TF_DETERMINISTIC_OPS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }
    if backend == "jax":
        environment = {**JAX, "XLA_FLAGS": JAX["XLA_FLAGS"] + " --xla_cpu_multi_thread_eigen=false"}
    for part in ("first", "second"):
        program = Path(__file__).with_name("saved_fit.py")
        process = run(program, tmp_path, part, env=environment)
        assert process.returncode == 0, process.stderr
    expected, found = (np.load(tmp_path / f"{name}.npz") for name in ("expected", "found"))
    assert expected.keys() == found.keys() and len(expected.keys()) > 50
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("ema", [0.5, None])
def test_what_is_loaded_into_the_generator_before_the_first_step_is_drawn(tmp_path, ema):
    other = make_gan()
    rng = np.random.default_rng(1)
    other.generator.set_weights([rng.uniform(size=w.shape) for w in other.generator.get_weights()])
    other.generator.save_weights(tmp_path / "generator.weights.h5")
    gan = make_gan(ema=ema)
    before = gan.sample(range(4))
    gan.generator.load_weights(tmp_path / "generator.weights.h5")
    after = gan.sample(range(4))
    np.testing.assert_array_equal(after, other.sample(range(4)))
    assert np.abs(after.astype(int) - before).max() > 5
    inputs = {"latent": latents.numpy_normal(range(4), 4), "label": np.arange(4) % 3}
    outputs = np.asarray(gan.generator(inputs))
    np.testing.assert_allclose(gan(inputs), outputs, atol=1e-6)
    np.testing.assert_allclose(gan.predict(inputs, verbose=0), outputs, atol=1e-6)


def test_calls_predict_and_export_are_of_the_averages(tmp_path):
    gan = make_gan(ema=0.5)
    train(gan, 0, 3)
    inputs = {"latent": latents.numpy_normal(range(4), 4), "label": np.arange(4, dtype="int32") % 3}
    averaged, live = np.asarray(gan.sampler(inputs)), np.asarray(gan.generator(inputs))
    assert np.abs(averaged - live).max() > 1e-4
    # Of graphs and of single operations: rounding to 24 bits.
    np.testing.assert_allclose(gan(inputs), averaged, atol=1e-6)
    np.testing.assert_allclose(gan([inputs["latent"], inputs["label"]]), averaged, atol=1e-6)
    np.testing.assert_allclose(gan.predict(inputs, verbose=0), averaged, atol=1e-6)
    gan.export(tmp_path / "exported", verbose=False)
    import tensorflow as tf

    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(inputs), averaged, atol=1e-6)
