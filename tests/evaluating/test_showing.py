"""What is shown is what the networks draw and hold."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image
from programs import run

from keras_sagan import models
from keras_sagan.cli import program
from keras_sagan.cli import show as show_command
from keras_sagan.data import paired_shapes
from keras_sagan.evaluating import attention, nearest, spectra
from keras_sagan.evaluating.showing import KINDS
from keras_sagan.evaluating.subject import Subject
from keras_sagan.evaluating.titled_sheets import titled_sheet
from keras_sagan.layers import SpectralNorm
from keras_sagan.sampling import sample

NAMES = ["attention_8", "interpolation_classes", "interpolation_seeds", "samples"]
NAMES += ["singular_values", "truncation"]


def show(*arguments):
    parser = program.Parser()
    show_command.add_arguments(parser)
    return program.run(show_command.run, parser.parse_args([*map(str, arguments)]))


def subject_of(generator, num_classes):
    """A subject whose generator tells classes apart, as training makes it."""
    rng = np.random.default_rng(0)
    for variable in generator.trainable_variables:
        if variable.name in ("gain", "bias") and variable.shape[0] == num_classes:
            variable.assign(0.5 * rng.standard_normal(variable.shape))
    names = None if num_classes is None else [f"class {i}" for i in range(num_classes)]
    run = SimpleNamespace(
        name="a run", load_generator=lambda folder: generator, class_names=lambda: names
    )
    return Subject(run, None)


GENERATORS = {
    "dcgan": lambda: models.DCGANGenerator(32, 10, latent_dim=8, width=8, attention=[8]),
    # With as many numbers in a latent as there are classes.
    "self-modulation": lambda: models.DCGANGenerator(
        32, 10, latent_dim=10, width=8, attention=[8], self_modulation=True
    ),
    "resnet": lambda: models.ResNetGenerator(32, 10, latent_dim=8, width=8, attention=[16]),
    "full_attention": lambda: models.FullAttentionGenerator(32, 10, latent_dim=8, width=8),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", GENERATORS)
def test_between_classes_lie_the_classes_and_all_that_is_between(family):
    subject = subject_of(GENERATORS[family](), 10)
    latents, first, second = subject.latents(range(3)), np.array([0, 4, 9]), np.array([4, 9, 2])
    ends = [subject.draw(latents, labels) for labels in (first, second)]
    assert np.abs(ends[0].astype(int) - ends[1]).mean() > 2
    for share, end in zip((0, 1), ends, strict=True):
        images = subject.draw_between(latents, first, second, share)
        # Rounding of the blend can turn a value that lies between two levels.
        assert np.abs(images.astype(int) - end).max() <= 1
    middle = subject.draw_between(latents, first, second, 0.5).astype(int)
    assert all(np.abs(middle - end).mean() > 1 for end in ends)
    np.testing.assert_array_equal(subject.draw(latents, first), ends[0])  # tables are as they were


def test_pictures_are_those_of_sampling():
    generator = GENERATORS["dcgan"]()
    subject = subject_of(generator, 10)
    seeds = np.arange(40)  # more than a batch
    images = subject.draw(subject.latents(seeds), seeds % 10)
    # Batches of another size may round a value to the next level.
    assert np.abs(images.astype(int) - sample(generator, seeds)).max() <= 1


def test_a_sheet_leaves_pixels_as_they_are():
    images = np.random.default_rng(0).integers(0, 255, (2, 3, 32, 32, 3), np.uint8)
    page = np.asarray(
        titled_sheet(images, "a title " * 30, ["a", "long name " * 9], ["1", "2", "3"])
    )
    large = images.repeat(2, axis=2).repeat(2, axis=3)
    # Where the first picture stands, found by its first row; the others stand in a grid from there.
    windows = np.lib.stride_tricks.sliding_window_view(page, (1, 64, 3))[:, :, 0, 0]
    top, left = np.argwhere((windows == large[0, 0, 0]).all(axis=(2, 3)))[0]
    for i in range(2):
        for j in range(3):
            y, x = top + i * 68, left + j * 68
            np.testing.assert_array_equal(page[y : y + 64, x : x + 64], large[i, j])


def test_singular_values_are_those_of_the_normalised_kernels():
    inputs = keras.Input((8, 8, 3))
    conv = SpectralNorm(keras.layers.Conv2D(6, 3, name="conv"), power_iterations=50)
    up = SpectralNorm(keras.layers.Conv2DTranspose(5, 3, name="up"), power_iterations=50)
    dense = keras.layers.Dense(4, use_bias=False, name="dense")
    network = keras.Model(inputs, dense(up(conv(inputs))))
    dense.kernel.assign(3 * np.linalg.qr(np.random.default_rng(0).normal(size=(5, 4)))[0])
    found = spectra.spectra(network)
    assert {name: normal for name, (_, normal) in found.items()} == {
        "conv": True,
        "up": True,
        "dense": False,
    }
    kernel = keras.ops.convert_to_numpy(conv.normalized_kernel()).reshape(-1, 6)
    expected = np.linalg.svd(kernel, compute_uv=False)
    np.testing.assert_allclose(found["conv"][0], expected, atol=1e-5)  # float32
    # 50 iterations from a random start: what is left of other directions is far below.
    assert found["conv"][0][0] == pytest.approx(1, abs=1e-3)
    assert found["up"][0][0] == pytest.approx(1, abs=1e-3) and len(found["up"][0]) == 5
    np.testing.assert_allclose(found["dense"][0], 3, rtol=1e-5)


class Source:
    def __init__(self, images):
        self.images = images

    def read(self, indices):
        return self.images[indices], None


def test_the_nearest_are_found_over_batches_but_not_a_picture_itself():
    images = paired_shapes.draw(np.random.default_rng(0), 600)[0]
    chosen = np.array([3, 299, 599])
    source, looked_at = Source(images), np.arange(600)
    distances, indices = nearest._nearest(
        source, looked_at, nearest.Pixels(), images[chosen], np.full(3, -1)
    )
    assert distances.shape == indices.shape == (3, 6)
    np.testing.assert_array_equal(indices[:, 0], chosen)
    np.testing.assert_array_equal(distances[:, 0], 0)
    _, others = nearest._nearest(source, looked_at, nearest.Pixels(), images[chosen], chosen)
    np.testing.assert_array_equal(others[:, :5], indices[:, 1:])


def test_attention_is_brightest_where_a_location_looks():
    weights = np.full((8, 8), 0.01)
    weights[2, 5] = 0.9
    tile = attention._overlay(np.zeros((64, 64, 3), np.uint8), weights).sum(axis=-1)
    bright = tile > 0.9 * tile.max()
    assert bright[16:24, 40:48].all() and bright.sum() == 64  # one cell, with sharp edges


def test_what_is_shown_of_a_run(trained_run, tmp_path, capsys):
    kinds = [kind for kind in KINDS if kind != "neighbours"]
    assert show(trained_run[0], "--out", tmp_path / "show", "--only", *kinds) == 0
    lines = capsys.readouterr().out.splitlines()
    paths = [line for line in lines if line.endswith(".png")]
    assert sorted(paths) == [str(tmp_path / "show" / f"{name}.png") for name in NAMES]
    assert sorted(map(str, (tmp_path / "show").iterdir())) == sorted(paths)
    for path in paths:
        Image.open(path).verify()
    assert sum(line.startswith("gamma of attention8, ") for line in lines) == 2
    assert sum(line.startswith("largest singular values under spectral") for line in lines) == 2


@pytest.mark.slow
def test_neighbours_in_what_a_run_learns_from(trained_run, tmp_path, capsys):
    assert show(trained_run[0], "--out", tmp_path / "show", "--only", "neighbours") == 0
    path, line = capsys.readouterr().out.splitlines()
    assert line.startswith("neighbours: 50000 pictures, by paired_shapes; median distance ")
    Image.open(path).verify()


def test_a_generator_that_draws_the_data_is_found_out(trained_run, tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    arguments = ("--only", "neighbours", "--data", data, "--out", tmp_path / "show")
    subject = Subject(run_of(trained_run), run_of(trained_run).checkpoint(6))
    seeds = np.arange(128)
    for i, image in enumerate(subject.draw(subject.latents(seeds), seeds % 10)):
        Image.fromarray(image).save(data / f"{i:03d}.png")
    assert show(trained_run[0], *arguments) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert "128 pictures, by pixels averaged to 8x8;" in line and " 0 of samples" in line


def run_of(trained_run):
    from keras_sagan.running.run_folder import Run

    return Run(trained_run[0])


def test_a_run_without_data_has_no_neighbours():
    subject = subject_of(GENERATORS["dcgan"](), 10)
    subject.run.config = lambda: SimpleNamespace(data=SimpleNamespace(folder=None, name=None))
    ((name, line),) = nearest.neighbours(subject, None, None)
    assert name is None and line.startswith("neighbours: skipped") and "--data" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--locations", "8,32"], "--locations 8,32: outside the picture, which is from 0,0 to 31"),
        (["--data", "nowhere", "--only", "neighbours"], "nowhere is not a folder"),
        (["--out", "nowhere/at/all"], "there is no folder nowhere"),
        (["--best"], "has no best checkpoint"),
        (["--extractor", "none", "--only", "neighbours"], "there is no extractor 'none'"),
    ],
)
def test_what_cannot_be_shown(trained_run, tmp_path, capsys, arguments, message):
    assert show(trained_run[0], "--out", tmp_path / "show", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--only", "cats"], "invalid choice: 'cats'"), (["--locations", "8"], "8 is not Y,X")],
)
def test_arguments_that_are_none(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        show("runs/mine", *arguments)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_run_without_a_checkpoint(trained_run, tmp_path, capsys):
    assert show(tmp_path) == 2
    assert "holds no run" in capsys.readouterr().err
    (tmp_path / "config.yaml").write_text((trained_run[0] / "config.yaml").read_text())
    assert show(tmp_path) == 2
    assert capsys.readouterr().err == f"error: {tmp_path} holds no checkpoint yet\n"


def test_nothing_starts_for_arguments_alone():
    code = (
        "from keras_sagan.cli import compare, program, show; parser = program.Parser(); "
        "show.add_arguments(parser); compare.add_arguments(program.Parser()); parser.format_help()"
    )
    process = run("-X", "importtime", "-c", code)
    assert process.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert "keras_sagan.cli.show" in imported
    assert not imported & {"keras", "tensorflow", "matplotlib"}
