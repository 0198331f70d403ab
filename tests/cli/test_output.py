"""All that the programs write: what a person needs, and no line of TensorFlow's start.

What the other programs write is where they are run: in exporting/test_export.py,
sampling/test_folder.py, and for sheets in running/test_training.py.
"""

import subprocess
import sys

import pytest
from programs import JAX, REPOSITORY, run, train_arguments


def check_quiet(process):
    assert process.returncode == 0 and process.stderr == ""


def test_training_says_what_it_does(trained_run):
    _, process = trained_run
    check_quiet(process)
    lines = process.stdout.splitlines()
    assert lines[2].startswith("10 classes: disc 5064, ring ") and lines[2].count(",") == 9
    starts = ("device: ", "50000 images, generator ", "10 classes: ")
    starts += ("step 2/6 ", "step 4/6 ", "step 6/6 ", "consistency ", "pictures: ", "attention: ")
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)


@pytest.mark.slow
@pytest.mark.parametrize(
    "assignment",
    [
        "train.precision=mixed_bfloat16",
        "train.deterministic=true",
        "model.discriminator_hidden_units=0",
        "model.family=resnet",
        "model.family=full_attention",
    ],
)
def test_other_ways_to_train_are_quiet(tmp_path, assignment):
    check_quiet(run(*train_arguments(tmp_path / "run", assignment)))


@pytest.mark.slow
def test_jax_is_quiet_where_keras_finds_tensorflow(tmp_path):
    check_quiet(run(*train_arguments(tmp_path / "run"), env=JAX))
    sample = ("-m", "keras_sagan.cli", "sample", tmp_path / "run", "--out", tmp_path / "x.png")
    check_quiet(run(*sample, env=JAX))


NOTHING = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1.2 99 cudart_stub.cc:31] Could not find cuda drivers on your machine
E0000 00:00:1.2 99 cuda_platform.cc:52] failed call to cuInit: INTERNAL: UNKNOWN ERROR (303)
"""
ERRORS = """\
E0000 00:00:1.2 99 gpu_kernel.cc:7] a real error
E0000 00:00:1.2 99 export.cc:7] cannot write the file
W0000 00:00:1.2 99 gpu_device.cc:9] Cannot dlopen some GPU libraries.
E0000 00:00:1.2 99 cuda_dnn.cc:9] Loaded runtime CuDNN library: 8.0 but source was compiled with 9
E0000 00:00:1.2 99 cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
"""
START = f"""
import os, subprocess, sys, warnings
from keras_sagan.cli import quiet

with quiet.startup_lines_dropped():
    os.write(2, {(NOTHING + ERRORS).encode()})
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'of a child')"])
    warnings.warn("a real warning")
    {{}}
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
    assert not set(NOTHING.splitlines()) & set(process.stderr.splitlines())
    assert process.stderr.startswith(ERRORS)
    assert "of a child" in process.stderr and "a real warning" in process.stderr
    if code == 0:
        assert process.stderr.endswith("after\n")
    elif code == 1:
        assert process.stderr.endswith("ValueError: ended\n")
    else:
        assert "Fatal Python error: Aborted" in process.stderr


def test_a_name_that_the_terminal_has_no_letters_for_is_no_error():
    code = r"from keras_sagan.cli import program; program.run(print, 'K\xe4fer, caf\udce9')"
    process = run("-c", code, env={"PYTHONIOENCODING": "ascii:strict"})
    assert (process.returncode, process.stdout) == (0, "K\\xe4fer, caf\\udce9\n")


def test_no_start_is_waited_for_where_nothing_starts():
    process = run("-X", "importtime", "-m", "keras_sagan.cli", "sample", "--help")
    assert process.returncode == 0
    assert " tensorflow\n" not in process.stderr and " keras\n" not in process.stderr


def test_whoever_lowers_the_level_reads_all():
    process = run("-c", START.format("pass"), env={"TF_CPP_MIN_LOG_LEVEL": "0"})
    assert process.stderr.startswith(NOTHING + ERRORS)
