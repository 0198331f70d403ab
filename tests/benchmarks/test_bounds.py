import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from programs import REPOSITORY

from keras_sagan.data import paired_shapes

IMAGES, LABELS = paired_shapes.draw(np.random.default_rng(1), 80)


def run(*arguments):
    command = [sys.executable, "-X", "importtime", "-m", "benchmarks.bounds", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_help_needs_no_tensorflow():
    process = run("--help")
    assert process.returncode == 0 and "--data DIR" in process.stdout
    assert "tensorflow" not in process.stderr and " keras\n" not in process.stderr


def test_data_that_are_not_there(tmp_path):
    process = run("--data", tmp_path / "none")
    line = process.stderr.splitlines()[-1]
    assert process.returncode == 2 and line.startswith("error: ") and "none" in line


@pytest.mark.slow
def test_real_pictures_are_better_than_noise(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SAGAN_CACHE", str(tmp_path / "cache"))
    for i, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        path = tmp_path / "data" / str(label) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    out = tmp_path / "out.json"
    process = run("--data", tmp_path / "data", "--extractor", "paired_shapes", "--out", out)
    assert process.returncode == 0, process.stderr
    results = json.loads(out.read_text())
    real, noise = (results[name]["metrics"] for name in ("real pictures", "noise"))
    assert results["noise"]["protocol"]["pictures"] == {"samples": 40}
    # The classifier tells all drawings; of noise it says what it says.
    assert real["class_accuracy"] == 1 and noise["class_accuracy"] < 0.5
    assert noise["fid"] > 5 * real["fid"] and noise["recall"] < real["recall"]
    assert process.stdout.startswith("real pictures\n  fid ") and "\nnoise\n" in process.stdout
