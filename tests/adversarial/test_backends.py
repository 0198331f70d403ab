import importlib.util
import json

import numpy as np
import pytest
from PIL import Image
from programs import JAX, REPOSITORY, run, run_here, train_arguments

from keras_sagan.running.run_folder import Run

ENVIRONMENTS = {"tensorflow": {}, "jax": JAX, "torch": {"KERAS_BACKEND": "torch"}}
# Of the tests of training: one of each thing that a backend does in its own way.
TRAINING = (
    "follow_the_rule or discriminator_steps or mixed_bfloat16 or update[wasserstein] or "
    "gradient_penalty or cannot_be_split or several_steps or any_layers or regularizers or fakes "
    "or any_kind or held_out or rates_sets or goes_on_training or policies or adam_moves "
    "or keras_says or named_before_anything or no_other_class or last_batch_of "
    "or augmentation"
)


WITH_TORCH = pytest.mark.skipif(
    not importlib.util.find_spec("torch"), reason="PyTorch is not installed"
)
BACKENDS = ["jax", pytest.param("torch", marks=WITH_TORCH)]


@pytest.mark.parametrize(
    "tests",
    [
        ["tests/layers"],
        ["tests/models", "tests/adversarial/test_losses.py", "tests/sampling/test_latents.py"],
        ["tests/data/test_pipeline.py", "tests/sampling/test_draws.py"],
        ["tests/running/test_schedules.py"],
        ["tests/adversarial", "--ignore=tests/adversarial/test_backends.py", "-k", TRAINING],
    ],
    ids=["layers", "models", "data", "schedules", "training"],
)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.slow
def test_the_tests_pass_on_other_backends_as_they_are(backend, tests):
    process = run("-m", "pytest", "-q", *tests, env=ENVIRONMENTS[backend])
    assert process.returncode == 0, process.stdout + process.stderr
    assert "passed" in process.stdout


def fit(backend, *arguments):
    program = REPOSITORY / "tests/adversarial/backend_fit.py"
    process = run(program, *arguments, env=ENVIRONMENTS[backend])
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def check_same_history(found, expected, tolerance):
    assert found.keys() == expected.keys() and "discriminator_loss" in expected
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=tolerance, rtol=0, err_msg=name)


@pytest.mark.parametrize("family", ["dcgan", "resnet"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.slow
def test_backends_agree_and_load_what_the_other_wrote(tmp_path, backend, family):
    """From the same weights on the same batches, at a tenth of the paper's rates.

    At the rates themselves training is chaotic: weights that differ by 1e-6 give DCGAN losses that
    are mostly 5e-6 apart after 20 steps and sometimes 1e-3, and the ResNet ends up 6e-3 apart.
    """
    tensorflow = fit("tensorflow", family, tmp_path)
    other = fit(backend, family, tmp_path)
    check_same_history(other["first"], tensorflow["first"], 1e-3)
    check_same_history(other["onward_of_tensorflow"], tensorflow["onward"], 1e-4)
    np.testing.assert_allclose(other["sample_of_tensorflow"], tensorflow["sample"], atol=0.01)
    if family == "dcgan":
        tensorflow = fit("tensorflow", family, tmp_path)
        check_same_history(tensorflow[f"onward_of_{backend}"], other["onward"], 1e-4)
        np.testing.assert_allclose(tensorflow[f"sample_of_{backend}"], other["sample"], atol=0.01)


def test_a_backend_that_cannot_train_is_named():
    process = run("-c", "import keras_sagan; keras_sagan.GAN", env={"KERAS_BACKEND": "numpy"})
    assert process.stderr.splitlines()[-1] == (
        "ImportError: GAN trains on Keras's tensorflow, jax and torch backends, and this is numpy: "
        "set KERAS_BACKEND before Keras is imported"
    )


@WITH_TORCH
@pytest.mark.slow
def test_programs_run_on_torch(tmp_path):
    environment, folder = ENVIRONMENTS["torch"], tmp_path / "run"
    process = run(*train_arguments(folder), "--strategy", "mirrored", env=environment)
    assert process.returncode == 2 and not folder.exists()
    assert process.stderr.startswith("error: a run on PyTorch has one device")
    process = run(*train_arguments(folder, "train.steps=3"), env=environment)
    assert process.returncode == 0, process.stderr
    arguments = ("train.py", "--run-dir", folder, "--resume", "--set", "train.steps=4")
    process = run(*arguments, env=environment)
    assert process.returncode == 0, process.stderr
    assert Run(folder).last_step() == 4
    on_torch = draw(folder, tmp_path / "torch.png", run, env=environment)
    on_tensorflow = draw(folder, tmp_path / "tensorflow.png", run_here)
    assert np.abs(on_torch - on_tensorflow).max() <= 1


@pytest.fixture
def without_tensorflow(tmp_path):
    """An environment of JAX in which TensorFlow cannot be imported."""
    package = tmp_path / "stub" / "tensorflow"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'tensorflow'\", name='tensorflow')"
    )
    return {**JAX, "PYTHONPATH": str(package.parent)}


@pytest.fixture
def trained_on_jax(tmp_path, without_tensorflow):
    """A run of two devices on a folder of images."""
    rng = np.random.default_rng(0)
    for i in range(24):
        folder = tmp_path / "pictures" / ("cat", "dog")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40, 36, 3)).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{i}.png")
    folder = tmp_path / "run"
    settings = ("model.attention=[8]", "model.num_classes=2", "samples.rows=1")
    arguments = (*train_arguments(folder, *settings), "--data", tmp_path / "pictures")
    flags = f"{JAX['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    environment = {**without_tensorflow, "XLA_FLAGS": flags}
    process = run(*arguments, "--strategy=mirrored", env=environment)
    assert process.returncode == 0, process.stderr
    assert "devices: " in process.stdout and "24 images, " in process.stdout
    return folder


def draw(folder, out, run_sample, **options):
    sample = ("-m", "keras_sagan.cli", "sample", folder, "--out", out)
    process = run_sample(*sample, **options)
    assert process.returncode == 0, process.stderr
    with Image.open(out) as sheet:
        return np.asarray(sheet).astype(int)


@pytest.mark.slow
def test_programs_run_without_tensorflow(trained_on_jax, without_tensorflow, tmp_path):
    folder = trained_on_jax
    assert Run(folder).checkpoint_steps() == [3, 6]
    assert len(list((folder / "attention").iterdir())) == 2
    assert list((folder / "logs").glob("events.out.tfevents.*"))

    on_jax = draw(folder, tmp_path / "jax.png", run, env=without_tensorflow)
    on_tensorflow = draw(folder, tmp_path / "tensorflow.png", run_here)
    assert np.abs(on_jax - on_tensorflow).max() <= 1

    process = run("-m", "export", folder, env=without_tensorflow)
    assert process.returncode == 2 and "Traceback" not in process.stderr
    assert "error: export needs the TensorFlow backend, and this is jax" in process.stderr
    environment = {**without_tensorflow, "KERAS_BACKEND": "tensorflow"}
    process = run("train.py", "--run-dir", folder, "--resume", env=environment)
    assert process.returncode == 2 and "Traceback" not in process.stderr
    assert "error: TensorFlow is not installed" in process.stderr


@pytest.mark.slow
def test_tensorflow_goes_on_where_jax_stopped(trained_on_jax):
    process = run("train.py", "--run-dir", trained_on_jax, "--resume", "--set", "train.steps=7")
    assert process.returncode == 0, process.stderr
    assert "at step 6" in process.stdout and Run(trained_on_jax).last_step() == 7
