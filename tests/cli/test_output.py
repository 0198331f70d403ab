"""All that the programs write: what a person needs, and no line of TensorFlow's start."""

import subprocess
import sys

import pytest
from programs import REPOSITORY, run, train_arguments

pytestmark = pytest.mark.xdist_group("output")  # one run for all


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("output") / "run"
    return folder, run(*train_arguments(folder))


def check_quiet(process):
    assert process.returncode == 0 and process.stderr == ""


def test_training_says_what_it_does(trained_run):
    _, process = trained_run
    check_quiet(process)
    lines = process.stdout.splitlines()
    assert lines[0].startswith("50000 images, 1 device, generator ")
    starts = ("step 2/6 ", "step 4/6 ", "step 6/6 ", "consistency ", "pictures: ", "attention: ")
    assert len(lines) == 1 + len(starts)
    for line, start in zip(lines[1:], starts, strict=True):
        assert line.startswith(start)


def test_sampling_is_quiet(trained_run, tmp_path):
    folder, _ = trained_run
    sample = ("-m", "keras_sagan.cli", "sample", folder)
    process = run(*sample, "--out", tmp_path / "x.png")
    check_quiet(process)
    assert process.stdout == f"{tmp_path / 'x.png'}\n"
    process = run(*sample, "--count", 5, "--out", tmp_path / "x")
    check_quiet(process)
    assert process.stdout.splitlines()[-1] == f"{tmp_path / 'x'}: 5 pictures"


@pytest.mark.slow
def test_exporting_shows_its_table(trained_run):
    process = run("-m", "export", trained_run[0])
    check_quiet(process)
    lines = process.stdout.splitlines()
    assert lines[0] == "SavedModel ..." and lines[-1] == f"written: {trained_run[0] / 'export'}"
    (header,) = (i for i, line in enumerate(lines) if line.startswith("file "))
    rows = lines[header + 1 : header + 5]
    assert [row.split()[0].removeprefix("generator_") for row in rows] == [
        "float32.tflite", "float16.tflite", "dynamic_int8.tflite", "int8.tflite"
    ]  # fmt: skip
    assert {len(row) for row in rows} == {len(lines[header])}


@pytest.mark.slow
def test_mixed_precision_is_quiet(tmp_path):
    folder = tmp_path / "run"
    check_quiet(run(*train_arguments(folder, "train.precision=mixed_bfloat16")))


START = """
import os, sys, warnings
from keras_sagan.cli import quiet

with quiet.startup_lines_dropped():
    os.write(2, b"I0000 00:00:1.2 99 cudart_stub.cc:31] Could not find cuda drivers\\n")
    os.write(2, b"E0000 00:00:1.2 99 gpu_kernel.cc:7] a real error\\n")
    warnings.warn("a real warning")
    {}
print("after", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("ending", "code"), [("pass", 0), ("raise ValueError('ended')", 1), ("os.abort()", -6)]
)
def test_errors_and_warnings_pass_and_survive_a_crash(ending, code):
    process = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", START.format(ending)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == code
    assert "cudart_stub" not in process.stderr
    assert "gpu_kernel.cc:7] a real error" in process.stderr
    assert "a real warning" in process.stderr
    if code == 0:
        assert process.stderr.endswith("after\n")
    elif code == 1:
        assert process.stderr.endswith("ValueError: ended\n")
    else:
        assert "Fatal Python error: Aborted" in process.stderr


def test_no_start_is_waited_for_where_nothing_starts():
    process = run("-X", "importtime", "-m", "keras_sagan.cli", "sample", "--help")
    assert process.returncode == 0
    assert " tensorflow\n" not in process.stderr and " keras\n" not in process.stderr
