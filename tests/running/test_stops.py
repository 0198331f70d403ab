"""Runs that end before their last step, and go on."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from programs import REPOSITORY, run, run_here, train_arguments
from run_files import rows, weights

from keras_sagan.running.run_folder import Run


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A program started in the background of a shell ignores Ctrl-C unless told otherwise.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(tmp_path):
    """SIGKILL between two checkpoints, then --resume, against a run that was left alone."""
    options = ["train.deterministic=true", "train.steps=40", "checkpoints.every=10"]
    options += ["samples.every=40"]
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    process = run(*train_arguments(straight, *options))
    assert process.returncode == 0, process.stderr
    process = start(*train_arguments(killed, *options))
    wait_for(Run(killed).checkpoint(10), process)
    while len(rows(killed)) < 7:  # past step 14, before step 20
        time.sleep(0.005)
    process.kill()
    process.communicate()
    at = Run(killed).checkpoint_steps()[-1]
    assert at < 40 and len(rows(killed)) > at // 2, "killed too late to tell"
    process = run("train.py", "--run-dir", killed, "--resume")
    assert process.returncode == 0, process.stderr
    assert f"at step {at}" in process.stdout
    expected, found = weights(straight, 40), weights(killed, 40)
    assert expected.keys() == found.keys() and len(expected) > 100
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], name)
    ours, theirs = rows(killed), rows(straight)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    assert ours[-1]["generator_loss"] == theirs[-1]["generator_loss"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_and_leave(tmp_path, number):
    folder = tmp_path / "run"
    command = train_arguments(folder, "checkpoints.every=100000", "train.steps=100000")
    process = start(*command)
    wait_for(folder / "logs" / "history.csv", process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    (step,) = Run(folder).checkpoint_steps()
    assert f"stopped at step {step}; to go on: the same command with --resume" in output
    process = run_here(*command, f"train.steps={step + 3}", "--resume")
    assert process.returncode == 0, process.stderr
    assert Run(folder).last_step() == step + 3


@pytest.mark.slow
def test_time_can_be_limited(tmp_path):
    folder = tmp_path / "run"
    limits = ["train.steps=100000", "train.max_minutes=0.1"]
    process = run_here(*train_arguments(folder, *limits))
    assert process.returncode == 0, process.stderr
    assert 1 <= Run(folder).last_step() < 100_000
