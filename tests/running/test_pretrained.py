"""Generators that come with the package."""

import numpy as np
import pytest
from PIL import Image

import keras_sagan
from benchmarks.pack_pretrained import pack
from keras_sagan.cli import main
from keras_sagan.running import initial_weights, pretrained
from keras_sagan.running.run_folder import Run


@pytest.fixture
def packed(trained_run, tmp_path, monkeypatch):
    """A pretrained generator named shapes, in a package that cannot be written to."""
    folder = tmp_path / "package" / "shapes"
    pack(Run(trained_run[0]), folder)
    folder.chmod(0o500)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "package")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield folder
    folder.chmod(0o700)


def test_it_draws_what_its_run_draws_in_half_the_bytes(packed, trained_run):
    generator, of_run = keras_sagan.load_pretrained("shapes"), Run(trained_run[0]).load_generator()
    assert {variable.dtype for variable in generator.weights} == {"float32"}
    for packed_weight, weight in zip(generator.get_weights(), of_run.get_weights(), strict=True):
        # Half of the 11 bits' last place; below 6e-5 float16 has steps of 6e-8.
        np.testing.assert_allclose(packed_weight, weight, rtol=2**-11, atol=6e-8)
    latent = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    inputs = {"latent": latent[:, : generator.latent_dim], "label": np.arange(8, dtype=np.int32)}
    pictures, expected = (np.asarray(each(inputs)) for each in (generator, of_run))
    # Of a run so young they are nearly grey, so it is their differences that count.
    assert np.abs(pictures - expected).max() < 0.01 * expected.std()
    (file,) = packed.rglob("*.keras")
    step = Run(trained_run[0]).last_step()
    original = Run(trained_run[0]).checkpoint(step) / "generator.keras"
    assert file.stat().st_size < 0.6 * original.stat().st_size


def test_what_is_packed_names_no_place_of_the_machine(packed):
    config = Run(packed).config()
    assert config.data.folder is config.data.cache is config.train.init_from is None


def test_it_is_drawn_from_by_name(packed, capsys):
    assert main(["sample", "shapes", "--out", "sheet.png", "--count", "4"]) == 0
    assert Image.open("sheet.png").width > 4 * 32
    assert capsys.readouterr().err == ""


def test_what_is_made_of_it_is_written_here(packed, capsys):
    arguments = ["--samples", "20", "--metrics", "fid"]
    assert main(["evaluate", "shapes", *arguments]) == 0
    assert main(["show", "shapes", "--only", "samples"]) == 0
    out = capsys.readouterr().out
    here = pretrained.find_run("shapes").outputs
    assert str(here) == "pretrained/shapes" and "pretrained/shapes/evaluation.json" in out
    assert sorted(path.name for path in here.iterdir()) == ["evaluation.json", "show"]
    assert main(["compare", "shapes"]) == 0


@pytest.mark.slow
def test_it_is_exported_here(packed):
    assert main(["export", "shapes", "--quantize", "float32"]) == 0
    assert (packed.parents[1] / "here/pretrained/shapes/export/generator_float32.tflite").exists()


def test_a_new_run_begins_with_it(packed):
    config = Run(packed).config().starting_from(str(pretrained.find_run("shapes").path))
    networks = config.model.networks()
    gan = keras_sagan.GAN(*networks)
    gan.compile()
    (line,) = initial_weights.take_over(gan, config)
    assert "its discriminator is a new one" in line
    expected = keras_sagan.load_pretrained("shapes").get_weights()
    for weight, wanted in zip(gan.generator.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(weight, wanted)


def test_the_names_are_listed(packed, capsys):
    with pytest.raises(SystemExit):
        main(["sample", "--help"])
    assert "(shapes)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", [["sample", "--out", "x.png"], ["export"], ["show"]])
def test_a_misspelt_name_gets_the_nearest(packed, command, capsys):
    assert main([command[0], "shpes", *command[1:]]) == 2
    expected = "error: shpes: no such run folder or pretrained generator (did you mean shapes?)\n"
    assert capsys.readouterr().err == expected
    assert main([command[0], "runs/shpes", *command[1:]]) == 2
    assert "runs/shpes holds no run" in capsys.readouterr().err


def test_a_folder_of_that_name_comes_first(packed, trained_run, tmp_path, capsys):
    (tmp_path / "here" / "shapes").symlink_to(trained_run[0])
    run = pretrained.find_run("shapes")
    assert run.outputs == run.path and run.checkpoint_steps()
    expected = "note: shapes is the folder here, not the pretrained generator\n"
    assert capsys.readouterr().err == expected


def test_in_python_a_misspelt_name_gets_the_nearest_too(packed):
    with pytest.raises(ValueError, match=r"'shape' \(did you mean shapes\?\): there are shapes"):
        keras_sagan.load_pretrained("shape")
