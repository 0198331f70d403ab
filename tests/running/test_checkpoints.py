"""Checkpoints on full disks, and damaged ones."""

import hashlib
import shutil

import numpy as np
import pytest
from gans import make_gan
from PIL import Image
from programs import REPOSITORY, run, run_here
from run_files import rows

from keras_sagan.errors import InputError
from keras_sagan.running import config as config_module
from keras_sagan.running.checkpoints import GENERATOR, WEIGHTS
from keras_sagan.running.run_folder import Run
from keras_sagan.sampling import sample
from keras_sagan.sampling.sheets import sheet

RESUME = ("train.py", "--resume", "--run-dir")
SAMPLE = ("-m", "keras_sagan.cli", "sample")


@pytest.fixture
def run_copy(trained_run, tmp_path):
    """A run with checkpoints of steps 3 and 6."""
    shutil.copytree(trained_run[0], tmp_path / "run")
    return Run(tmp_path / "run")


def damage(path):
    """Changes one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_a_full_disk_leaves_the_checkpoints_that_were_there(small_disk):
    source, gan = Run(small_disk.path), make_gan()
    source.save_checkpoint(gan, keep=3)
    small_disk.fill(left=100_000)
    gan._step.assign(1)
    with pytest.raises(OSError, match="No space left"):
        source.save_checkpoint(gan, keep=3)
    assert [path.name for path in source.checkpoints.iterdir()] == ["00000000"]
    assert source.load_checkpoint(gan) == 0 and gan.step == 0
    small_disk.empty()
    gan._step.assign(1)
    source.save_checkpoint(gan, keep=3)
    assert source.checkpoint_steps() == [0, 1]
    assert source.whole_step(WEIGHTS) == source.whole_step(GENERATOR) == 1


@pytest.mark.slow
def test_training_ends_in_a_line_on_a_full_disk_and_goes_on_when_there_is_room(
    trained_run, small_disk
):
    folder = small_disk.path / "run"
    shutil.copytree(trained_run[0], folder)
    (folder / "checkpoints" / "partial-00000009").mkdir()  # of a training that was killed
    (folder / "checkpoints" / "partial-00000009" / WEIGHTS).write_bytes(bytes(100_000))
    small_disk.fill(left=0)  # what the partial one holds is room for the history, not for a next
    command = (*RESUME, folder, "--set", "train.steps=9", "samples.every=100")
    process = run(*command)
    assert process.returncode == 1, process.stderr
    assert process.stderr == (
        f"error: {folder}: No space left on device; the checkpoint of step 6 is kept. To go on: "
        "the same command with --resume\n"
    )
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        "00000003",
        "00000006",
    ]
    small_disk.empty()
    process = run_here(*command)
    assert process.returncode == 0, process.stderr
    assert "at step 6" in process.stdout and Run(folder).whole_step(WEIGHTS) == 9
    assert [row["step"] for row in rows(folder)] == ["2", "4", "6", "8", "9"]


@pytest.mark.parametrize("name", [WEIGHTS, GENERATOR])
@pytest.mark.parametrize("harm", [damage, truncate, lambda path: path.unlink()])
def test_the_last_whole_checkpoint_counts(run_copy, harm, name):
    harm(run_copy.checkpoint(6) / name)
    assert run_copy.whole_step(name) == 3
    assert run_copy.whole_step(WEIGHTS if name == GENERATOR else GENERATOR) == 6


@pytest.mark.slow
def test_training_goes_on_from_the_last_whole_checkpoint(run_copy):
    path = run_copy.checkpoint(6) / WEIGHTS
    damage(path)
    process = run_here(*RESUME, run_copy.path, "--set", "checkpoints.keep=1", "train.steps=6")
    assert process.returncode == 0, process.stderr
    assert process.stderr == (
        f"warning: {path}: missing or damaged; the checkpoint of step 3 is used\n"
    )
    assert f"going on with {run_copy.path} at step 3\n" in process.stdout
    assert sorted(path.name for path in run_copy.checkpoints.iterdir()) == [
        "00000006",
        "damaged-00000006",
    ]
    assert run_copy.whole_step(WEIGHTS) == 6
    assert [row["step"] for row in rows(run_copy.path)] == ["2", "4", "6"]


def test_pictures_are_of_the_last_whole_generator(run_copy, tmp_path):
    path = run_copy.checkpoint(6) / GENERATOR
    damage(path)
    with pytest.raises(InputError, match="generator.keras is missing or damaged"):
        run_copy.load_generator(run_copy.checkpoint(6))
    warning = f"warning: {path}: missing or damaged; the checkpoint of step 3 is used\n"
    for out in ("x.png", "folder"):
        process = run_here(*SAMPLE, run_copy.path, "--count", 2, "--out", tmp_path / out)
        assert (process.returncode, process.stderr) == (0, warning)
    expected = sample(run_copy.load_generator(run_copy.checkpoint(3)), [0, 1])
    with Image.open(tmp_path / "x.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(sheet(expected, 2)))
    with Image.open(tmp_path / "folder" / "seed0000000001_label1.png") as image:
        np.testing.assert_array_equal(np.asarray(image), expected[1])


def test_pictures_of_the_best_checkpoint(run_copy, tmp_path):
    out = tmp_path / "x.png"
    for command in ((*SAMPLE, run_copy.path, "--out", out), ("-m", "export", run_copy.path)):
        process = run_here(*command, "--best")
        assert process.returncode == 2
        assert f"{run_copy.path} has no best checkpoint: " in process.stderr.splitlines()[-1]
    best = run_copy.checkpoints / "best-00000003"
    run_copy.checkpoint(3).rename(best)
    process = run_here(*SAMPLE, run_copy.path, "--best", "--count", 2, "--out", out)
    assert process.returncode == 0, process.stderr
    with Image.open(out) as image:
        expected = sheet(sample(run_copy.load_generator(best), [0, 1]), 2)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    damage(best / GENERATOR)
    process = run_here(*SAMPLE, run_copy.path, "--best", "--out", out)
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1] == f"error: {best / GENERATOR} is missing or damaged"


def test_without_a_whole_checkpoint_nothing_starts(run_copy, tmp_path):
    for step in (3, 6):
        for name in (WEIGHTS, GENERATOR):
            damage(run_copy.checkpoint(step) / name)
    before = contents(run_copy.path)
    for name, command in (
        (WEIGHTS, (*RESUME, run_copy.path)),
        (GENERATOR, (*SAMPLE, run_copy.path, "--out", tmp_path / "x.png")),
        (GENERATOR, ("-m", "export", run_copy.path)),
    ):
        process = run_here(*command)
        assert process.returncode == 2
        assert process.stderr.splitlines()[-1] == (
            f"error: {run_copy.checkpoint(6) / name} is missing or damaged, as all before it are"
        )
        (run_copy.path / ".exported.lock").unlink(missing_ok=True)
        assert contents(run_copy.path) == before


def test_checkpoints_of_before_there_were_checksums(run_copy):
    for step in (3, 6):
        (run_copy.checkpoint(step) / "SHA256SUMS").unlink()
    assert run_copy.whole_step(WEIGHTS) == run_copy.whole_step(GENERATOR) == 6
    for name in (WEIGHTS, GENERATOR):
        truncate(run_copy.checkpoint(6) / name)
        assert run_copy.whole_step(name) == 3


def test_the_checksums_are_those_of_sha256sum(run_copy):
    folder = run_copy.checkpoint(6)
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert lines == [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}"
        for name in (WEIGHTS, GENERATOR)
    ]
    (folder / "SHA256SUMS").write_text("")
    assert run_copy.whole_step(WEIGHTS) == 3


def test_a_run_folder_that_does_not_fit_is_not_in_the_way_of_the_same_command(small_disk):
    config = config_module.load(REPOSITORY / "configs/paired_shapes.yaml")
    (small_disk.path / "there").mkdir()
    for folder in (small_disk.path / "new", small_disk.path / "there"):
        small_disk.fill(left=0)
        with pytest.raises(InputError, match=f"--run-dir {folder}: No space left"):
            Run(folder).create(config)
        small_disk.empty()
        Run(folder).create(config)
        assert Run(folder).config() == config


def test_what_another_process_makes_meanwhile_is_left_alone(tmp_path, monkeypatch):
    """Two trainings start in one new folder, and this one comes a moment later."""
    config = config_module.load(REPOSITORY / "configs/paired_shapes.yaml")
    late = Run(tmp_path / "run")
    monkeypatch.setattr(late, "check_new", lambda: None)
    Run(tmp_path / "run").create(config)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="File exists"):
        late.create(config)
    assert contents(tmp_path) == before
