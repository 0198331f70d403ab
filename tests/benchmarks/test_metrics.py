import json
import subprocess
import sys

import numpy as np
import pytest
from programs import REPOSITORY

from benchmarks import metrics


def run(*arguments):
    command = [sys.executable, "-X", "importtime", "-m", "benchmarks.metrics", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_help_needs_no_tensorflow():
    process = run("--help")
    assert process.returncode == 0 and "--peer-python PATH" in process.stdout
    assert " numpy\n" in process.stderr and "tensorflow" not in process.stderr
    assert " keras\n" not in process.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--peer-python"),
        (["--peer-python", "python", "--samples", "19"], "--samples 19: ten splits"),
        (["--peer-python", "python", "--metrics", "lpips"], "lpips"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments, message):
    process = run(*arguments)
    line = process.stderr.splitlines()[-1]
    assert process.returncode == 2 and line.startswith("error: ") and message in line


def test_peers_that_are_not_there_are_rows(tmp_path):
    out = tmp_path / "out.json"
    arguments = ["--samples", "40", "--size", "3", "--metrics", "density", "is"]
    process = run("--peer-python", "/not/there", *arguments, "--out", str(out))
    assert process.returncode == 1
    assert process.stdout.count("cannot run: /not/there: No such file or directory") == 2
    assert [row["name"] for row in json.loads(out.read_text())["rows"]] == [
        "density, prdc",
        "is, torch-fidelity",
    ]


def test_numbers_are_compared_by_name():
    ours = {"values": {"FID": 2.0, "KID": 3.0}, "seconds": 1.0}
    theirs = {"name": "peer", "values": {"FID": 4.0, "KID": 5.0}, "seconds": 7.0}
    first, second = metrics.numbers(ours, theirs, "fid")
    assert first["name"] == "FID, peer" and first["difference"] == 0.5  # relative
    assert second["name"] == "KID, peer" and second["difference"] == 2
    assert first["seconds_ours"] == 1 and first["seconds"] == 7


def test_what_is_drawn_is_of_the_seed_alone():
    first, second, other = (metrics.drawn(seed, 30, 4) for seed in (1, 1, 2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
        assert array.dtype == np.float64 and (array != other[name]).any()
