"""From a checkpoint to a run that is sampled and trained like any other."""

import json

import numpy as np
import pytest
from PIL import Image
from programs import run_here

from keras_sagan.errors import InputError
from keras_sagan.importing import import_checkpoint, importer, systems
from keras_sagan.models import ResNetDiscriminator, ResNetGenerator
from keras_sagan.running import checkpoints, training
from keras_sagan.running.run_folder import Run

SMALL = {"image_size": 32, "num_classes": 2, "width": 8}
SETTINGS = ("train.batch_size=4", "train.ema=0.5", "samples.columns=2", "checkpoints.every=1")


def networks(step=0, averaged=False, discriminator=True, **training):
    rng = np.random.default_rng(0)

    def randomised(network):
        for variable in network.variables:
            scale = rng.uniform(0.5, 1, variable.shape)
            variable.assign(scale if "variance" in variable.path else 0.5 * (scale - 0.75))
        return network

    generator = {"latent_dim": 8, "norm_momentum": 0.9, "class_spectral_norm": True, **SMALL}
    return systems.Networks(
        randomised(ResNetGenerator(**generator)),
        randomised(ResNetGenerator(**generator)) if averaged else None,
        randomised(ResNetDiscriminator(**SMALL, relu_shortcut=True)) if discriminator else None,
        step,
        training,
    )


@pytest.fixture
def imported(monkeypatch, tmp_path):
    """Imports networks as if a system had read them; returns the run."""

    def of(networks):
        class System:
            @staticmethod
            def load(given):
                return networks

        monkeypatch.setattr(systems, "module", lambda system: System)
        run = tmp_path / "run"
        import_checkpoint("x.pth", "anything", run)
        return Run(run)

    return of


def gan_of(run):
    gan = training.make_gan(run.config())
    run.load_checkpoint(gan)
    return gan


def assert_same_weights(first, second):
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_the_run_has_the_networks_and_what_the_system_published(imported):
    given = networks(500, train={"steps": 1000, "batch_size": 16}, loss={"name": "non_saturating"})
    run = imported(given)
    config = run.config()
    model = config.model
    assert (model.family, model.width, model.num_classes) == ("resnet", 8, 2)
    assert (model.norm_momentum, model.class_spectral_norm, model.relu_shortcut) == (
        0.9,
        True,
        True,
    )
    assert (config.train.steps, config.train.batch_size) == (1000, 16)
    assert config.loss.name == "non_saturating"
    assert run.checkpoint_steps() == [500]
    assert_same_weights(run.load_generator(), given.generator)
    gan = gan_of(run)
    assert gan.step == 500
    for name in ("generator", "ema_generator"):
        assert_same_weights(getattr(gan, name), given.generator)
    assert_same_weights(gan.discriminator, given.discriminator)


@pytest.mark.slow
def test_both_the_average_and_what_was_trained_are_kept(imported):
    given = networks(500, averaged=True)
    run = imported(given)
    assert_same_weights(run.load_generator(), given.averaged)
    gan = gan_of(run)
    assert_same_weights(gan.generator, given.generator)
    assert_same_weights(gan.ema_generator, given.averaged)


@pytest.mark.slow
def test_without_a_discriminator_it_begins_anew(imported):
    given = networks(discriminator=False)
    run = imported(given)
    gan = gan_of(run)
    assert_same_weights(gan.generator, given.generator)
    assert gan.discriminator.width == 8
    assert run.config().train.steps == importer._STEPS


@pytest.mark.slow
def test_it_trains_on_from_there(imported, cats_and_dogs):
    run = imported(networks(500, averaged=True, train={"steps": 1000, "batch_size": 64}))
    arguments = ["train.py", "--run-dir", run.path, "--resume"]
    process = run_here(*arguments)
    assert process.returncode == 2
    assert "data: give either name (a TFDS set or paired_shapes) or folder" in process.stderr
    process = run_here(*arguments, "--data", cats_and_dogs, "--set", "train.steps=502", *SETTINGS)
    assert process.returncode == 0, process.stderr
    assert "going on with" in process.stdout
    assert run.checkpoint_steps() == [500, 501, 502]
    assert run.config().train.batch_size == 4
    assert json.loads(run.data_record.read_text())["images"] == 12
    # From now on it is a run like any other, whose settings stay.
    process = run_here(*arguments, "--set", "train.steps=503", "train.batch_size=8")
    assert process.returncode == 2
    assert "train.batch_size is 8, but the run" in process.stderr
    assert not checkpoints.is_imported(run.checkpoint(502))


def test_its_networks_may_not_change(imported, cats_and_dogs):
    run = imported(networks(500))
    arguments = ["train.py", "--run-dir", run.path, "--resume", "--data", cats_and_dogs]
    process = run_here(*arguments, "--set", "model.width=16")
    assert process.returncode == 2
    assert "model.width is 16, but the run" in process.stderr


def test_it_is_sampled(imported, tmp_path):
    run = imported(networks(500))
    sheet = tmp_path / "sheet.png"
    process = run_here("-m", "keras_sagan.cli", "sample", run.path, "--count", 4, "--out", sheet)
    assert process.returncode == 0, process.stderr
    assert np.asarray(Image.open(sheet)).std() > 1


@pytest.mark.slow
def test_a_damaged_file_of_it_is_named(imported):
    run = imported(networks(500))
    path = run.checkpoint(500) / "discriminator.keras"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"discriminator.keras is damaged"):
        gan_of(run)


def test_a_folder_that_holds_something_is_left_as_it_is(imported, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty: name another folder"):
        imported(networks())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]
    (tmp_path / "run" / "mine.txt").rename(tmp_path / "run" / "config.yaml")
    with pytest.raises(InputError, match="already holds a run: name another folder"):
        imported(networks())


def test_nothing_is_left_where_the_disk_is_full(monkeypatch, tmp_path, imported):
    def full(models, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_models", full)
    with pytest.raises(InputError, match=r"--run-dir .*run: No space left on device"):
        imported(networks())
    assert not (tmp_path / "run").exists()


def test_tensors_that_are_left_over_stop_it(imported, tmp_path):
    given = networks()
    given.states = [systems.files.State({"surplus": np.ones(3)}, "x.pth")]
    with pytest.raises(InputError, match="x.pth: holds 1 tensors too many: surplus"):
        imported(given)
    assert not (tmp_path / "run").exists()
