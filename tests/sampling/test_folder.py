"""`keras-sagan sample RUN --out DIR`, as a person runs it."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from generators import check_same_pictures, trained
from PIL import Image
from programs import REPOSITORY, SMALL, run, run_here

from keras_sagan.running import config as config_module
from keras_sagan.running.run_folder import Run
from keras_sagan.sampling import generator_inputs

COMMAND = ("-m", "keras_sagan.cli", "sample")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run that was never trained, and its generator."""
    made = Run(tmp_path_factory.mktemp("sampled") / "run")
    config = config_module.load(
        REPOSITORY / "configs/paired_shapes.yaml", [*SMALL, "model.num_classes=3"]
    )
    made.create(config)
    generator = trained("dcgan", 3)
    made.checkpoint(1).mkdir()
    generator.save(made.checkpoint(1) / "generator.keras")
    return made.path, generator


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def check_refused(process, *parts):
    assert process.returncode == 2, process.stderr
    line = process.stderr.splitlines()[-1]
    assert line.startswith("error: ") and all(part in line for part in parts), line


def test_a_folder_gets_a_file_a_picture_and_goes_on_where_it_was(run_folder, tmp_path):
    folder, generator = run_folder
    out = tmp_path / "out"
    first = run(*COMMAND, folder, "--seed", 5, "--count", 4, "--out", out)
    assert first.returncode == 0 and first.stderr == ""
    assert "4/4 pictures" in first.stdout and first.stdout.endswith(f"{out}: 4 pictures\n")
    names = [f"seed{seed:010d}_label{seed % 3}.png" for seed in (5, 6, 7, 8)]
    assert sorted(path.name for path in out.iterdir()) == ["sample.json", *names]
    images = np.asarray(generator(generator_inputs(generator, range(5, 9))))
    expected = np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8)
    check_same_pictures(np.stack([read(out / name) for name in names]), expected)

    (out / names[1]).unlink()
    kept = (out / names[0]).stat().st_mtime_ns
    again = run_here(*COMMAND, folder, "--seed", 5, "--count", 5, "--out", out)
    assert again.returncode == 0, again.stderr
    assert "2/2 pictures" in again.stdout and "3 of them there already" in again.stdout
    assert (out / names[0]).stat().st_mtime_ns == kept
    check_same_pictures(read(out / names[1])[None], expected[1:2])
    assert len(list(out.glob("*.png"))) == 5

    other = run_here(*COMMAND, folder, "--truncation", 0.5, "--out", out)
    check_refused(other, f"--out {out}", "checkpoint 00000001", "truncation 1.0", "another folder")
    (out / "sample.json").write_text("{")
    check_refused(run_here(*COMMAND, folder, "--out", out), "sample.json is damaged")


def test_other_peoples_folders_and_files_are_left_alone(run_folder, tmp_path):
    folder, _ = run_folder
    (tmp_path / "notes.txt").write_text("mine")
    check_refused(run_here(*COMMAND, folder, "--out", tmp_path), "is not empty")
    check_refused(run_here(*COMMAND, folder, "--out", tmp_path / "notes.txt"), "is a file")
    missing = tmp_path / "not" / "there"
    check_refused(run_here(*COMMAND, folder, "--out", missing), f"no folder {missing.parent}")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_a_stop_leaves_whole_pictures(run_folder, tmp_path):
    folder, _ = run_folder
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, *COMMAND, folder, "--count", "1000000", "--out", out],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (out.exists() and len(list(out.glob("*.png"))) > 100):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert errors.splitlines()[-1] == "stopped; to go on: the same command"
    assert "Traceback" not in errors
    pictures = list(out.glob("*.png"))
    assert 100 < len(pictures) < 1_000_000
    assert all(read(path).shape == (32, 32, 3) for path in pictures)


def test_a_stop_that_comes_within_a_callback_is_not_lost(run_folder, tmp_path, monkeypatch):
    """Python drops what is raised there, as in `__del__`."""

    class Interrupted:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    save, saved = Image.Image.save, []

    def interrupted_save(image, *args, **kwargs):
        saved.append(args)
        if len(saved) == 3:
            Interrupted()
        save(image, *args, **kwargs)

    folder, _ = run_folder
    monkeypatch.setattr(Image.Image, "save", interrupted_save)
    handler = signal.getsignal(signal.SIGINT)
    process = run_here(*COMMAND, folder, "--count", 8, "--out", tmp_path / "out")
    assert process.returncode == 128 + signal.SIGINT
    assert process.stderr == "\nstopped; to go on: the same command\n"
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    assert signal.getsignal(signal.SIGINT) is handler
